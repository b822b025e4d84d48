"""MNIST's digits, fetched and shown."""

COMMANDS = {
    "fetch": ("fetch:fetch", "Download MNIST and the book's weights.", "Set up"),
    "show": ("show:show", "Show a digit with each class's probability.", "Read"),
}
