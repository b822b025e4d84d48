"""One small file of a run, for others; and the same again here."""

COMMANDS = {
    "share": ("command:share", "Write one small file of a run, to hand in.", "Read"),
    "reproduce": ("command:reproduce", "Measure what a shared file holds again, here.", "Measure"),
}
