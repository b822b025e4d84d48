"""In: weights and inputs on a CUDA device.

Out: the outputs of the network, the facts of the device, the seconds that NVRTC compiles.
May import: NumPy, and CuPy inside functions; never `mlp_cupy`.
"""
