"""Bad input, and odd names, files and terminals: one line, exit 2, nothing written, lost, or obeyed by a reader."""

import os
import pickle
import sys

import pytest

from mlpbench.bench.data.datasets import MNIST_FILES
from mlpbench.bench.record import runs
from mlpbench.kernels.models.weights import save_params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import idx_files, simulate
from support.terminal import called, complaint, contents, typed

TIMES = {("numpy", mode, 100): 2e-6 for mode in ("per_sample", "batched")}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a run in the folder of results where commands are typed."""
    monkeypatch.chdir(tmp_path)
    return simulate.write_run(tmp_path / "results", TIMES)


@pytest.fixture
def told(tmp_path, capsys, monkeypatch, run):
    """Type a command where there are results and other files; return the one line of its complaint."""
    (tmp_path / "mine.txt").write_text("mine")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    def type_it(*words):
        before = contents(tmp_path)
        line = complaint(*called(capsys, *words))
        assert contents(tmp_path) == before, "something was written, or lost"
        return line

    return type_it


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "numpyy"], "unknown kernel 'numpyy' (did you mean numpy?); `mlpbench list` shows them all"),
        (["run", "nump\x1b[2Jy\nx"], "unknown kernel 'nump"),
        (["run", "numpy", "--profile", "quik"], "unknown profile 'quik' (did you mean quick?); there are book,"),
        (["run", "numpy", "--spec", "784,50,10"], "cannot read the specification '784,50,10': write sizes as 784-"),
        (["run", "numpy", "--spec", "higs"], "unknown network 'higs': name mlperf-tiny-ad, dlrm-bottom, npbench"),
        (["run", "numpy", "--spec", "9999999-10"], "cannot take 10000 rows: from 1 to "),
        (["run", "numpy", "--threads", "0"], "cannot read the threads '0': give a whole number from 1 to 4,096 or all"),
        (["check", "numpy", "--dtype", "float32,float64"], "check takes one --spec and one --dtype"),
        (["run", "numpy", "--spec=784-10", "--spec=20-10", "--data=digits"], "--spec 20-10: digits has 784 inputs in"),
        (["run", "--spec=20-10:relu", "--spec=20-10"], "--spec: two networks of the same sizes"),
        (["run", "numpy", "--device", "H100"], "--device H100: give a card's index, or its UUID"),
        (["run", "--repeats=3", "--budget=90s"], "--repeats is an exact number, --budget lets it grow: give one"),
        (["run", "numpy", "--data", "digit"], "unknown data 'digit' (did you mean digits?); there are digits, mni"),
        (["show", "1000"], "there is no image 1000: digits has rows 0 to 999"),
        (["show", "first"], "Invalid value for 'N'"),
        (["run", "numpy", "--model", "gone.npz"], "weights gone.npz: there is no such file"),
        (["run", "numpy", "--spec=784-10", "--spec=20-3", "--model=a.npz"], "--spec 784-10: weights a.npz: the"),
        (["check", "numpy", "--model", "mine.txt"], "weights mine.txt: "),
        (["run", "numpy", "--model", "results"], "weights results: it cannot be read: Is a directory"),
        (["run", "numpy", "--results", "mine.txt"], "cannot write results to mine.txt: Not a directory; choose an"),
        (["report", "--results", "nowhere"], "no runs in nowhere: `mlpbench run` makes one"),
        (["explain", "gone"], "no run, file or folder 'gone'; "),
        (["report", "--format", "pdf"], "unknown format 'pdf'"),
        (["report", "mine.txt"], "mine.txt: not JSON: "),
        (["report", "-o", "gone/report.md"], "cannot write gone/report.md: No such file or directory; choose another"),
        (["report", "-o", "results"], "cannot write results: Is a directory"),
        (["report", "latest", "latest"], "the run 2026"),
        (["compare", "numpy", "numba"], "'numba' is no run, and no kernel of the latest one"),
        (["compare", "numpy", "numpy"], "nothing to compare: "),
        (["rnu"], "No such command 'rnu': `mlpbench --help` shows what there is"),
        (["run", "--treads", "2"], "No such option: --treads"),
        (["run", "--threads"], "Option '--threads' requires an argument"),
        (["env", "numpy"], "Got unexpected extra argument"),
        (["audit", "numpi"], "unknown kernel 'numpi'"),
        (["audit"], "name the kernels to audit"),
        (["history", "--machine", "testbox", "--fail-if-slower", "soon"], "cannot read the threshold 'soon'"),
        (["history", "--machine", "testbox", "nunpy"], "no kernel 'nunpy' in the runs of testbox; they have numpy"),
        (["history", "--machine", "nobody"], "no runs in results/nobody: `mlpbench run` makes one"),
        (["export"], "--to is missing; there are bencher, github-action-benchmark"),
        (["export", "--to", "bench"], "unknown --to 'bench' (did you mean bencher?); there are "),
        (["export", "--to", "bencher", "latest", "latest"], "bencher takes one run at a time: name one"),
        (["ab", "main", "HEAD"], "main and HEAD are no commits of a git repository"),
        (["ab", "numpy==2.3.*", "numpy==2.4.*", "--env", "a=b"], "ab makes both environments itself"),
        (["ab", "numpy==2.3.*", "numpy==2.4.*", "--repaets", "3"], "No such option: --repaets"),
        (["ab", "numpy==2.3.*"], "Missing argument"),
        (["ab", "numpy==2.3.*", "numpy", "numba", "--pytest", "x"], "numba is for kernels, and --pytest names a suite"),
        (["ab", "numpy==2.3.*", "numpy", "--pytest", "x", "--threads=1"], "--threads=1 is for kernels"),
        (["ab", "numpy==2.3.*", "numpy", "--pytest", "x", "--keep"], "--keep is for kernels"),
        (["merge", "nowhere"], "nowhere: no such folder"),
        (["fleet", "numpy"], "say where the workers are: either --dask ADDRESS or --ssh FILE"),
        (["fleet", "--dask", "tcp://x:1", "--ssh", "y", "numpy"], "say where the workers are: either --dask"),
        (["fleet", "--ssh", "y", "--dry-run"], "--dry-run is no option of a fleet"),
        (["fleet", "--ssh", "y", "numpy", "-p", "evil"], "No such option: -p"),
        (["fleet", "--ssh", "y", "numpy", "--env=x=/evil"], "--env is no option of a fleet"),
        (["fleet", "--ssh", "y", "numpy", "--repeats", "x"], "cannot read the repeats 'x'"),
    ],
    ids=lambda value: " ".join(value).replace("\n", "") if isinstance(value, list) else "",
)
def test_bad_input_is_told_in_one_line(told, words, expected):
    """tests/test_values.py has all values that cannot be read."""
    line = told(*words)
    assert line.startswith(expected), line


@pytest.fixture
def half(tmp_path, monkeypatch):
    """Return the data folder, with ten images and labels in MNIST's files."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    idx_files.write(folder, idx_files.TEST, 10)
    monkeypatch.setenv("MLPBENCH_DATA", str(folder))
    return folder


