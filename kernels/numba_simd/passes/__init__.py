"""In: the weights of a network, and how many threads there are.

Out: the weights packed, the plan of the network, compiled functions that compute outputs.
May import: NumPy, Numba, `codegen`, `numba_jit.cache`.
"""
