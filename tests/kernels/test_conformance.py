import math
from dataclasses import replace

import numpy as np
import pytest

from mlpbench.kernels.conformance import check, compare
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import available
from support.doubles import ConstructorRaises, OnlyReluKernel
from support.mutants import MUTANTS, CleansItsInputs, InputOverwritten, SoftmaxDropped, of_inputs, of_layers
from support.refusals import refusal

RELU = ForwardSpec((784, 50, 100, 10), "relu", "identity")


#: What the verdict on a network with sigmoid says of some; all others are off.
WORDS = {
    "InputOverwritten": "the input was overwritten",
    "WrongAxis": r"shape \(10, 37\), expected \(37, 10\)",
    "WrongDtype": "output is float64, expected float32",
    "ReturnsNone": "the result is NoneType",
    "ReturnsAList": "the result is list",
    "Raises": "raised MemoryError: out of device memory",
    "GivesNan": "row 0 has nan at output 0 where 0",
    "ClipsItsInputs": r"a batch of 10: row \d is off by",
    "CleansItsInputs": "a batch of 10: row 8 has 0.* at output 0 where nan is right",
    "SpreadsNan": "a batch of 10: row 0 has nan at output 0 where 0",
    "SingleModeWrong": "one row at a time",
    "StaleResult": "a batch of 5",
}


@pytest.mark.parametrize("spec", [MNIST, RELU, replace(MNIST, dtype="float64")], ids=str)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_every_mutant_is_caught_and_the_verdict_says_what_is_wrong(mutant, spec):
    if spec == RELU and mutant in (SoftmaxDropped, CleansItsInputs):
        # Without a softmax there is none to drop; whether 0 or NaN is the larger, IEEE 754 leaves open.
        assert check(mutant, spec).max_error_ratio < 1
        return
    words = WORDS.get(mutant.__name__, "off by .* where .* is allowed")
    refusal(NonConforming, words if spec == MNIST else "", check, mutant, spec)


def test_a_right_kernel_passes_and_what_cannot_be_asked_is_no_verdict():
    for hidden in ("sigmoid", "relu", "step"):
        result = check(NumpyKernel, ForwardSpec((31, 17, 5), hidden))
        assert 0 < result.max_error < 1e-5
        assert 0 < result.max_error_ratio < 0.5
    refusal(NonConforming, "the constructor: raised RuntimeError", check, ConstructorRaises, MNIST)
    assert check(OnlyReluKernel, RELU).max_error_ratio < 1
    refusal(KernelUnavailable, "no activation sigmoid", check, OnlyReluKernel, MNIST)


def test_a_kernel_may_answer_nan_where_an_input_is_infinite_and_a_kernel_of_bytes_is_not_asked():
    """In products that are made of two halves, infinity becomes NaN."""

    halves = of_inputs("Halves", lambda x: x / 2 + (x - x / 2))

    class Bytes(NumpyKernel):
        def nearest(self, x):
            return np.round(255 * np.clip(np.nan_to_num(x), 0, 1)).astype(x.dtype) / 255

        def from_host(self, x):
            return np.clip(x, 0, 1)

    assert check(halves, MNIST).max_error_ratio < 1
    assert check(Bytes, MNIST).max_error_ratio < 1


class Int8(NumpyKernel):
    """Products of whole numbers: inputs of a layer in steps of all rows, weights in steps of their column."""

    arithmetic, scale = "int8", 1.0

    def nearest(self, x):
        return np.nan_to_num(x)

    def forward(self, x):
        z = x
        for W, b, activation in self._layers:
            step, steps = (max(z.max(), 0) - min(z.min(), 0)) / 255 or 1.0, abs(W).max(axis=0) / 127
            sums = np.round(z / step) @ np.round(W / steps) * (self.scale * step * steps)
            z = activation((sums + b).astype(x.dtype))
        return z


@pytest.mark.parametrize("spec", [MNIST, RELU, ForwardSpec((31, 17, 5), "tanh")], ids=str)
def test_whole_numbers_pass_as_int8_alone_and_a_scale_that_is_wrong_by_a_twentieth_is_refused(spec):
    assert 0.1 < check(Int8, spec).max_error_ratio < 0.5
    for wrong in ({"scale": 1.05}, {"scale": 0.95}, {"arithmetic": "dtype"}):
        with pytest.raises(NonConforming, match="off by"):
            check(type("Wrong", (Int8,), wrong), spec)


def test_bytes_of_numba_with_a_step_that_is_wrong_by_a_twentieth_are_refused():
    kernel_class, params = available("numba-simd-int8"), seeded(MNIST)
    scaled = Params(tuple(1.05 * W for W in params.weights), params.biases)
    made = {"__init__": lambda self, spec, _params: kernel_class.__init__(self, spec, scaled)}
    assert check(kernel_class, MNIST).max_error_ratio < 0.5
    refusal(NonConforming, "off by", check, type("Wrong", (kernel_class,), made), MNIST)


def test_each_row_has_its_class_where_that_leads_by_more_than_is_allowed():
    right, got = np.array([[0.5, 0.3, 0.2]]), np.array([[0.39, 0.41, 0.2]], np.float32)
    allowed, decidable = np.full((1, 3), 0.15), np.array([True])
    with pytest.raises(NonConforming, match=r"largest output at 1 where 0 is right by 0\.2, and 0\.15 is allowed"):
        compare(right, allowed, decidable, got, "here")
    assert compare(right, allowed + 0.06, decidable, got, "here").max_error == pytest.approx(0.11)
    assert compare(right, allowed, ~decidable, got, "here").max_error == 0


def test_overwriting_the_input_on_a_device_shows():
    elsewhere = type("Elsewhere", (InputOverwritten,), {"from_host": lambda self, x: x.copy()})
    refusal(NonConforming, "the input was overwritten", check, elsewhere, MNIST)


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
def test_an_activation_that_is_nearly_right_is_refused(asked, computes):
    nearly = of_layers("Nearly", lambda layers: [*((W, b, computes) for W, b, _ in layers[:-1]), layers[-1]])
    spec = ForwardSpec((40, 30, 10), asked)
    check(NumpyKernel, spec)
    refusal(NonConforming, "off by", check, nearly, spec)
