"""In: what a notebook or a script asks of `import mlpbench`, which finds these modules when it is asked.

Out: objects of saved runs, comparisons and checks, with data frames and tables for a notebook.
May import: all of `bench`, as the commands do, which it stands above; pandas inside functions.
"""
