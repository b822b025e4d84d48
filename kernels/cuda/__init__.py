"""In: arrays on a CUDA device. Out: the outputs of a network, the facts of the device, the seconds that NVRTC compiles.

May import: the contract, NumPy, and CuPy inside functions.
"""
