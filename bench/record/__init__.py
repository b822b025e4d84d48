"""In: bytes of result files that anyone may have written, and blocks that were measured. Out: typed blocks, and files.

May import: data, values, cases, words, errors; `kernels` for the specification.
"""
