"""Digits, MNIST's files and random rows: what they hold, and what is said of files that are missing or damaged."""

import gzip
import hashlib
import shutil
import struct
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from mlpbench.bench.data import datasets
from mlpbench.bench.errors import UserError
from mlpbench.kernels import reference
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import TRAINED_FILE
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from support import idx_files, processes
from support.refusals import refusal


@pytest.fixture(autouse=True)
def named(monkeypatch, tmp_path):
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))


fails = partial(refusal, UserError, "")


def test_digits_are_real_and_stratified_none_is_in_both_halves_and_they_are_those_of_the_readme():
    test, train = datasets.digits(), datasets.digits("train")
    assert (test.images.shape, train.images.shape) == ((1000, 784), (4000, 784))
    assert len({row.tobytes() for half in (test, train) for row in half.images}) == 5000
    assert test.images.dtype == train.images.dtype == np.uint8
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert 0.15 < (test.images > 0).mean() < 0.25, "MNIST is 19 % ink"
    readme = (datasets.DIGITS_FILE.parent / "README.md").read_text()
    file = hashlib.sha256(datasets.DIGITS_FILE.read_bytes()).hexdigest()
    assert all(digest in readme for digest in (test.sha256, train.sha256, file))


def test_inputs_are_the_books_float32_and_exact_quotients_in_float64_and_fresh():
    data = datasets.digits()
    book = data.images.astype(np.float32)
    book /= 255.0
    x = data.inputs("float32")
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, book)
    np.testing.assert_array_equal(data.inputs("float64"), data.images / 255.0)
    x[:] = 0
    assert data.inputs("float32").any()
    for rows in (1, 1000, 2345):  # more than there are repeat in order
        order = np.arange(rows) % 1000
        np.testing.assert_array_equal(data.inputs("float32", rows), book[order])
        np.testing.assert_array_equal(data.targets(rows), data.labels[order])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_rows_fit_the_spec_are_seeded_and_hold_no_zero(monkeypatch, dtype):
    spec = ForwardSpec((30, 4), dtype=dtype)
    data = datasets.random(spec, rows=20_000)
    x = data.inputs(dtype)
    assert (x.dtype, x.shape) == (dtype, (20_000, 30))
    assert 0 < x.min() < 0.01
    assert 0.99 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01
    assert data.labels is data.targets(3) is None
    again = [datasets.random(spec, 10, seed).sha256 for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    monkeypatch.setattr(np.random, "default_rng", lambda _: SimpleNamespace(random=np.zeros))
    assert 0 < datasets.random(spec, 2).images.min() < 1e-6, "not even where the generator gives one"


def test_data_are_loaded_by_name_and_nonsense_is_refused(tmp_path):
    idx_files.write(tmp_path, idx_files.TEST, 5)
    assert datasets.load("digits", MNIST).name == "digits"
    assert len(datasets.load("mnist", MNIST)) == 5
    assert datasets.load("random", HAND_WORKED, rows=7).images.shape == (7, 2)
    assert "did you mean mnist" in fails(datasets.load, "minst", MNIST)
    for name in ("digits", "mnist"):
        assert "--data random" in fails(datasets.load, name, HAND_WORKED)
    for rows in (0, -1, 2**40):
        assert f"cannot take {rows} rows" in fails(datasets.digits().inputs, "float32", rows)
        assert f"cannot take {rows} rows" in fails(datasets.random, MNIST, rows)


def test_no_network_is_reached():
    """Digits, random rows and a folder that lacks MNIST: with sockets that refuse, and without the libraries."""
    code = """
import socket, sys

def refuse(*args, **kwargs):
    raise SystemExit("a socket was asked for")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
from mlpbench.bench.data import datasets
from mlpbench.kernels.errors import UserError
from mlpbench.kernels.spec import MNIST

for name in datasets.NAMES:
    try:
        datasets.load(name, MNIST).inputs("float32")
    except UserError as error:
        print(name, "is not here")
print(sorted({"urllib.request", "http.client", "requests", "pandas"} & set(sys.modules)))
"""
    assert processes.python("-c", code).stdout == "mnist is not here\n[]\n"


@pytest.mark.parametrize(("zipped", "dotted"), [(False, False), (True, False), (False, True), (True, True)])
def test_mnist_needs_the_test_half_only_and_its_hash_is_of_the_content_not_the_packing(tmp_path, zipped, dotted):
    idx_files.write(tmp_path, idx_files.TEST, 5, zipped=zipped, dotted=dotted)
    data = datasets.mnist()
    np.testing.assert_array_equal(data.images, idx_files.images(5).reshape(5, 784))
    np.testing.assert_array_equal(data.labels, idx_files.labels(5))
    assert data.images.dtype == data.labels.dtype == np.uint8
    assert data.sha256 == hashlib.sha256(idx_files.images(5).tobytes() + idx_files.labels(5).tobytes()).hexdigest()
    assert str(tmp_path) not in data.source
    if zipped and not dotted:  # as `fetch` writes them: they are read first
        (tmp_path / idx_files.TEST[0]).write_bytes(b"damaged")
        assert len(datasets.mnist()) == 5


IMAGES, LABELS = idx_files.TEST


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, "there is no data folder "),
        (lambda f: (shutil.rmtree(f), f.touch()), "there is no data folder "),
        (lambda f: (f / IMAGES).unlink(), f"has no {IMAGES}, gzipped or not: `mlpbench fetch`"),
        (lambda f: (f / LABELS).unlink(), f"has no {LABELS}, gzipped or not: `mlpbench fetch`"),
        ({LABELS: idx_files.labels(4)}, f"holds 5 images, {LABELS} 4 labels"),
        ({LABELS: np.array([1, 2, 10, 0, 3])}, "the label 10; MNIST's are 0 to 9"),
        ({IMAGES: np.ones((5, 20, 28))}, "20x28"),
    ],
)
def test_what_is_missing_or_does_not_belong_is_told_in_one_line(tmp_path, damage, words):
    idx_files.write(tmp_path, idx_files.TEST, 5)
    if callable(damage):
        damage(tmp_path)
    else:
        ((name, content),) = damage.items()
        (tmp_path / name).write_bytes(idx_files.packed(content))
    assert words in fails(datasets.mnist)


