"""In: what a notebook or a script asks of `import mlpbench`, which finds these modules when it is asked.

Out: objects of saved runs, comparisons and checks, with data frames and tables for a notebook.
May import: all of `bench` but `cli`, whose commands call it; pandas inside functions.
"""
