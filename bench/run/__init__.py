"""In: the plan of a run or a sweep.

Out: a folder of result files: one process for each kernel and repeat, whatever becomes of it.
May import: `plan`, `machine`, `record` and what lies below; never `measure`, to which it talks by arguments and files.
"""
