"""In: weights, and the vectors that the processor has. Out: a forward pass in register tiles, compiled with Numba.

May import: `numba_jit`, NumPy, Numba. `passes` is built on `codegen`.
"""
