"""In: a network's weights, packed, and its plan. Out: compiled functions that compute the outputs of a batch.

May import: `codegen`, `numba_jit.cache`, NumPy, Numba.
"""
