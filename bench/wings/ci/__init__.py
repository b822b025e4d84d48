"""Results in the formats of other tools."""

COMMANDS = {
    "export": ("command:export", "Write results in the formats of other tools.", "Share"),
}
