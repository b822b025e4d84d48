"""In: the words that were typed, and files of results.

Out: what is printed, an exit status, and a run, a report or a calibration.
May import: all of `bench`; heavy modules inside functions, so that help starts at once.
"""
