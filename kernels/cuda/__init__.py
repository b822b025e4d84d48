"""In: weights and inputs on a CUDA device.

Out: the outputs of the network, the programs that compute them, the facts of the device, the seconds of NVRTC.
May import: NumPy, and CuPy inside functions; never `mlp_cupy`.
"""