def test_data_that_are_damaged_or_missing(told, half, monkeypatch):
    """One kind of damage; tests/data/test_datasets.py has them all."""
    labels = MNIST_FILES["test"][1]
    (half / labels).write_bytes(b"<!doctype html>")
    for command in ("run", "check"):
        assert f"{labels} is not an IDX file of labels" in told(command, "numpy", "--data", "mnist")
    monkeypatch.setenv("MLPBENCH_DATA", "mine.txt")
    assert told("run", "numpy", "--data=mnist").startswith("there is no data folder mine.txt: `mlpbench fetch`")


def test_weights_that_would_run_code_are_refused_and_it_did_not_run(told, tmp_path, half):
    """Named, and where the book's file is found beside the data."""
    proof, file = tmp_path / "proof", half / "sample_weight.pkl"
    file.write_bytes(f"cos\nsystem\n(S'touch {proof}'\ntR.".encode())
    for command in ("run numpy", "check numpy", "show 0", "run numpy --data mnist"):
        named = [] if "--data" in command else ["--model", file]
        assert "refused as a pickle" in told(*command.split(), *named)
        assert not proof.exists()
    pickle.loads(file.read_bytes())
    assert proof.exists(), "the file is as malicious as it should be"


def test_files_that_do_not_fit_or_have_hostile_names(told, tmp_path, run):
    if sys.platform.startswith("linux"):  # where nobody may write, not even root
        assert told("run", "numpy", "--results", "/proc/results").startswith("cannot write results to /proc/results: ")
    save_params(tmp_path / "small.npz", seeded(ForwardSpec((784, 40, 100, 10))))
    line = told("run", "numpy", "--model", "small.npz")
    assert "W1 has shape (784, 40), 784-50-100-10 needs (784, 50)" in line
    (run / "numpy.1.json").rename(run / "x\x1b[2J\nmlpbench: all is well.json")
    assert "it was renamed or copied" in told("report")


