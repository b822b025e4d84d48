"""Kernels in files: what is read, what runs, what is refused and how."""

import os
import sys

import pytest

from mlpbench.kernels import registry
from mlpbench.kernels.conformance import check
from mlpbench.kernels.errors import KernelUnavailable, NonConforming, UnknownKernel
from mlpbench.kernels.own import files
from mlpbench.kernels.spec import MNIST
from support.refusals import refusal

SOURCE = """
import numpy as np
import beside

def fast(x, weights, biases):
    for W, b in zip(weights[:-1], biases[:-1]):
        x = 1 / (1 + np.exp(-(x @ W + b)))
    e = np.exp(x @ weights[-1] + biases[-1])
    return e / e.sum(axis=1, keepdims=True)

def no_bias(x, weights, biases):
    return fast(x, weights, [0 * b for b in biases])

def raises(x, weights, biases):
    return x @ beside.NOTHING

class Nothing:
    pass
"""


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch):
    monkeypatch.delenv(files.VARIABLE, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "beside.py").write_text("NOTHING = None\n")
    path = tmp_path / "mine.py"
    path.write_text(SOURCE)
    return path


def test_a_function_is_a_kernel_under_a_name_of_its_own(mine):
    name = registry.give(f"{mine}:fast")
    assert name == "mine.fast" == registry.typed_name("anywhere/mine.py:fast")
    assert registry.module(name)
    kernel_class = registry.load(name)
    assert registry.load(name) is kernel_class
    assert (kernel_class.backend, kernel_class.device, kernel_class.version()) == ("python", "cpu", None)
    assert check(kernel_class, MNIST).max_error_ratio < 0.5
    for wrong, words in (("no_bias", r"off by 0\.\d+ at output \d+ where .* is allowed"), ("raises", "raised ")):
        refusal(NonConforming, words, check, registry.load(registry.give(f"{mine}:{wrong}")), MNIST)
    path = mine.with_name("my kernel.py")
    path.write_text("from mlpbench.kernels.mlp_numpy import NumpyKernel as Mine\n")
    assert registry.give(f"{path}:Mine") == "my-kernel.Mine"
    assert registry.load("my-kernel.Mine").__name__ == "NumpyKernel", "a class is taken as it is"


def test_a_file_that_has_changed_is_refused_and_what_ran_is_what_was_hashed(mine):
    name = registry.give(f"{mine}:fast")
    mine.write_text(SOURCE + "# another\n")
    refusal(KernelUnavailable, r"^mine\.py has changed since this run began; start it again$", registry.load, name)
    assert registry.load(registry.give(f"{mine}:fast"))
    mine.unlink()
    files.load.cache_clear()
    refusal(KernelUnavailable, "No such file", registry.load, name)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", r"mine\.py cannot be run: ZeroDivisionError: division by zero \(line 1\)"),
        ("def forward(:", r"mine\.py cannot be run: SyntaxError: .*\(line 1\)"),
        ("x = 1", r"mine\.py has no forward"),
        ("class forward: pass", "neither a function"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
    ],
)
def test_a_file_without_a_kernel(mine, source, words):
    mine.write_text(source)
    refusal(KernelUnavailable, words, registry.load, registry.give(str(mine)))


def test_what_is_no_file(tmp_path, mine):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "large.py").write_bytes(b"#" * (files.MAX_BYTES + 1))
    (tmp_path / "folder.py").mkdir()
    wrong = {"nothing.py": "No such file", "pipe.py": "not an ordinary file", "folder.py": "a directory"}
    wrong |= {"large.py": "larger than 1 MiB", "mine.py:not-a-name": "name of a function"}
    for text, words in [*wrong.items(), ("~nobody9/mine.py:fast", "nobody has that home")]:
        refusal(UnknownKernel, words, registry.give, text if text.startswith("~") else f"{tmp_path}/{text}")


def test_two_files_of_one_name(tmp_path, mine):
    registry.give(f"{mine}:fast")
    other = tmp_path / "folder" / "mine.py"
    other.parent.mkdir()
    other.write_text(SOURCE)
    refusal(UnknownKernel, r"is called mine\.fast too: rename one", registry.give, f"{other}:fast")
    assert registry.give(f"{mine}:über") == "mine.-ber", "files and records take ASCII"
    refusal(UnknownKernel, r"mine\.py:über is called mine\.-ber too", registry.give, f"{mine}:öber")
