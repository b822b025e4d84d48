"""In: a request, and what this machine is.

Out: the plan of a run or a sweep, and how often each kernel repeats. Nothing is timed here.
May import: `machine`, `record`, `data` and what lies below; never `analysis`, `run` or `measure`.
"""
