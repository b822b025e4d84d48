"""MNIST's digits, fetched and shown."""

COMMANDS = {
    "fetch": ("command:fetch", "Download MNIST and the book's weights.", "Set up"),
    "show": ("command:show", "Show a digit with each class's probability.", "Read"),
}
