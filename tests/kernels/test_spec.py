import json

import numpy as np
import pytest

from mlpbench.kernels.errors import SpecError
from mlpbench.kernels.spec import HAND_WORKED, MNIST, Activation, ForwardSpec
from support.refusals import refusal


def test_the_books_networks_their_work_and_bytes():
    assert MNIST.label() == "784-50-100-10"
    assert (MNIST.hidden, MNIST.output, MNIST.dtype) == ("sigmoid", "softmax", "float32")
    assert (HAND_WORKED.sizes, HAND_WORKED.hidden, HAND_WORKED.output) == ((2, 3, 2, 2), "sigmoid", "identity")
    assert MNIST.n_weights == 45_200
    assert MNIST.flop(1) == 2 * 45_200 + 160
    assert MNIST.weight_bytes() == 4 * (45_200 + 160)
    assert MNIST.input_bytes(3) == 3 * 784 * 4
    assert ForwardSpec((784, 50, 100, 10), dtype="float64").weight_bytes() == 2 * MNIST.weight_bytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parse_and_json_round_trip(dtype):
    spec = ForwardSpec.parse("7-5-3", "leaky-relu:0.2", "identity", dtype)
    assert ForwardSpec(**{**json.loads(json.dumps(spec.as_dict())), "sizes": spec.sizes}) == spec
    assert spec.np_dtype == np.dtype(dtype)


def test_an_activation_for_each_hidden_layer_written_in_one_way():
    spec = ForwardSpec((4, 3, 3, 2), "leaky-relu:0.20,tanh")
    assert spec.hidden == "leaky-relu:0.2,tanh"
    assert spec.activations == (Activation("leaky-relu", 0.2), Activation("tanh"))
    assert ForwardSpec((4, 3, 3, 2), "relu,relu") == ForwardSpec((4, 3, 3, 2), "relu")
    assert ForwardSpec((4, 3, 2), "leaky-relu:0.01").hidden == "leaky-relu"
    assert ForwardSpec((4, 2), "gelu").activations == ()


@pytest.mark.parametrize(
    ("sizes", "hidden", "words"),
    [
        ("", "relu", "write sizes as 784-50-100-10"),
        ("784-fifty", "relu", "write sizes as"),
        ("7-3.5", "relu", "write sizes as"),
        ("784", "relu", "at least an input and an output"),
        ("784-0-10", "relu", "at least 1"),
        ("100000-100000", "relu", "limit"),
        ("4-3-3-2", "tanh,relu,relu", "2 hidden layers, and hidden names 3"),
        ("4-3-3-2", "tanh,", "hidden must be one of"),
        ("4-3-3-2", "tanh:0.1", "hidden must be one of"),
        ("4-3-3-2", "leaky-relu:", "number from 0 to 1"),
        ("4-3-3-2", "leaky-relu:nan", "number from 0 to 1"),
        ("4-3-3-2", "leaky-relu:2", "number from 0 to 1, got '2'"),
        ("4-3-3-2", "x" * 5000, "hidden must be one of"),
    ],
)
def test_refused_sizes_and_activations(sizes, hidden, words):
    assert len(refusal(SpecError, words, ForwardSpec.parse, sizes, hidden)) < 200


def test_refused_words_name_the_allowed_and_sizes_are_whole_numbers():
    for field in ("hidden", "output", "dtype"):
        refusal(SpecError, f"{field} must be one of .*; got 'tan'", ForwardSpec, (2, 2), **{field: "tan"})
    for sizes in ((2.0, 3), (True, 2), ("2", "3"), (2, None)):
        refusal(SpecError, "whole numbers", ForwardSpec, sizes)
