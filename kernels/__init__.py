"""WHAT is computed: the specification, its float64 reference, and its kernels. Never imports `bench`."""
