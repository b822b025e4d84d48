"""Bad input, as people type it: one clear line, exit 2, nothing written and nothing lost."""

import json
import os
import pickle
import sys

import numpy as np
import pytest

from mlpbench.bench.data.datasets import MNIST_FILES
from mlpbench.kernels.models.weights import save_params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import idx_files, simulate
from support.terminal import called, complaint, contents, typed

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Type a command where there are results and other files; return the one line of its complaint."""
    simulate.write_run(tmp_path / "results", TIMES)
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)

    def type_it(*words):
        before = contents(tmp_path)
        line = complaint(*called(capsys, *words))
        assert contents(tmp_path) == before, "something was written, or lost"
        return line

    return type_it


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        # Kernels
        (["run", "numpyy"], "unknown kernel 'numpyy' (did you mean numpy?); `mlpbench list` shows them all"),
        (["run", "numpy", "numba-paralel"], "unknown kernel 'numba-paralel' (did you mean numba-parallel?)"),
        (["run", "nump\x1b[2Jy\nx"], "unknown kernel 'nump"),
        # Profiles
        (["run", "numpy", "--profile", "quik"], "unknown profile 'quik' (did you mean quick?); there are book,"),
        # Specifications
        (["run", "numpy", "--spec", "784,50,10"], "cannot read the specification '784,50,10': write sizes as 784-"),
        (["run", "numpy", "--spec", "9999999-10"], "10000 rows take "),
        (["run", "numpy", "--spec", "20-10-3:tan"], "hidden must be one of sigmoid, relu, step, tanh, "),
        (["run", "numpy", "--dtype", "float16"], "dtype must be one of float32, float64"),
        # Batch sizes, threads, repeats; tests/test_values.py has them all
        (
            ["run", "numpy", "--batch-size", "0"],
            "cannot read the batch size '0': give a whole number from 1 to 1,000,000, or all",
        ),
        (["run", "numpy", "--batch-size", "1", "--batch-size", "2.5"], "cannot read the batch size '2.5'"),
        (["run", "numpy", "--batch-size", "1000000", "--spec", "5000-10"], "1000000 rows take "),
        (["run", "numpy", "--threads", "0"], "cannot read the threads '0': give a whole number from 1 to 4,096 or all"),
        (["calibrate", "--threads", "1,2"], "--threads: calibrate measures with one number"),
        (["check", "numpy", "--dtype", "float32,float64"], "check takes one --spec and one --dtype"),
        (["run", "numpy", "--spec=784-10", "--spec=20-10", "--data=digits"], "--spec 20-10: digits has 784 inputs in"),
        (["run", "--spec=20-10:relu", "--spec=20-10"], "--spec: two networks of the same sizes"),
        (["run", "numpy", "--repeats", "0"], "cannot read the repeats '0': give a whole number from 1 to 1,000"),
        (["calibrate", "--repeats", "1"], "Invalid value for '--repeats'"),
        # Budgets
        (["run", "numpy", "--device", "H100"], "--device H100: give a card's index, or its UUID"),
        (["run", "numpy", "--budget", "soon"], "cannot read the time 'soon': write a number and its unit"),
        (["run", "--repeats=3", "--budget=90s"], "--repeats is an exact number, --budget lets it grow: give one"),
        (["run", "numpy", "--seed", "-1"], "cannot read the seed '-1'"),
        # Data
        (["run", "numpy", "--data", "digit"], "unknown data 'digit' (did you mean digits?); there are digits, mni"),
        (["show", "1000"], "there is no image 1000: digits has rows 0 to 999"),
        (["show", "first"], "Invalid value for 'N'"),
        # Weights
        (["run", "numpy", "--model", "gone.npz"], "weights gone.npz: there is no such file"),
        (["run", "numpy", "--spec=784-10", "--spec=20-3", "--model=a.npz"], "--spec 784-10: weights a.npz: the"),
        (["check", "numpy", "--model", "mine.txt"], "weights mine.txt: "),
        (["run", "numpy", "--model", "results"], "weights results: it cannot be read: Is a directory"),
        # Where results go, and come from
        (["run", "numpy", "--results", "mine.txt"], "cannot write results to mine.txt: Not a directory; choose an"),
        (["report", "--results", "nowhere"], "no runs in nowhere: `mlpbench run` makes one"),
        (["explain", "gone"], "no run, file or folder 'gone'; "),
        (["report", "--format", "pdf"], "unknown format 'pdf'"),
        (["report", "mine.txt"], "mine.txt: not JSON: "),
        (["report", "-o", "gone/report.md"], "cannot write gone/report.md: No such file or directory; choose another"),
        (["report", "-o", "results"], "cannot write results: Is a directory"),
        (["report", "latest", "latest"], "the run 2026"),
        # Comparisons
        (["compare", "numpy"], "name two sides, or one run and --by"),
        (["compare", "numpy", "numba"], "'numba' is no run, and no kernel of the latest one"),
        (["compare", "numpy", "numpy"], "nothing to compare: "),
        (["compare", "numpy", "numpy", "--fail-if-slower", "lots"], "cannot read the threshold 'lots'"),
        # The words themselves
        (["rnu"], "No such command 'rnu': `mlpbench --help` shows what there is"),
        (["run", "--treads", "2"], "No such option: --treads"),
        (["run", "--threads"], "Option '--threads' requires an argument"),
        (["env", "numpy"], "Got unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value).replace("\n", "") if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line(told, words, expected):
    line = told(*words)
    assert line.startswith(expected), line


@pytest.fixture
def half(tmp_path):
    """Return a folder with ten images and labels in MNIST's files."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    idx_files.write(folder, idx_files.TEST, 10)
    return folder