def test_a_hostile_result_is_named_in_one_line_and_the_others_are_told(capsys, run):
    with simulate.edited(run / "numpy.1.json") as content:
        content["mlpbench"]["kernel"] = "<script>alert(1)</script>\nmlpbench: all is well"
    status, out, err = called(capsys, "report")
    assert (status, err.startswith("left out: "), err.count("\n")) == (0, True, 1)
    assert "numpy.1.json: mlpbench.kernel: Expected" in err
    assert "numpy.1.json: mlpbench.kernel: Expected" in out
    assert "<script>" not in out
    assert "numpy: " in out


def test_records_that_say_too_little_contradict_themselves(capsys, run):
    with simulate.edited(run / "numpy.0.json") as content:
        del content["mlpbench"]["kernel_info"]["max_error"]
    with simulate.edited(run / "numpy.1.json") as content:
        del content["mlpbench"]["kernel_info"]
    first, second = runs.read_run(run).contradictions
    assert "numpy.0.json has times, and does not say that its kernel agreed" in first
    assert "numpy.1.json has times, and does not say what its kernel is" in second
    status, out, _ = called(capsys, "report", run)
    assert (status, "The run contradicts itself: " in out) == (0, True)


def test_a_terminal_that_knows_ascii_alone(run):
    ended = typed("report", run, cwd=run, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.isascii()
    assert " ?s" in ended.stdout


@pytest.mark.parametrize("words", [["report", "--format", "json"], ["explain"]])
def test_a_reader_that_has_seen_enough_is_told_nothing_and_an_output_that_is_full_is_told(run, words):
    """``| true``: a pipe that nobody reads. The status is the shell's own for it: an unread verdict is none."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as nobody:  # noqa: PTH123 - a file descriptor
        ended = typed(*words, cwd=run.parents[2], out=nobody)
    assert (ended.returncode, ended.stderr) == (141, "")
    if os.path.exists("/dev/full"):  # noqa: PTH110
        with open("/dev/full", "w") as full:  # noqa: PTH123
            ended = typed(*words, cwd=run.parents[2], out=full)
        assert (ended.returncode, ended.stderr) == (2, "mlpbench: cannot write: No space left on device\n")


def test_odd_names_of_homes_and_a_budget_that_is_null(capsys, run):
    assert complaint(*called(capsys, "report", "~nobody9")).startswith("no run, file or folder '~nobody9'")
    assert "~nobody9: no such file or folder" in complaint(*called(capsys, "run", "numpy", "--env", "a=~nobody9"))
    with simulate.edited(run / "run.json") as content:
        content["mlpbench"]["plan"] |= {"target": 0.02, "budget_s": None}
        content["mlpbench"]["ending"] = {"spent_s": 1, "left_out": [["numpy", 0]]}
    assert called(capsys, "report", run)[0] == 0


@pytest.mark.parametrize("name", ["\u202eevil\u2066", "\x1b[31mred", "\udcff"])
def test_names_of_files_move_no_text(capsys, run, tmp_path, name):
    target = tmp_path / f"report{name}.md"
    status, _, err = called(capsys, "report", run, "-o", target)
    assert status == 0
    assert target.exists()
    assert err.replace("\n", "").isprintable()
    renamed = run.rename(run.with_name(f"20270101T000000Z-{name}"))
    for format_ in ("md", "html", "csv", "json"):
        assert called(capsys, "report", renamed, "--format", format_)[0] == 0
