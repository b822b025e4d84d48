"""In: the options that name a network, data and weights; files, and public mirrors of MNIST.

Out: inputs, labels and parameters, and the workload made of them.
May import: `values`, `cases`, `words`, `errors` and kernels; no clock.
"""
