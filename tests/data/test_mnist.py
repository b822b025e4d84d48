"""MNIST's files, and the real ones where they are at hand."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from mlpbench.bench.data import datasets, mnist
from mlpbench.bench.errors import UserError
from mlpbench.kernels import reference
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import TRAINED_FILE
from mlpbench.kernels.spec import MNIST
from support import idx_files


@pytest.fixture(autouse=True)
def named(monkeypatch, tmp_path):
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))


@pytest.fixture
def half(tmp_path):
    idx_files.write(tmp_path, idx_files.TEST, 5, zipped=True)
    return tmp_path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_mnist_needs_the_test_half_only_and_its_hash_is_of_the_content_not_the_packing(tmp_path, zipped, dotted):
    idx_files.write(tmp_path, idx_files.TEST, 5, zipped=zipped, dotted=dotted)
    data = datasets.mnist()
    np.testing.assert_array_equal(data.images, idx_files.images(5).reshape(5, 784))
    np.testing.assert_array_equal(data.labels, idx_files.labels(5))
    assert data.sha256 == hashlib.sha256(idx_files.images(5).tobytes() + idx_files.labels(5).tobytes()).hexdigest()
    assert str(tmp_path) not in data.source


def test_what_fetch_writes_is_read_first(tmp_path):
    idx_files.write(tmp_path, idx_files.TEST, 5, zipped=True)
    (tmp_path / idx_files.TEST[0]).write_bytes(b"damaged")
    assert len(datasets.mnist()) == 5


def packed(folder, name, content):
    (folder / name).write_bytes(idx_files.packed(content))


IMAGES, LABELS = idx_files.TEST


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, "does not exist: `mlpbench fetch`"),
        (lambda f: (shutil.rmtree(f), f.touch()), "is not a folder: `mlpbench fetch`"),
        (lambda f: (f / IMAGES).unlink(), f"has no {IMAGES}, gzipped or not: `mlpbench fetch`"),
        (lambda f: (f / LABELS).unlink(), f"has no {LABELS}, gzipped or not: `mlpbench fetch`"),
        (lambda f: packed(f, LABELS, idx_files.labels(4)), "holds 5 images but .* holds 4 labels"),
        (lambda f: packed(f, LABELS, np.array([1, 2, 10, 0, 3])), "the label 10; MNIST's are 0 to 9"),
        (lambda f: packed(f, IMAGES, np.ones((5, 20, 28))), "20x28"),
    ],
)
def test_what_is_missing_or_does_not_belong_is_told_in_one_line(tmp_path, monkeypatch, damage, words):
    folder = tmp_path / "mnist"
    monkeypatch.setenv("MLPBENCH_DATA", str(folder))
    folder.mkdir()
    idx_files.write(folder, idx_files.TEST, 5)
    damage(folder)
    with pytest.raises(UserError, match=words) as error:
        datasets.mnist()
    assert "\n" not in str(error.value)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the administrator may read everything")
def test_folder_that_may_not_be_read(half):
    half.chmod(0)
    try:
        with pytest.raises(UserError, match=r"cannot|has no"):
            datasets.mnist()
    finally:
        half.chmod(0o755)


def test_a_half_is_loaded_as_the_book_does_and_needs_no_other(half):
    x, t = mnist.load_part("test")
    assert (x.dtype, t.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(x, idx_files.images(5).reshape(5, 784).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(t, idx_files.labels(5))
    with pytest.raises(UserError, match="train-images-idx3-ubyte"):
        mnist.load_part("train")
    assert mnist.has_part("test")
    assert not mnist.has_part("train")
    (half / f"{LABELS}.gz").unlink()
    assert not mnist.has_part("test")


def test_the_data_folder_is_the_one_that_the_variable_names(monkeypatch, tmp_path):
    assert mnist.data_folder() == tmp_path
    monkeypatch.setenv("MLPBENCH_DATA", "~/digits")
    assert mnist.data_folder() == Path.home() / "digits"
    monkeypatch.setenv("MLPBENCH_DATA", "~no-such-user-anywhere/data")
    with pytest.raises(UserError, match="MLPBENCH_DATA"):
        mnist.data_folder()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has a folder of its own for caches")
@pytest.mark.parametrize(("cache", "folder"), [(None, "~/.cache"), ("/other", "/other"), ("relative", "~/.cache")])
def test_data_folder_is_the_users_cache_by_default(monkeypatch, cache, folder):
    monkeypatch.delenv("MLPBENCH_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert mnist.data_folder() == Path(folder).expanduser() / "mlpbench"


def test_the_books_weights_score_what_the_book_says(mnist_dir, tmp_path, monkeypatch):
    data = datasets.mnist()
    for name in mnist.FILES["test"]:
        (tmp_path / name).write_bytes(gzip.decompress(mnist.find(mnist_dir, name).read_bytes()))
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    assert datasets.mnist().sha256 == data.sha256, "the same unpacked"
    params = load_params(mnist_dir / mnist.WEIGHTS_FILE, MNIST)
    assert len(data) == 10_000
    for dtype in ("float32", "float64"):
        outputs = reference.forward(MNIST, params, data.inputs(dtype))
        assert np.mean(outputs.argmax(axis=1) == data.labels) == 0.9352


def test_shipped_weights_score_what_their_readme_says(mnist_dir):
    data = datasets.mnist()
    outputs = reference.forward(MNIST, load_params(TRAINED_FILE, MNIST), data.inputs("float32"))
    assert np.mean(outputs.argmax(axis=1) == data.labels) == 0.9621
    rows = {row.tobytes() for row in data.images}
    for part in ("train", "test"):
        assert not rows & {row.tobytes() for row in datasets.digits(part).images}
