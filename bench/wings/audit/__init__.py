"""Every check on kernels, also the slow ones."""

COMMANDS = {
    "audit": ("command:audit", "Run every check on kernels, also the slow ones.", "Measure"),
}
