"""Statistics: numbers come in, estimates, tests and verdicts go out.

It may import errors and nothing else of bench, and knows no kernels and no files.
"""
