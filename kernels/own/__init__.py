"""In: what somebody typed who has a kernel of his own: a file with a function or a class, or a library's namespace.

Out: a class of `base.Kernel`, and a name for it.
May import: NumPy; the contract; what the file or the namespace asks for.
"""
