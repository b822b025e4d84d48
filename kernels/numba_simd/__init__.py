"""Explicit vectors in Numba: LLVM code for register tiles, written by Python and compiled for this machine."""
