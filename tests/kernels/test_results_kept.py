"""What kernels say of their results is so: an array of its own for each call, or a buffer that the next call uses."""

import numpy as np
import pytest

from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numpy import NumpyKernel, NumpyOutKernel
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import ForwardSpec

SPECS = [ForwardSpec((31, 17, 5)), ForwardSpec((31, 17, 5), "relu", "identity")]
#: Compiling takes it tens of seconds; one specification and way of calling is enough.
SLOW = {"torch-compile"}


def stays(kernel, call, x, other):
    """Return whether a result is still what it was after the next call, and whether it is now the next one's."""
    first = call(kernel.from_host(x))
    kernel.synchronize(first)
    before = kernel.to_host(first).copy()
    second = call(kernel.from_host(other))
    kernel.synchronize(second)
    after, following = kernel.to_host(first), kernel.to_host(second)
    assert not np.array_equal(before, following), "two inputs that nobody could tell apart prove nothing"
    return np.array_equal(after, before), np.array_equal(after, following)


def holds(kernel_class, spec, rows=(1, 4)):
    """Return whether a kernel keeps its word, in batches and one at a time."""
    x = np.random.default_rng(0).random((8, spec.n_in)).astype(spec.dtype)
    kernel = kernel_class(spec, seeded(spec))
    expected = {"new": (True, False), "kept": (False, True)}[kernel_class.returns]
    found = [stays(kernel, kernel.forward, x[:n], x[n : 2 * n]) for n in rows]
    if rows != (4,):
        found.append(stays(kernel, kernel.forward_one, x[0], x[1]))
    return all(one == expected for one in found)


@pytest.mark.parametrize("name", registry.names())
def test_every_kernel_keeps_its_word(name):
    kernel_class = registry.load(name)
    try:
        kernel_class.probe()
    except KernelUnavailable as reason:
        pytest.skip(f"{name}: {reason}")
    for spec in SPECS[: 1 if name in SLOW else None]:
        try:
            kernel_class.supports(spec)
        except KernelUnavailable:
            continue
        assert holds(kernel_class, spec, rows=(4,) if name in SLOW else (1, 4))


def test_one_that_does_not_is_found():
    class Liar(NumpyOutKernel):
        returns = "new"

    class Waster(NumpyKernel):
        returns = "kept"

    class LiarOneAtATime(NumpyKernel):
        def forward_one(self, x):
            if not hasattr(self, "_row"):
                self._row = np.empty(self.spec.n_out, self.spec.np_dtype)
            self._row[:] = super().forward_one(x)
            return self._row

    for kernel_class in (Liar, Waster, LiarOneAtATime):
        assert not holds(kernel_class, SPECS[0])


def test_peers_and_our_kernels_have_partners_of_both_kinds():
    """Otherwise nothing could be held beside them like for like."""
    peers = {registry.load(name).returns for name in registry.peers()}
    ours = {registry.load(name).returns for name in registry.names() if name not in registry.peers()}
    assert peers == ours == {"new", "kept"}
