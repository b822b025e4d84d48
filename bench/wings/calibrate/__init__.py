"""mlpbench measured by itself."""

COMMANDS = {"calibrate": ("command:calibrate", "Measure mlpbench itself on this machine.", "Measure")}
