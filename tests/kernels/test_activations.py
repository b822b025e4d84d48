"""tanh, gelu, silu and leaky-relu, one for each layer: the gate, the error that the code states, both ends, mutants.

A vector kernel's program has the activations of its network. Here all networks share one program, to compile once.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import check
from mlpbench.kernels.errors import NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.numba_simd.codegen import layers
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec, read_hidden
from support.contestants import COMPILED, NAMES, OURS, available, computed, computed_singly, supported


def marked(names):
    """Return the names, with those of the compiled loops marked: to compile all activations takes them seconds."""
    loops = ("numba", "numba-parallel", "numba-parallel divided")
    return [pytest.param(name, marks=pytest.mark.heavy) if name in loops else name for name in names]


VECTORS = [name for name in COMPILED if name.startswith("numba-simd")]
MIXED = "tanh,gelu,silu,leaky-relu:0.2"


@pytest.fixture(autouse=True)
def one_program(monkeypatch):
    all_of_them = layers.others(read_hidden(MIXED))
    monkeypatch.setattr(layers, "others", lambda _: all_of_them)


def applied(kernel_class, hidden, x):
    """Return what an activation makes of each number: one neuron with weight 1, behind one with weight 1."""
    spec = ForwardSpec((1, 1, 1), hidden, "identity", str(x.dtype))
    kernel = kernel_class(spec, Params((np.ones((1, 1)),) * 2, (np.zeros(1),) * 2))
    with np.errstate(over="ignore", invalid="ignore"):
        return computed(kernel, x[:, None])[:, 0]


GATE = ForwardSpec((65, 33, 17, 9, 8, 5), MIXED)


@pytest.mark.parametrize("name", marked(NAMES))
def test_the_gate(name):
    kernel_class = available(name)
    if not supported(kernel_class, GATE):
        pytest.skip("refused by supports, which says why")
    assert check(kernel_class, GATE).max_error_ratio < 0.5


@pytest.mark.heavy
@pytest.mark.parametrize("name", [name for name in OURS if not name.startswith("numba-parallel")])
def test_the_gate_in_float64(name):
    assert check(available(name), replace(GATE, dtype="float64")).max_error_ratio < 0.5


#: The errors that are stated, in units in the last place: for every x, and how many more where x < 0.
STATED = {
    "tanh": lambda x: 1.9 + 0 * x,
    "silu": lambda x: 3 + 0.25 * np.maximum(-x, 0),
    "gelu": lambda x: 6 + np.minimum(x, 0) ** 2 / 2,
}
#: Where results are no denormals, and exp(-x) is finite.
RANGES = {"tanh": (-104, 104), "silu": (-86, 104), "gelu": (-12.5, 13)}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("hidden", STATED)
def test_float32_errs_by_at_most_what_is_stated(name, hidden):
    rng = np.random.default_rng(1)
    spread = [rng.uniform(*RANGES[hidden], 60_000), rng.uniform(-2, 2, 60_000), 10.0 ** rng.uniform(-30, 0, 9_000)]
    x = np.concatenate(spread).astype(np.float32)
    exact = reference.HIDDEN[hidden](x)
    ulps = np.abs(applied(available(name), hidden, x) - exact) / np.spacing(np.abs(exact).astype(np.float32))
    assert (ulps <= STATED[hidden](x)).all()


def normal(x):
    """Return Phi(x) = erfc(-x / sqrt(2)) / 2. What rounding erfc's argument does is taken out, to first order."""
    argument = -x / np.sqrt(np.longdouble(2))
    rounded = argument.astype(np.float64)
    slope = 2 / np.sqrt(np.longdouble(np.pi)) * np.exp(-argument * argument)
    return (np.array([math.erfc(value) for value in rounded]) - slope * (argument - rounded)) / 2


