"""In: a specification, its parameters and inputs.

Out: outputs, from the float64 reference or from a kernel; which kernels there are, and whether they are right.
May import: NumPy; a kernel also its library and the package of its library; never `bench`.
"""
