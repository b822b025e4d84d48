"""In: the bytes of result files that anyone may have written; blocks that were measured.

Out: typed blocks; files, written whole or not at all.
May import: `data`, `values`, `cases`, `words`, `errors`; of `kernels` the specification; msgspec.
"""
