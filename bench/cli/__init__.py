"""In: the words that were typed, and files of results.

Out: what is printed, an exit status, and a run or a report.
May import: all of `bench`. `app` imports the module of a command when it is called, so that help starts at once.
"""
