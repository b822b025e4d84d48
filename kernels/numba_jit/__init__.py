"""In: Python functions and their signatures. Out: machine code for this processor, kept on disk, and loops that use it.

May import: the contract, NumPy, Numba. `numba_simd` uses the cache of this package, and not its loops.
"""
