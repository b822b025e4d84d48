"""In: what the processor offers. Out: LLVM code for vectors, register tiles and blocks of rows, written by Python.

May import: `numba_jit.cache`, NumPy, Numba, llvmlite; never `passes`.
"""
