import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlpbench.kernels import reference
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec


def close(expected):
    return pytest.approx(np.asarray(expected, dtype=float), abs=5e-9)


def test_sigmoid():
    assert reference.sigmoid(7) == pytest.approx(0.9990889488055994, abs=1e-15)
    assert reference.sigmoid([4, 6, -2, -1, 2]) == close([0.98201379, 0.99752738, 0.11920292, 0.26894142, 0.88079708])


def test_sigmoid_at_the_ends():
    assert reference.sigmoid([-1e4, -745, 0, 745, 1e4]) == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-300)


def test_step():
    assert reference.step([3, -6, 4, -1]).tolist() == [1, 0, 1, 0]
    assert reference.step(0) == 0


def test_relu():
    assert reference.relu([-2, 0, 3]).tolist() == [0, 0, 3]


def test_softmax():
    assert reference.softmax([0.3, 2.9, 4.0]) == close([0.01821127, 0.24519181, 0.73659691])


def test_softmax_of_large_values_is_finite_and_right():
    e = np.exp([-0.0, -10.0, -20.0])
    assert reference.softmax([1010, 1000, 990]) == pytest.approx(e / e.sum(), rel=1e-12)


def test_softmax_normalises_each_row():
    y = reference.softmax([[0.3, 2.9, 4.0], [1010, 1000, 990]])
    assert y.sum(axis=1) == pytest.approx([1, 1])
    assert y[0] == close([0.01821127, 0.24519181, 0.73659691])


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
