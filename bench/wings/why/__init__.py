"""Where the time goes: a model of each kernel's time, its parts, and what the machine allows."""

COMMANDS = {"explain": ("command:explain", "Say where the time goes.", "Read")}
