from __future__ import annotations

import os
import pickle
import zipfile

import numpy as np
import pytest

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.models.weights import load_meta, load_params, save_params
from mlpbench.kernels.params import TRAINED_FILE, hand_worked
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec

SPEC = ForwardSpec((4, 3, 2))


def arrays(spec=SPEC, dtype="float32"):
    """Return parameters of ``spec`` under the book's names."""
    params = seeded(spec).astype(dtype)
    named: dict[str, np.ndarray] = {}
    for number, (W, b) in enumerate(zip(params.weights, params.biases, strict=True), start=1):
        named |= {f"W{number}": W, f"b{number}": b}
    return named


def write(folder, named, suffix):
    path = folder / f"weights{suffix}"
    if suffix == ".npz":
        np.savez(path, **named)
    else:
        path.write_bytes(pickle.dumps(named))
    return path


def refuses(path, spec=SPEC):
    """Return the one line that loading gives; the test fails where it loads, or says more than a line."""
    with pytest.raises(ParamsError) as caught:
        load_params(path, spec)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"weights {path}: ")
    return message


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", ">f4"])
def test_arrays_come_back_with_their_dtype_contiguous_and_native(tmp_path, suffix, dtype):
    """Files are told apart by content, and other entries are ignored."""
    named = {name: np.asfortranarray(array) for name, array in arrays(dtype=dtype).items()}
    path = write(tmp_path, named | {"epochs": np.array(3), "Wave": np.ones(2)}, suffix).rename(tmp_path / "a.bin")
    params = load_params(path, SPEC)
    for number in (1, 2):
        W, b = params.weights[number - 1], params.biases[number - 1]
        np.testing.assert_array_equal(W, named[f"W{number}"])
        np.testing.assert_array_equal(b, named[f"b{number}"])
        assert W.dtype == b.dtype == np.dtype(dtype).newbyteorder("=")
        assert W.flags.c_contiguous


def test_saved_weights_come_back_with_what_was_said_of_them_and_failed_saving_leaves_what_was_there(tmp_path):
    path = tmp_path / "weights.npz"
    written = []
    for _ in range(2):
        save_params(path, hand_worked(), accuracy=0.5, made_by="a test")
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert load_params(path, HAND_WORKED).sha256() == hand_worked().sha256()
    assert load_meta(path) == {"accuracy": 0.5, "made_by": "a test"}
    with pytest.raises(ParamsError, match="cannot write weights"):
        save_params(tmp_path / "nowhere" / "weights.npz", hand_worked())
    with pytest.raises(TypeError):
        save_params(path, hand_worked(), what=object())
    assert path.read_bytes() == written[0]
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npz"]
    not_json, a_list = ({"meta": np.array(text)} for text in ("not json", "[1]"))
    for meta, words in (({}, "nothing about itself"), (not_json, "weights"), (a_list, "is not a JSON object")):
        np.savez(path, **arrays(), **meta)
        with pytest.raises(ParamsError, match=words):
            load_meta(path)


def test_shipped_weights_are_those_of_the_books_network():
    params = load_params(TRAINED_FILE, MNIST)
    readme = (TRAINED_FILE.parent / "README.md").read_text()
    assert params.sizes == MNIST.sizes
    assert params.weights[0].dtype == np.float32
    assert params.sha256() in readme
    assert str(load_meta(TRAINED_FILE)["accuracy_test"]) in readme


def test_the_books_own_file(mnist_dir):
    params = load_params(mnist_dir / "sample_weight.pkl", MNIST)
    assert params.sizes == MNIST.sizes
    assert all(W.flags.c_contiguous and W.dtype == np.float32 for W in params.weights)
    assert float(params.weights[0][0, 0]) == pytest.approx(-0.00741, abs=1e-5)
    trusted = pickle.loads((mnist_dir / "sample_weight.pkl").read_bytes())  # its hash is known
    np.testing.assert_array_equal(params.weights[1], trusted["W2"])
    np.testing.assert_array_equal(params.biases[2], trusted["b3"])


@pytest.mark.parametrize("suffix", [".npz", ".pkl", ".txt"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80", b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_bytes_that_are_no_weights(tmp_path, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    refuses(path)


TERABYTE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (131072, 1048576)}".ljust(117) + b"\n"


def flip_a_bit(path):
    np.savez(path, **arrays())
    data = bytearray(path.read_bytes())
    data[data.index(arrays()["W1"].tobytes()) + 5] ^= 1
    path.write_bytes(data)


def large(path):
    path.touch()
    os.truncate(path, 10**8)


def archive_of(path, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W1.npy", content)
    assert path.stat().st_size < 10**6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _path: None, "no such file"),
        (lambda path: path.mkdir(), "cannot be read"),
        (flip_a_bit, "damaged"),
        (lambda path: archive_of(path, b"\0" * 10**8), "unpacks to 100000000 bytes"),
        (lambda path: archive_of(path, b"\x93NUMPY\x01\x00v\x00" + TERABYTE), "damaged"),
        (lambda path: np.savez(path, **{**arrays(), "W1": np.array([[{}]], dtype=object)}), "Python objects"),
        (large, "far too many"),
    ],
    ids=range(7),
)
def test_what_is_no_weights_file_is_told(tmp_path, make, words):
    make(tmp_path / "weights.npz")
    assert words in refuses(tmp_path / "weights.npz")


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W1": np.ones((3, 4), "f4")}, "W1 has shape (3, 4), 4-3-2 needs (4, 3)"),
        ({"b2": np.ones((1, 2), "f4")}, "b2 has shape (1, 2), 4-3-2 needs (2,)"),
        ({"b1": np.array([1, np.nan, 2], "f4")}, "b1 holds NaN or infinity"),
        ({"W2": np.full((3, 2), -np.inf)}, "W2 holds NaN or infinity"),
        ({"W2": np.full((3, 2), 1e300)}, "W2 holds numbers too large for float32"),
        ({"b1": None, "W2": None}, "4-3-2 needs b1, W2, which it does not hold; it holds W1, b2"),
        ({"W3": np.ones((2, 2)), "b3": np.ones(2)}, "it also holds W3, b3: more layers than 4-3-2 has"),
        ({"b1": np.zeros(3, "bool")}, ""),
        ({"b1": np.zeros(3, "complex64")}, ""),
        ({"b1": np.zeros(3, "U3")}, ""),
        ({"b1": np.zeros(3, "M8[s]")}, ""),
        ({"b1": np.zeros(3, "longdouble")}, ""),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, suffix, change, words):
    named = {name: array for name, array in (arrays() | change).items() if array is not None}
    assert words in refuses(write(tmp_path, named, suffix))
