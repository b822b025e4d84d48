"""The reference: its ends and its shape. The numbers that the book prints are in test_base_known_answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlpbench.kernels import reference
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec


def test_sigmoid_at_the_ends():
    assert reference.sigmoid([-1e4, -745, 0, 745, 1e4]) == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-300)


def test_softmax_of_large_values_is_finite_and_right():
    e = np.exp([-0.0, -10.0, -20.0])
    assert reference.softmax([1010, 1000, 990]) == pytest.approx(e / e.sum(), rel=1e-12)


@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.floats(-1e4, 1e4)))
def test_softmax_is_a_distribution_and_ignores_a_shift(a):
    y = reference.softmax(a)
    assert y.sum(axis=1) == pytest.approx(np.ones(len(a)))
    assert (y >= 0).all()
    assert reference.softmax(a + 32) == pytest.approx(y, rel=1e-9, abs=1e-300)


def test_one_sample_and_a_batch_agree():
    x = np.random.default_rng(1).random((4, 784))
    params = seeded(MNIST)
    assert reference.forward(MNIST, params, x[2]) == pytest.approx(reference.forward(MNIST, params, x)[2])


def test_trace_holds_sums_and_values_of_each_layer():
    spec = ForwardSpec((3, 4, 2), "relu", "identity")
    (a1, z1), (a2, z2) = reference.trace(spec, seeded(spec), np.ones((5, 3)))
    assert (a1.shape, z2.shape) == ((5, 4), (5, 2))
    assert np.array_equal(z1, np.maximum(a1, 0))
    assert np.array_equal(a2, z2)
