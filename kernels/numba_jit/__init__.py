"""In: Python functions and their signatures.

Out: machine code for this processor, kept on disk; the loops of `mlp_numba` and what all kernels on Numba share.
May import: the contract, NumPy, Numba; never `numba_simd`.
"""
