"""In: what the processor offers.

Out: LLVM code for vectors, register tiles and blocks of rows, as functions that compiled Python can call.
May import: NumPy, Numba, llvmlite, `numba_jit.cache`; never `passes`.
"""
