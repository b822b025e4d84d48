"""The cases of a machine from run to run."""

COMMANDS = {
    "history": ("command:history", "Show the cases of a machine from run to run.", "Read"),
}
