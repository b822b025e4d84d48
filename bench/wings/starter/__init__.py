"""A file with a kernel to start from."""

COMMANDS = {"new": ("command:new", "Write a file with a kernel to start from.", "Set up")}
