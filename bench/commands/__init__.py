"""The commands, one module each. What they need is imported when they run: `mlpbench --help` starts at once."""
