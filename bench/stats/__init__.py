"""In: numbers.

Out: estimates, intervals, tests and verdicts.
May import: `errors`, `groups`, NumPy and SciPy; it knows no kernels and no files.
"""