IMAGES, LABELS = MNIST_FILES["test"]
#: One of each kind of damage; tests/data/test_datasets.py has them all.
DAMAGES = {
    "truncated images": (lambda f: _cut(f / IMAGES, 1000), f"{IMAGES} is damaged: it has 984 bytes of data"),
    "a web page": (lambda f: (f / LABELS).write_bytes(b"<!doctype html>"), f"{LABELS} is not an IDX file of labels"),
    "broken gzip": (lambda f: (f / f"{IMAGES}.gz").write_bytes(b"\x1f\x8b\x08\x00" + bytes(50)), f"{IMAGES}.gz"),
    "no labels": (lambda f: (f / LABELS).unlink(), f"has no {LABELS}, gzipped or not"),
}


def _cut(path, length):
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize("name", list(DAMAGES))
def test_damaged_data(told, half, monkeypatch, name):
    damage, expected = DAMAGES[name]
    damage(half)
    monkeypatch.setenv("MLPBENCH_DATA", str(half))
    for command in ("run", "check"):
        assert expected in told(command, "numpy", "--data", "mnist")


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("gone", "there is no data folder gone: `mlpbench fetch`"),
        ("mine.txt", "there is no data folder mine.txt: "),
        ("results", "results has no t10k-images-idx3-ubyte"),
    ],
)
def test_a_folder_without_data(told, monkeypatch, folder, expected):
    monkeypatch.setenv("MLPBENCH_DATA", folder)
    assert told("run", "numpy", "--data=mnist").startswith(expected)


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("command", ["run numpy", "check numpy", "show 0", "run numpy --data mnist"])
def test_weights_that_would_run_code_are_refused_and_it_did_not_run(told, tmp_path, half, monkeypatch, command):
    """Named, and where the book's file is found beside the data."""
    proof, file = tmp_path / "proof", half / "sample_weight.pkl"
    file.write_bytes(pickle.dumps({"W1": Evil(proof)}))
    monkeypatch.setenv("MLPBENCH_DATA", str(half))
    named = [] if "--data" in command else ["--model", file]
    assert "refused as a pickle" in told(*command.split(), *named)
    assert not proof.exists()
    pickle.loads(file.read_bytes())
    assert proof.exists(), "the file is as malicious as it should be"


def test_files_that_do_not_fit_or_have_hostile_names(told, tmp_path):
    if sys.platform.startswith("linux"):  # where nobody may write, not even root
        assert told("run", "numpy", "--results", "/proc/results").startswith("cannot write results to /proc/results: ")
    save_params(tmp_path / "small.npz", seeded(ForwardSpec((784, 40, 100, 10))))
    assert "W1 has shape (784, 40), 784-50-100-10 needs (784, 50)" in told("run", "numpy", "--model", "small.npz")
    params = seeded(MNIST)
    params.weights[1][3, 4] = np.nan
    save_params(tmp_path / "nan.npz", params)
    assert "W2 holds NaN or infinity" in told("run", "numpy", "--model", "nan.npz")
    np.savez(tmp_path / "objects.npz", W1=np.array([{}], object))
    assert "only arrays of numbers" in told("run", "numpy", "--model", "objects.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "nan.npz").read_bytes()[:5000])
    assert "it is damaged" in told("run", "numpy", "--model", "cut.npz")
    (path,) = tmp_path.glob("results/*/*/numpy.1.json")
    path.rename(path.with_name("x\x1b[2J\nmlpbench: all is well.json"))
    assert "it was renamed or copied" in told("report")


def _with(**changes):
    def damage(path):
        content = json.loads(path.read_text())
        content["mlpbench"].update(changes)
        path.write_text(json.dumps(content))

    return damage


#: One of each kind; tests/record has them all.
RECORDS = {
    "truncated": (lambda path: _cut(path, 700), "not JSON: "),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not JSON: byte 0 is not UTF-8"),
    "of a newer schema": (_with(schema=9), "written in schema 9; this version reads"),
    "HTML for a name": (_with(kernel="<script>alert(1)</script>"), "mlpbench.kernel: Expected"),
    "lines in a name": (_with(kernel="a\nmlpbench: all is well"), "mlpbench.kernel: Expected"),
}


@pytest.mark.parametrize("name", list(RECORDS))
def test_a_damaged_or_hostile_result_is_named_and_the_others_are_told(capsys, tmp_path, name):
    simulate.write_run(tmp_path / "results", TIMES)
    damage, expected = RECORDS[name]
    (path,) = tmp_path.glob("results/*/*/numpy.1.json")
    damage(path)
    status, out, err = called(capsys, "report", "--results", tmp_path / "results")
    assert (status, err.startswith("left out: "), expected in err, err.count("\n")) == (0, True, True, 1)
    (line, *_) = [line for line in out.splitlines() if "numpy.1.json: " in line]
    assert expected in line
    assert "<script>" not in out
    assert "numpy: " in out


@pytest.mark.parametrize("words", ["run numpyy", "run numpy --results mine.txt", "compare numpy numba"])
def test_the_same_in_a_process_of_its_own(tmp_path, words):
    (tmp_path / "mine.txt").write_text("mine")
    before = contents(tmp_path)
    ran = typed(*words.split(), cwd=tmp_path)
    complaint(ran.returncode, ran.stdout, ran.stderr)
    assert contents(tmp_path) == before
