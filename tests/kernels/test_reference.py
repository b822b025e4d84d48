"""The reference and its parameters: numbers that are known, what does not fit, how far a kernel may be from it."""

import math

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.reference import bound, seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.refusals import refusal


def test_known_values():
    a = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    exact = [v * math.erfc(-v / math.sqrt(2)) / 2 for v in a]
    np.testing.assert_allclose(reference.gelu(a), exact, rtol=1e-14)
    np.testing.assert_allclose(reference.silu(a), [v / (1 + math.exp(-v)) for v in a], rtol=1e-14)
    np.testing.assert_array_equal(reference.leaky_relu(a, 0.5), [-1.5, -0.25, 0, 0.5, 3])


def test_another_network_is_refused_and_the_hash_sees_every_value_and_shape():
    params, spec = hand_worked(), ForwardSpec((5, 4, 3))
    assert seeded(spec, 7).sha256() == seeded(spec, 7).sha256() != seeded(spec, 8).sha256()
    changed = Params(params.weights, (*params.biases[:2], params.biases[2] + 1e-9))
    assert changed.sha256() != params.sha256() != params.astype("float32").sha256()
    refusal(ParamsError, "2-3-2-2, the specification is 784-50-100-10", params.require, MNIST)


@pytest.mark.parametrize(
    ("weights", "biases"),
    [([], []), ([(2, 3)], []), ([(2, 3)], [(2,)]), ([(2, 3), (2, 3)], [(3,), (3,)]), ([(6,)], [(6,)])],
)
def test_shapes_that_do_not_chain(weights, biases):
    refusal(ParamsError, "", Params, tuple(map(np.zeros, weights)), tuple(map(np.zeros, biases)))


# How far a kernel may be from it


def test_float64_is_held_to_float64():
    spec = ForwardSpec((784, 50, 100, 10), dtype="float64")
    allowed, _ = bound(spec, seeded(spec), np.random.default_rng(0).random((5, 784)))
    assert allowed.max() < 1e-12


def test_a_step_on_its_threshold_is_nobodys_fault():
    spec = ForwardSpec((1, 1, 1), "step", "identity")
    params = Params((np.ones((1, 1)), np.ones((1, 1))), (np.array([-0.5]), np.zeros(1)))
    _, decidable = bound(spec, params, np.array([[0.5], [0.5 + 1e-9], [0.6]]))
    assert decidable.tolist() == [False, False, True]
