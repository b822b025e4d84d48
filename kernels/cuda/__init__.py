"""What the kernel on CuPy needs besides: the device, what NVRTC compiles, device code."""
