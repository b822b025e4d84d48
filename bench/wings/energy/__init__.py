"""The energy that a sample costs, where the system shows it."""
