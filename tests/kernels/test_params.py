import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "step"])
@pytest.mark.parametrize("sizes", [(784, 50, 100, 10), (20, 8, 4), (30, 30, 30, 30, 30, 6)])
def test_seeded_networks_can_fail_a_wrong_kernel(sizes, hidden):
    spec = ForwardSpec(sizes, hidden)
    x = np.random.default_rng(9).random((200, spec.n_in))
    y = reference.forward(spec, seeded(spec), x)
    wins = np.bincount(y.argmax(axis=1), minlength=spec.n_out)
    assert (wins > 0).sum() > 1, "one class wins every row"
    assert 1.2 / spec.n_out < y.max(axis=1).mean() < 0.97, "softmax is flat, or saturated"


def test_another_network_is_refused_and_the_hash_sees_every_value_and_shape():
    params, spec = hand_worked(), ForwardSpec((5, 4, 3))
    assert seeded(spec, 7).sha256() == seeded(spec, 7).sha256() != seeded(spec, 8).sha256()
    changed = Params(params.weights, (*params.biases[:2], params.biases[2] + 1e-9))
    assert changed.sha256() != params.sha256() != params.astype("float32").sha256()
    with pytest.raises(ParamsError, match="2-3-2-2, the specification is 784-50-100-10"):
        params.require(MNIST)


@pytest.mark.parametrize(
    ("weights", "biases"),
    [([], []), ([(2, 3)], []), ([(2, 3)], [(2,)]), ([(2, 3), (2, 3)], [(3,), (3,)]), ([(6,)], [(6,)])],
)
def test_shapes_that_do_not_chain(weights, biases):
    with pytest.raises(ParamsError):
        Params(tuple(map(np.zeros, weights)), tuple(map(np.zeros, biases)))
