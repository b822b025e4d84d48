"""Two versions of a library, or of mlpbench, in one run."""

COMMANDS = {
    "ab": ("command:ab", "Say which of two versions is faster.", "Measure"),
}
