"""In: the words of a run, and a list of workers: machines that Dask or SSH reaches.

Out: the results of all of them in one folder, to the byte, and a file that says what became of each worker.
May import: `run` and `machine` by their command line alone, `record` and what lies below; never `analysis`.
"""
