"""The kernel over any array namespace: the gate for each, what it cannot express, and what it waits for."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.conformance import check
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.own import array_api
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import contestants
from support.refusals import refusal

SPECS = [
    ForwardSpec((65, 33, 17, 9, 5), "tanh,silu,leaky-relu:0.2"),
    ForwardSpec((40, 20, 12, 3), "relu,step", "identity"),
    ForwardSpec((40, 20, 3)),
    ForwardSpec((40, 20, 3), "tanh", dtype="float64"),
]
#: Small libraries in the tests' own environment; with the peers; for the heavy tests, which install it.
NAMESPACES = ["numpy", "array_api_strict", "torch", "jax.numpy", "mlx.core"]


def available(namespace):
    return contestants.available(registry.give(f"array-api:{namespace}"))


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_gate(namespace, spec):
    kernel_class = available(namespace)
    if contestants.supported(kernel_class, spec):
        assert check(kernel_class, spec).max_error_ratio < 0.5
    else:
        assert spec.dtype == "float64"


@pytest.mark.heavy
def test_the_gate_of_a_library_that_computes_nothing_unless_asked():
    kernel_class = available("dask.array")
    assert check(kernel_class, SPECS[0]).max_error_ratio < 0.5
    kernel = kernel_class(SPECS[2], seeded(SPECS[2]))
    y = kernel.forward(kernel.from_host(np.ones((3, 40), np.float32)))
    assert all(isinstance(part, np.ndarray) for part in y.dask.values() if not callable(part)), "nothing is left to do"


def test_who_computes_later_is_waited_for_in_the_clock():
    """The harness waits where `synchronize` is overridden."""
    waits = {name for name, library in array_api.LIBRARIES.items() if library.wait}
    assert waits == {"jax.numpy", "cupy", "mlx.core"}
    for name in array_api.LIBRARIES:
        overridden = array_api.kernel_class(name).synchronize is not Kernel.synchronize
        assert overridden == (name in waits)
    kernel_class = available("jax.numpy")
    kernel = kernel_class(MNIST, seeded(MNIST))
    y = kernel.forward(kernel.from_host(np.ones((3, 784), np.float32)))
    kernel.synchronize(y)
    assert y.is_ready()
    refusal(KernelUnavailable, "JAX_ENABLE_X64=1", kernel_class.supports, ForwardSpec((4, 3), dtype="float64"))


def test_a_result_of_an_unknown_library_is_brought_to_numpy_in_the_clock(monkeypatch):
    monkeypatch.delitem(array_api.LIBRARIES, "array_api_strict")
    array_api.kernel_class.cache_clear()
    kernel_class = available("array_api_strict")
    assert check(kernel_class, SPECS[0]).max_error_ratio < 0.5
    kernel = kernel_class(MNIST, seeded(MNIST))
    assert type(kernel.forward(kernel.from_host(np.ones((3, 784), np.float32)))) is np.ndarray
    array_api.kernel_class.cache_clear()


def test_what_the_standard_lacks_is_a_reason_and_names_are_those_of_modules():
    with pytest.raises(KernelUnavailable, match="gelu needs erf, which the array API standard does not have"):
        check(available("array_api_strict"), ForwardSpec((4, 3, 2), "gelu"))
    assert registry.give("array-api:jax.numpy") == "array-api-jax.numpy" == registry.typed_name("array-api:jax.numpy")
    for text in ("array-api:", "array-api:../x", "array-api:a b"):
        refusal(UnknownKernel, "", registry.give, text)
    with pytest.raises(KernelUnavailable, match=r"math has no maximum, .*: it is no array API namespace"):
        registry.load(registry.give("array-api:math")).probe()
    with pytest.raises(KernelUnavailable, match="nothing_of_this_name cannot be imported: No module named"):
        registry.load("array-api-nothing_of_this_name").probe()


def test_a_library_without_its_device_is_a_reason(monkeypatch):
    def no_device(*_, **__):
        raise RuntimeError("no device\nwas found")

    module = SimpleNamespace(**dict.fromkeys(array_api._NEEDED), asarray=no_device)
    monkeypatch.setitem(sys.modules, "without_a_card", module)
    kernel_class = registry.load("array-api-without_a_card")
    refusal(KernelUnavailable, r"^without_a_card .* here: RuntimeError: no device was found$", kernel_class.probe)
