"""In: the system, its libraries and devices, as this process or a child of it finds them.

Out: the environment, processors to bind to, threads in use, looks at who else works, and the card.
May import: `record`, `data` and what lies below, and kernels.
"""
