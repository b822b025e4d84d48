"""The numbers that the book prints, from the reference and from every kernel that can run here."""

import numpy as np
import pytest

from mlpbench.kernels import reference, registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from support.contestants import NAMES, available, computed, computed_singly

TOLERANCE = {"float32": 2e-7, "float64": 6e-9}
#: One row and many may be summed in another order on a GPU, and tensor cores read 11 bits of a number.
ON_A_GPU, COARSE = 2e-6, 2e-3


class Reference(Kernel):
    """The reference, as a kernel."""

    def forward(self, x):
        return reference.forward(self.spec, self.params, x).astype(self.spec.dtype)


@pytest.fixture(params=["reference", *NAMES])
def kernel_class(request):
    return Reference if request.param == "reference" else available(request.param)


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


def outputs(kernel_class, spec, params, x):
    """Return the outputs of rows given in a batch, after making sure that one at a time gives the same.

    The test is skipped where the kernel cannot express the specification.
    """
    try:
        kernel = kernel_class(spec, params)
    except KernelUnavailable as reason:
        pytest.skip(str(reason))
    x = np.atleast_2d(np.array(x, dtype=spec.dtype))
    with np.errstate(over="ignore"):  # NumPy's kernels let exp overflow, as they say
        batch, single = computed(kernel, x), computed_singly(kernel, x)
    assert single == pytest.approx(batch, abs=tolerance(kernel_class, spec.dtype))
    return batch


def tolerance(kernel_class, dtype):
    if kernel_class.arithmetic in ("tf32", "fp16"):
        return COARSE
    return max(TOLERANCE[dtype], ON_A_GPU if kernel_class.device == "cuda" and dtype == "float32" else 0)


def apply(kernel_class, a, dtype, hidden="sigmoid", output="identity"):
    """Return an activation of the numbers ``a``, through an identity matrix, as the kernel computes it."""
    n = np.shape(a)[-1]
    layers = 1 if output == "softmax" else 2
    spec = ForwardSpec((n,) * (layers + 1), hidden, output, dtype)
    return outputs(kernel_class, spec, Params((np.eye(n),) * layers, (np.zeros(n),) * layers), a)


def test_hand_worked_network(kernel_class, dtype):
    spec = ForwardSpec(HAND_WORKED.sizes, HAND_WORKED.hidden, HAND_WORKED.output, dtype)
    y = outputs(kernel_class, spec, hand_worked(), [1.0, 0.5])
    assert y[0] == pytest.approx([0.31682708, 0.69627909], abs=tolerance(kernel_class, dtype))


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
        y = outputs(kernel_class, spec, Params(weights, biases), [1.0, 0.5])
        assert y[0] == pytest.approx(expected[f"{name}{layers}"], abs=4 * tolerance(kernel_class, dtype)), (
            f"{name}{layers}"
        )


def test_sigmoid(kernel_class, dtype):
    expected = [0.9990889488055994, 0.98201379, 0.99752738, 0.11920292, 0.26894142, 0.88079708]
    y = apply(kernel_class, [7, 4, 6, -2, -1, 2], dtype)
    assert y[0] == pytest.approx(expected, abs=tolerance(kernel_class, dtype))
    if dtype == "float64":
        assert y[0, 0] == pytest.approx(0.9990889488055994, abs=2e-15)


@pytest.mark.parametrize(("hidden", "expected"), [("step", [1, 0, 1, 0, 0]), ("relu", [3, 0, 4, 0, 0])])
def test_step_and_relu(kernel_class, dtype, hidden, expected):
    assert apply(kernel_class, [3, -6, 4, -1, 0], dtype, hidden)[0].tolist() == expected


def test_softmax_of_a_batch_normalises_each_row(kernel_class, dtype):
    y = apply(kernel_class, [[0.3, 2.9, 4.0], [1010, 1000, 990], [0, 0, 0]], dtype, output="softmax")
    assert y.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert y[0] == pytest.approx([0.01821127, 0.24519181, 0.73659691], abs=tolerance(kernel_class, dtype))
    assert y[1] == pytest.approx([0.9999546, 4.5397869e-05, 2.0610600e-09], rel=1e-5)


def test_sums_of_ten_thousand(kernel_class, dtype):
    assert apply(kernel_class, [-1e4, 1e4, 0], dtype)[0] == pytest.approx([0, 1, 0.5], abs=1e-30)
    y = apply(kernel_class, [-1e4, 1e4, 0], dtype, output="softmax")
    assert y[0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", registry.names())
def test_the_books_accuracy_exactly(name, mnist_dir):
    """0.9352 of the 10,000 test images, one at a time and in batches (section 3.6)."""
    from mlpbench.bench.data.datasets import mnist
    from mlpbench.bench.measure.case import predict

    data = mnist(mnist_dir)
    kernel = available(name)(MNIST, load_params(mnist_dir / "sample_weight.pkl", MNIST))
    x = data.inputs("float32")
    for batch_size in (None, 100, 10_000):
        right = np.mean(predict(kernel, x, batch_size) == data.labels)
        assert right == pytest.approx(0.9352, abs=1e-3 if kernel.arithmetic in ("tf32", "fp16") else 1e-9)
