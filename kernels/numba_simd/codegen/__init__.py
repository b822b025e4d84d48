"""In: what the processor offers.

Out: LLVM code for vectors, register tiles and blocks of rows, and its machine code.
May import: NumPy, Numba, llvmlite, `numba_jit.cache`; never `passes`.
"""
