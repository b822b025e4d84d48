"""What the kernels on Numba share: compiled loops, their cache on disk, and the processor they are compiled for."""
