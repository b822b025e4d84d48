"""The same plan on many machines, and their results in one folder."""

COMMANDS = {
    "merge": ("command:merge", "Copy the runs of other folders of results into this one.", "Share"),
    "fleet": ("command:fleet", "Run the same plan on many machines.", "Measure"),
}
