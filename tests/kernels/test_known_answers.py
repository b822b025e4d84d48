"""The numbers that the book prints, from every kernel that can run here. CuPy's lines run under NumPy elsewhere."""

import numpy as np
import pytest

from mlpbench.kernels import registry
from mlpbench.kernels.conformance import check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from mlpbench.kernels.weights import load_params

TOLERANCE = {"float32": 2e-7, "float64": 6e-9}


#: A C++ compiler makes it, for each specification, in seconds: it is held to the gate and to the book's accuracy.
SLOW = ["torch-compile"]
every_kernel = pytest.mark.parametrize("kernel_class", registry.names(), indirect=True)


@pytest.fixture(params=[name for name in registry.names() if name not in SLOW])
def kernel_class(request):
    cls = registry.load(request.param)
    try:
        cls.probe()
    except KernelUnavailable as reason:
        pytest.skip(f"{request.param}: {reason}")
    return cls


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


def make(kernel_class, spec, params):
    """Return the kernel; skip the test where it cannot express the specification."""
    try:
        return kernel_class(spec, params)
    except KernelUnavailable as reason:
        pytest.skip(str(reason))


def both_modes(kernel, x):
    """Return the outputs of rows given in a batch, after making sure that one at a time gives the same."""
    x = np.array(x, dtype=kernel.spec.dtype)

    def host(y):
        kernel.synchronize(y)
        return kernel.to_host(y).copy()

    batch = host(kernel.forward(kernel.from_host(x)))
    single = np.stack([host(kernel.forward_one(kernel.from_host(row))) for row in x])
    assert single == pytest.approx(batch, abs=TOLERANCE[kernel.spec.dtype])
    return batch


def apply(kernel_class, a, dtype, hidden="sigmoid", output="identity"):
    """Return an activation of the numbers ``a``, through an identity matrix, as the kernel computes it."""
    n = np.shape(a)[-1]
    layers = 1 if output == "softmax" else 2
    spec = ForwardSpec((n,) * (layers + 1), hidden, output, dtype)
    params = Params((np.eye(n),) * layers, (np.zeros(n),) * layers)
    return both_modes(make(kernel_class, spec, params), np.atleast_2d(a))


def test_hand_worked_network(kernel_class, dtype):
    spec = ForwardSpec(HAND_WORKED.sizes, HAND_WORKED.hidden, HAND_WORKED.output, dtype)
    y = both_modes(make(kernel_class, spec, hand_worked()), [[1.0, 0.5]])
    assert y[0] == pytest.approx([0.31682708, 0.69627909], abs=TOLERANCE[dtype])


def test_hand_worked_layers(kernel_class, dtype):
    """A1, Z1, A2 and Z2 of the text: the network cut off after each step, with identity matrices to show it."""
    params = hand_worked()
    expected = {
        "A1": [0.3, 0.7, 1.1],
        "Z1": [0.57444252, 0.66818777, 0.75026011],
        "A2": [0.51615984, 1.21402696],
        "Z2": [0.62624937, 0.7710107],
    }
    for layers, name in ((1, "A"), (2, "A"), (1, "Z"), (2, "Z")):
        weights, biases = params.weights[:layers], params.biases[:layers]
        n = weights[-1].shape[1]
        if name == "Z":  # one more layer that changes nothing, so that this one is hidden
            weights, biases = (*weights, np.eye(n)), (*biases, np.zeros(n))
        spec = ForwardSpec(Params(weights, biases).sizes, "sigmoid", "identity", dtype)
        y = both_modes(make(kernel_class, spec, Params(weights, biases)), [[1.0, 0.5]])
        assert y[0] == pytest.approx(expected[f"{name}{layers}"], abs=4 * TOLERANCE[dtype]), f"{name}{layers}"


def test_sigmoid(kernel_class, dtype):
    expected = [0.9990889488055994, 0.98201379, 0.99752738, 0.11920292, 0.26894142, 0.88079708]
    y = apply(kernel_class, [7, 4, 6, -2, -1, 2], dtype)
    assert y[0] == pytest.approx(expected, abs=TOLERANCE[dtype])
    if dtype == "float64":
        assert y[0, 0] == pytest.approx(0.9990889488055994, abs=2e-15)


def test_step(kernel_class, dtype):
    assert apply(kernel_class, [3, -6, 4, -1, 0], dtype, "step")[0].tolist() == [1, 0, 1, 0, 0]


def test_relu(kernel_class, dtype):
    assert apply(kernel_class, [3, -6, 4, -1, 0], dtype, "relu")[0].tolist() == [3, 0, 4, 0, 0]


def test_softmax(kernel_class, dtype):
    y = apply(kernel_class, [0.3, 2.9, 4.0], dtype, output="softmax")
    assert y[0] == pytest.approx([0.01821127, 0.24519181, 0.73659691], abs=TOLERANCE[dtype])


def test_softmax_of_large_values(kernel_class, dtype):
    y = apply(kernel_class, [1010, 1000, 990], dtype, output="softmax")
    assert np.isfinite(y).all()
    assert y[0] == pytest.approx([0.9999546, 4.5397869e-05, 2.0610600e-09], rel=1e-5)


def test_softmax_of_a_batch_normalises_each_row(kernel_class, dtype):
    y = apply(kernel_class, [[0.3, 2.9, 4.0], [1010, 1000, 990], [0, 0, 0]], dtype, output="softmax")
    assert y.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert y[0] == pytest.approx([0.01821127, 0.24519181, 0.73659691], abs=TOLERANCE[dtype])


@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")  # see kernels.mlp_numpy
def test_sums_of_ten_thousand(kernel_class, dtype):
    assert apply(kernel_class, [-1e4, 1e4, 0], dtype)[0] == pytest.approx([0, 1, 0.5], abs=1e-30)
    y = apply(kernel_class, [-1e4, 1e4, 0], dtype, output="softmax")
    assert y[0].tolist() == [0, 1, 0]


@every_kernel
def test_the_gate(kernel_class, dtype):
    spec = ForwardSpec((784, 50, 100, 10), dtype=dtype)
    try:
        assert check(kernel_class, spec).max_error_ratio < 1
    except KernelUnavailable as reason:
        pytest.skip(str(reason))


@every_kernel
def test_the_books_accuracy_exactly(kernel_class, mnist_dir):
    """0.9352 of the 10,000 test images, one at a time and in batches (section 3.6)."""
    from mlpbench.bench.data.datasets import mnist
    from mlpbench.bench.data.workload import predict

    data = mnist(mnist_dir)
    kernel = kernel_class(MNIST, load_params(mnist_dir / "sample_weight.pkl", MNIST))
    x = data.inputs("float32")
    for batch_size in (None, 100, 10_000):
        assert np.mean(predict(kernel, x, batch_size) == data.labels) == 0.9352