@pytest.mark.heavy
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no long double here to compare float64 with")
@pytest.mark.parametrize("name", ["numba-simd"])
def test_float64_errs_by_at_most_what_is_stated(name):
    x = np.concatenate([np.random.default_rng(1).uniform(-36, 36, 20_000), np.linspace(-1, 1, 20_001)])
    wide = x.astype(np.longdouble)
    exact = {"tanh": np.tanh(wide), "silu": wide / (1 + np.exp(-wide)), "gelu": wide * normal(wide)}
    for hidden, stated in STATED.items():
        allowed = stated(x) + (3 if hidden == "gelu" else 0)  # that of the C library's erfc
        error = np.abs(applied(available(name), hidden, x) - exact[hidden])
        assert (error <= allowed * np.spacing(np.abs(exact[hidden]).astype(np.float64))).all(), hidden


@pytest.mark.parametrize("name", marked(OURS))
@pytest.mark.parametrize("dtype", ["float32"])
def test_both_ends_and_nan(name, dtype):
    x = np.array([-1e4, 1e4, -1e30, 1e30, np.inf, 0, np.nan, -np.inf], dtype)
    below = {"tanh": -1, "gelu": 0, "silu": 0, "leaky-relu:0.2": 0.2}
    for hidden, low in below.items():
        y, high = applied(available(name), hidden, x), 1 if hidden == "tanh" else x
        expected = np.where(x > 0, high, low * (x if hidden.startswith("leaky") else 1.0))
        expected[5:7] = 0, np.nan
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(y[:7], expected[:7], rtol=1e-6, atol=1e-37)
        # Minus infinity times 0, as NumPy, CuPy and PyTorch have it, is NaN. Vectors have the limit.
        if name in VECTORS:
            np.testing.assert_allclose(y[7], expected[7], atol=1e-37)


@pytest.mark.parametrize("name", marked(OURS))
def test_rows_one_at_a_time_and_layers_of_any_width(name):
    spec = ForwardSpec((7, 70, 1, 130, 3), "leaky-relu:0.2,gelu,tanh", "identity")
    params = reference.seeded(spec)
    x = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    kernel = available(name)(spec, params)
    expected = reference.forward(spec, params, x)
    np.testing.assert_allclose(computed(kernel, x), expected, atol=2e-5)
    np.testing.assert_allclose(computed_singly(kernel, x[:4]), expected[:4], atol=2e-5)


def test_known_values():
    a = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    exact = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in a]
    np.testing.assert_allclose(reference.gelu(a), exact, rtol=1e-14)
    np.testing.assert_allclose(reference.silu(a), [v / (1 + math.exp(-v)) for v in a], rtol=1e-14)
    np.testing.assert_array_equal(reference.leaky_relu(a, 0.5), [-1.5, -0.25, 0, 0.5, 3])


def approximate_gelu(a):
    """The approximation by tanh, off by up to 5e-4: what `gelu` means in some libraries."""
    inner = a.dtype.type(math.sqrt(2 / math.pi)) * (a + a.dtype.type(0.044715) * a**3)
    return a.dtype.type(0.5) * a * (1 + np.tanh(inner))


@pytest.mark.parametrize(
    ("asked", "computes"),
    [
        ("gelu", approximate_gelu),
        ("silu", lambda a: a / (1 + np.exp(np.float32(-1.001) * a))),
        ("tanh", lambda a: np.clip(a, -1, 1)),
        ("leaky-relu:0.2", lambda a: np.maximum(a, np.float32(0.201) * a)),
        ("identity", lambda a: np.maximum(a, np.float32(0.99) * a)),
    ],
)
def test_the_gate_refuses_an_activation_that_is_nearly_right(asked, computes):
    class Mutant(NumpyKernel):
        def __init__(self, spec, params):
            super().__init__(spec, params)
            self._layers = [(W, b, computes) for W, b, _ in self._layers[:-1]] + self._layers[-1:]

    spec = ForwardSpec((40, 30, 10), asked)
    check(NumpyKernel, spec)
    with pytest.raises(NonConforming, match="off by"):
        check(Mutant, spec)