def test_a_folder_that_may_not_be_looked_into(monkeypatch):
    monkeypatch.setattr(Path, "is_dir", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert "cannot look into" in fails(datasets.mnist)


def test_the_data_folder_is_the_one_that_the_variable_names_else_the_users_cache(monkeypatch):
    for data, cache, folder in (
        ("~/digits", "", "~/digits"),
        ("", "", "~/.cache/mlpbench"),
        ("", "/other", "/other/mlpbench"),
        ("", "relative", "~/.cache/mlpbench"),
    ):
        monkeypatch.setenv("MLPBENCH_DATA", data)
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        assert datasets.data_folder() == Path(folder).expanduser()
    monkeypatch.setenv("MLPBENCH_DATA", "~no-such-user-anywhere/data")
    assert "MLPBENCH_DATA" in fails(datasets.data_folder)


def test_shipped_weights_score_what_their_readme_says(mnist_dir):
    data = datasets.mnist()
    outputs = reference.forward(MNIST, load_params(TRAINED_FILE, MNIST), data.inputs("float32"))
    assert np.mean(outputs.argmax(axis=1) == data.labels) == 0.9621
    rows = {row.tobytes() for row in data.images}
    for part in ("train", "test"):
        assert not rows & {row.tobytes() for row in datasets.digits(part).images}


def test_gzip_is_told_by_content_not_by_name_and_what_is_missing_is_told(tmp_path):
    data = idx_files.packed(idx_files.images(2))
    for name, content in (("plain.gz", data), ("zipped", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(datasets.read_idx(tmp_path / name, 3), idx_files.images(2))
    for path, words in ((tmp_path / "nothing", "No such file"), (tmp_path, "cannot read")):
        message = fails(datasets.read_idx, path, 3)
        assert words in message
        assert str(path) in message


TWO, THREE = idx_files.packed(idx_files.images(2)), idx_files.packed(idx_files.labels(3))
ZIPPED = gzip.compress(TWO, mtime=0)


def header(*shape):
    return struct.pack(">BBBB3I", 0, 0, 8, 3, *shape)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((TWO[:length], "ends inside its header") for length in (0, 3, 4, 15)),
        *((TWO[:length], "and its header says 1568") for length in (16, 16 + 784, 16 + 2 * 784 - 1)),
        (TWO + b"\0", "it has 1569 bytes of data, and its header says 1568"),
        *((ZIPPED[:-cut], "is damaged (") for cut in (1, 8, 9, 100, 500)),
        *((ZIPPED[:length], "is damaged (") for length in (2, 4)),
        (gzip.compress(b"", mtime=0), "ends inside its header"),
        # The CRC stands before the length, at the very end.
        (ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 0xFF]) + ZIPPED[-7:], "is damaged"),
        (THREE, "is not an IDX file of images: it begins with 00000801, not 00000803"),
        (b"<!DOCTYPE html><html>404</html>", "is not an IDX file"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "it has 0 bytes of data"),
        (header(0, 28, 28), "holds no images"),
        (header(5, 0, 28), "holds no images"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, data, words):
    (tmp_path / "images").write_bytes(data)
    assert words in fails(datasets.read_idx, tmp_path / "images", 3)


def test_no_more_is_read_than_mnist_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "MAX_BYTES", 1000)
    (tmp_path / "images").write_bytes(gzip.compress(header(1000, 28, 28) + bytes(784_000), mtime=0))
    assert "it has 984 bytes of data, and its header says 784000" in fails(datasets.read_idx, tmp_path / "images", 3)
