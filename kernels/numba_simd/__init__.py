"""In: weights, and the vectors that the processor has.

Out: a forward pass in register tiles: `codegen` writes the code of the tiles, `passes` computes with it.
May import: NumPy, Numba, `numba_jit.cache`.
"""
