"""What a run computes: which data and weights belong to which options, the gate and the accuracy on them."""

from functools import partial

import numpy as np
import pytest
from _pytest.config.argparsing import Parser

from mlpbench.bench.data import datasets
from mlpbench.bench.data.datasets import WEIGHTS_FILE
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import plugin
from mlpbench.bench.measure.case import book
from mlpbench.bench.record.schema import PARTS
from mlpbench.kernels import conformance
from mlpbench.kernels.errors import NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.models.weights import load_params, save_params
from mlpbench.kernels.params import TRAINED_FILE
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import idx_files


class WrongOnRealImages(NumpyKernel):
    """Right on the gate's own data, wrong where most pixels are black: the timed data must be gated too."""

    def forward(self, x):
        y = super().forward(x)
        return y[:, ::-1].copy() if x.ndim == 2 and (x == 0).mean() > 0.5 else y


class WrongOnOneRealImage(NumpyKernel):
    """The same, one at a time only."""

    def forward_one(self, x):
        return super().forward_one(x)[:: -1 if (x == 0).mean() > 0.5 else 1].copy()


class TurnedOneByOne(NumpyKernel):
    """Gives the classes in reverse order where rows come one at a time."""

    def forward_one(self, x):
        return super().forward_one(x)[::-1].copy()


def kernel_of(workload, kernel_class=NumpyKernel):
    return kernel_class(workload.spec, workload.params)


