from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from mlpbench.bench.data import datasets
from mlpbench.bench.errors import UserError
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from support import idx_files
from support.sources import ROOT


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
    with pytest.raises(ValueError, match="read-only"):
        data.images[0] = 0


@pytest.mark.parametrize("rows", [1, 1000, 1001, 2345])
def test_more_rows_than_there_are_repeat_in_order(rows):
    data = datasets.digits()
    x, t = data.inputs("float32", rows), data.targets(rows)
    order = np.arange(rows) % 1000
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, data.inputs("float32")[order])
    np.testing.assert_array_equal(t, data.labels[order])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_rows_fit_the_spec_and_hold_no_zero(dtype):
    spec = ForwardSpec((30, 4), dtype=dtype)
    data = datasets.random(spec, rows=20_000)
    x = data.inputs(dtype)
    assert (x.dtype, x.shape) == (dtype, (20_000, 30))
    assert 0 < x.min() < 0.01
    assert 0.99 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01
    assert data.labels is data.targets(3) is None


def test_no_zero_even_where_the_generator_gives_one(monkeypatch):
    class Zeros:
        def __init__(self, seed):
            pass

        def random(self, shape, dtype):
            return np.zeros(shape, dtype)

    monkeypatch.setattr(np.random, "default_rng", Zeros)
    assert 0 < datasets.random(MNIST, 2).inputs("float32").max() < 1e-6
    assert (datasets.random(MNIST, 2).images > 0).all()


def test_random_rows_are_seeded_and_nonsense_is_refused():
    again = [datasets.random(MNIST, 10, seed).sha256 for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]
    for rows in (0, -1, 2**40):
        with pytest.raises(UserError, match=str(rows)):
            datasets.digits().inputs("float32", rows)
    for words, rows in (("at least 1", 0), ("GiB", 2**40)):
        with pytest.raises(UserError, match=words):
            datasets.random(MNIST, rows)


def test_load_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MLPBENCH_DATA", str(tmp_path))
    idx_files.write(tmp_path, idx_files.TEST, 5)
    assert datasets.load("digits", MNIST).name == "digits"
    assert len(datasets.load("mnist", MNIST)) == 5
    assert datasets.load("random", HAND_WORKED, rows=7).images.shape == (7, 2)
    with pytest.raises(UserError, match="did you mean mnist"):
        datasets.load("minst", MNIST)
    for name in ("digits", "mnist"):
        with pytest.raises(UserError, match=r"784 inputs.*--data random"):
            datasets.load(name, HAND_WORKED)


def test_no_network_is_reached(tmp_path):
    """Digits, random rows and a folder that lacks MNIST: with sockets that refuse, and without the libraries."""
    code = """
        import socket, sys

        def refuse(*args, **kwargs):
            raise SystemExit("a socket was asked for")

        socket.socket = socket.create_connection = socket.getaddrinfo = refuse
        from mlpbench.bench.data import datasets
        from mlpbench.bench.errors import UserError
        from mlpbench.kernels.spec import MNIST

        datasets.load("digits", MNIST).inputs("float32")
        datasets.load("random", MNIST).inputs("float32")
        try:
            datasets.load("mnist", MNIST)
        except UserError:
            pass
        print(sorted({"urllib.request", "http.client", "requests", "pandas"} & set(sys.modules)))
    """
    command, env = [sys.executable, "-c", textwrap.dedent(code)], {**os.environ, "MLPBENCH_DATA": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
