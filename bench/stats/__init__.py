"""Numbers in, numbers out: estimates, tests, verdicts. Knows no files."""
