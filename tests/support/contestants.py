"""Every kernel as the tests of the contract take it, how to ask it, and random specifications for it."""

import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import strategies as st

from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_cupy import CupyKernel, CupyPlainKernel
from mlpbench.kernels.mlp_numba import NumbaParallelKernel
from mlpbench.kernels.mlp_numba_simd import NumbaSimdParallelKernel
from mlpbench.kernels.spec import HIDDEN, ForwardSpec


def divided(cls, threads=3, *, by_columns=False):
    """Return ``cls`` with so many threads, which divide even one row, or columns of wide networks."""

    rows, size = (sys.maxsize, 0) if by_columns else (0, 2**40)
    methods = {"_threads": lambda _: threads, "_smallest_divided": lambda _: rows, "_least_bytes": lambda _: size}
    return type("Divided", (cls,), methods)


by_columns = partial(divided, by_columns=True)


def specs(max_size=70, max_layers=4):
    """Any specification: odd widths, one layer, one neuron, every activation and dtype."""
    return st.builds(
        ForwardSpec,
        st.lists(st.integers(1, max_size), min_size=2, max_size=max_layers + 1).map(tuple),
        *map(st.sampled_from, (("sigmoid", "relu", "step"), ("softmax", "identity"), ("float32", "float64"))),
    )


#: Every activation; two slopes would be two activations.
EACH = [name if name != "leaky-relu" else "leaky-relu:0.2" for name in HIDDEN]
#: Kernels on a GPU; whoever asks one installs the stand-in before.
STAND_INS = {"cupy with a stand-in": CupyKernel, "cupy-plain with a stand-in": CupyPlainKernel}
#: What the registry's kernels would do with larger batches only, or on a GPU.
PARALLEL = {"numba-parallel": NumbaParallelKernel, "numba-simd-parallel": NumbaSimdParallelKernel}
VARIANTS = {f"{name} divided": divided(cls) for name, cls in PARALLEL.items()} | STAND_INS
#: Kernels whose library is installed, but for those of pixels, which most tests do not give, and the one that a C++
#: compiler makes for each specification.
INSTALLED = [name for name in registry.names() if registry.load(name).version() and name != "torch-compile"]
NAMES = [name for name in [*INSTALLED, *VARIANTS] if "-u8" not in name]
#: Kernels compiled for one type of input, which check its shape themselves.
COMPILED = [name for name in NAMES if name.startswith("numba")]
#: Kernels of this project that need no GPU. Their answers to NaN, infinity and denormals are known, but for bytes.
OURS = [name for name in NAMES if name not in registry.peers() and not name.startswith("cupy-") and name != "cupy"]
OURS.remove("numba-simd-int8")


def available(name):
    """Return the kernel's class; skip the test, saying why, where it cannot run here."""
    kernel_class = VARIANTS.get(name) or registry.load(name)
    try:
        kernel_class.probe()
    except KernelUnavailable as reason:
        pytest.skip(f"{name}: {reason}")
    return kernel_class


def supported(kernel_class, spec):
    try:
        kernel_class.supports(spec)
    except KernelUnavailable:
        return False
    return True


def waited(kernel, y):
    """Return a result as a NumPy array that later calls leave alone."""
    kernel.synchronize(y)
    return kernel.to_host(y).copy()


def computed(kernel, x):
    """Return the outputs of a batch."""
    return waited(kernel, kernel.forward(kernel.from_host(x)))


def computed_singly(kernel, x):
    """Return the outputs of the rows of a batch, which are given one at a time."""
    return np.array([waited(kernel, kernel.forward_one(kernel.from_host(row))) for row in x])