@pytest.fixture
def fake_mnist(tmp_path, monkeypatch):
    """Return the folder of MNIST's files, with ten images that look like its test half."""
    idx_files.write(tmp_path, idx_files.TEST, 10)
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("options", "data", "weights"),
    [
        (Options(), "digits", "trained"),
        (Options(dtype="float64"), "digits", "trained"),
        (Options(data="random"), "random", "trained"),
        (Options(spec="784-50-10"), "digits", "seeded"),
        (Options(spec="784-50-100-10:relu"), "digits", "seeded"),
        (Options(spec="784-50-100-10:/identity"), "digits", "seeded"),
        (Options(spec="20-10-3"), "random", "seeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value.arguments()),
)
def test_data_and_weights_where_none_are_named(options, data, weights):
    workload = Workload(options, rows=50)
    assert (workload.dataset.name, workload.weights_source) == (data, weights)
    assert workload.params.sizes == workload.spec.sizes
    spec, of_data, of_weights = workload.facts()
    assert (spec, of_data[0], of_data[2]) == (workload.spec, data, workload.dataset.sha256)
    assert of_weights == (weights, workload.params.sha256())


def test_weights_are_those_that_are_named_else_the_books_where_they_lie_beside_mnist_else_those_that_fit(fake_mnist):
    assert Workload(Options()).params.sha256() == load_params(TRAINED_FILE, MNIST).sha256()
    spec = ForwardSpec((20, 10, 3))
    assert Workload(Options(spec="20-10-3")).params.sha256() == seeded(spec, 0).sha256()
    save_params(fake_mnist / "mine.npz", seeded(spec, 5))
    workload = Workload(Options(spec="20-10-3", model=str(fake_mnist / "mine.npz")))
    assert workload.facts()[2] == ("mine.npz", seeded(spec, 5).sha256())
    book = fake_mnist / WEIGHTS_FILE
    book.touch()
    # The book's are of one network only, belong to MNIST only, and give way to what is named.
    for options, source in (
        (Options(data="mnist"), str(book)),
        (Options(spec="784-10", data="mnist"), "seeded"),
        (Options(data="digits"), "trained"),
        (Options(data="mnist", model=str(TRAINED_FILE)), str(TRAINED_FILE)),
    ):
        assert Workload(options).weights_source == source
    book.unlink()
    assert Workload(Options(data="mnist")).weights_source == "trained"


def test_options_survive_the_way_through_pytests_command_line(tmp_path):
    parser = Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    folder = tmp_path / "with space=and sign"
    every = Options("20-10-3:relu/identity", "float64", "random", str(folder / "w.npz"))
    for options in (Options(), every):
        words = options.arguments()
        read = parser.parse(words)
        assert Options(**{name: getattr(read, name) for name in vars(options)}) == options
    assert not [word for word in Options().arguments() if word.startswith(("--data", "--model"))]


def test_inputs_are_repeated_where_there_are_fewer_and_that_is_said():
    for dtype in ("float32", "float64"):
        workload = Workload(Options(dtype=dtype), rows=2500)
        x = workload.inputs
        assert (x.shape, x.dtype, x.flags.c_contiguous, workload.repeated) == ((2500, 784), dtype, True, True)
        assert (x.min(), x.max()) == (0, 1)
        assert np.array_equal(x[:1000], x[1000:2000])
    assert not Workload(Options(), rows=1000).repeated


def test_accuracy_counts_both_modes_over_the_whole_data_set_or_says_why_not():
    workload = Workload(Options(), rows=10)
    right = workload.accuracy(kernel_of(workload))
    assert (right["rows"], right["reason"]) == (1000, None)
    assert right["per_sample"] == right["batched"] == pytest.approx(0.964, abs=0.02)
    turned = workload.accuracy(kernel_of(workload, TurnedOneByOne))
    assert turned["batched"] == right["batched"]
    assert turned["per_sample"] < 0.2
    for options, reason in ((Options(data="random"), "no labels"), (Options(spec="784-50-100-10:relu"), "random")):
        without = Workload(options, rows=10)
        found = without.accuracy(kernel_of(without))
        assert found["per_sample"] is found["batched"] is None
        assert reason in found["reason"]


def test_the_books_weights_and_their_accuracy(mnist_dir):
    workload = Workload(Options(data="mnist"))
    assert workload.facts()[2][0] == WEIGHTS_FILE, "the name alone: no folder of this machine"
    assert workload.params.sha256() == load_params(mnist_dir / WEIGHTS_FILE, MNIST).sha256()
    found = workload.accuracy(kernel_of(workload))
    assert found == {"per_sample": 0.9352, "batched": 0.9352, "rows": 10_000, "reason": None}


def test_the_gate_makes_seeded_parameters_once(monkeypatch):
    """Those of a large network take seconds. Trained ones are no replacement for the gate's own."""
    seen, check = [], conformance.check
    monkeypatch.setattr(conformance, "check", lambda *at: seen.append(at[-1]) or check(*at))
    for spec, at_hand in (("20-10-3", True), ("784-50-100-10", False)):
        workload = Workload(Options(spec=spec), rows=200)
        assert 0 < workload.gate(NumpyKernel, kernel_of(workload)).max_error_ratio < 1
        assert seen.pop() is (workload.params if at_hand else None)


@pytest.mark.parametrize("kernel_class", [WrongOnRealImages, WrongOnOneRealImage, TurnedOneByOne])
def test_the_gate_looks_at_what_will_be_timed_too(kernel_class):
    workload = Workload(Options(), rows=200)
    with pytest.raises(NonConforming):
        workload.gate(kernel_class, kernel_of(workload, kernel_class))


def test_the_books_cell_makes_the_kernel_and_reads_the_data_in_every_call_and_hashes_nothing(monkeypatch):
    made, read, digits = [], [], datasets.digits
    monkeypatch.setattr(datasets, "digits", lambda: read.append("digits") or digits())
    workload = Workload(Options(), rows=1000)
    accuracy = workload.accuracy(kernel_of(workload))
    cell = partial(book, workload, lambda spec, params: made.append(params) or NumpyKernel(spec, params))
    _ = workload.facts()  # the file's own hash: before and outside the clock
    read.clear()

    monkeypatch.setattr(datasets.hashlib, "sha256", lambda *_: pytest.fail("the data were hashed in the clock"))
    (one, parts), (many, _) = cell(1), cell(100)
    assert one == many == round(1000 * accuracy["batched"])
    assert (len(parts), len(made), len(read)) == (len(PARTS), 2, 2)
    assert made[0] is not made[1], "the weights are read again, not kept"


def test_what_the_books_cell_reads_is_said(fake_mnist):
    options = Options(data="mnist")
    assert Workload(options).book_reads == "MNIST test half: t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte"
    assert Workload(Options()).book_reads.startswith("digits.npz, test rows: ")
    assert Workload(Options(data="random")).book_reads.startswith("uniform random numbers")
    assert Workload(Options(data="random"), rows=30).read_again()[1].shape == (30,)
    x, labels = Workload(Options(), rows=1500).read_again()
    assert x.shape == (1500, 784), "as many rows as the sweep"
    assert np.array_equal(labels[1000:], labels[:500])
    idx_files.write(fake_mnist, idx_files.TRAIN, 20)
    both = Workload(options)
    assert both.book_reads.startswith("MNIST's training half, and MNIST test half: t10k-images")
    x, labels = both.read_again()
    assert x.dtype == np.float32
    expected = idx_files.images(10).reshape(10, 784).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(x, expected, "of the two halves, the test half is inferred")
    np.testing.assert_array_equal(labels, idx_files.labels(10))
