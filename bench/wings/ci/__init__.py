"""Results in the formats of other tools."""

COMMANDS = {
    "export": ("exports:export", "Write results in the formats of other tools.", "Share"),
}
