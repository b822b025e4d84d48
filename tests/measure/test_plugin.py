"""The suite by hand: `pytest bench/` with its options, and the files that it writes."""

import json
import warnings
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.machine.look import MOST_PROCESSORS
from mlpbench.bench.plan.plan import make_plan, profile
from mlpbench.bench.record import runs
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors
from support.doubles import offer
from support.processes import open_run, python
from support.sources import ROOT

pytest_plugins = ["pytester"]

#: A clock that does not look long: these tests ask what is measured, never how fast.
SHORT = ("--benchmark-max-time=0.01", "--benchmark-min-rounds=3")
BENCH = ROOT / "bench"


#: Run `pytest bench/` as a user does, in a process of its own.
by_hand = partial(python, "-m", "pytest", BENCH, *SHORT, PYTHONPATH=None)


def test_a_file_by_hand_is_a_record_with_its_rounds_and_no_host_name_that_pytest_benchmark_compares(tmp_path):
    path = tmp_path / "numpy.json"
    words = ("--kernel", "numpy", "--mode", "batched", "--batch-size", "10", "--data", "random")
    ran = by_hand(*words, f"--benchmark-json={path}", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    for words in ("1 passed", "numpy: agrees with the reference within", "by hand: nobody checks"):
        assert words in ran.stdout
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path], "nothing else is written"
    found = runs.read(path)
    assert (found.kernel, found.plan, found.failures, found.data.name) == ("numpy", None, (), "random")
    assert "no labels" in found.kernel_info.accuracy.reason
    assert found.kernel_info.max_error_ratio < 1
    assert found.environment.machine.cpu_model
    assert [pool for pool in found.environment.blas if pool["user_api"] == "blas"], "BLAS is loaded by now"
    assert list(found.trust.call_costs_s) == ["per_sample", "batched"]
    (case,) = found.cases
    assert (case.mode, case.batch_size, case.rows_per_call) == ("batched", 10, 10)
    assert len(case.rounds_s) >= 3
    assert None not in (case.first_call_s, case.from_host_s, case.to_host_s)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "node" not in content["machine_info"]
    (benchmark,) = content["benchmarks"]
    assert benchmark["fullname"] == "bench/test_forward.py::test_forward[numpy-batched-10]"
    assert (benchmark["group"], benchmark["options"]["disable_gc"]) == ("batched-10", True)
    ran = python("-m", "pytest_benchmark", "compare", path, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "test_forward[numpy-batched-10]" in ran.stdout


def test_what_fails_by_hand_is_not_timed_and_its_file_says_why(tmp_path):
    """Also in this checkout, whose pytest settings make warnings errors, pytest-benchmark's own among them."""
    kernels, path = offer(tmp_path / "offered", wrong="support.mutants:SoftmaxDropped"), tmp_path / "wrong.json"
    words = ("--kernel=wrong", "--mode=batched", "--batch-size=1", "--batch-size=10", f"--benchmark-json={path}")
    ran = by_hand(*words, cwd=tmp_path, PYTHONPATH=f"{kernels}:{ROOT / 'tests'}")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "2 errors" in ran.stdout, "one for each case, and none at teardown"
    assert "fixture was not used" not in ran.stdout + ran.stderr, "pytest-benchmark has nothing to warn of"
    found = runs.read(path)
    assert found.cases == ()
    assert {(failure.batch_size, failure.phase) for failure in found.failures} == {(1, "gate"), (10, "gate")}
    assert len({failure.reason for failure in found.failures}) == 1
    assert found.failures[0].reason.startswith("wrong does not conform and is not timed: ")
    assert found.kernel_info.max_error is None


@pytest.fixture
def inside(pytester, monkeypatch):
    """Run `pytest bench/` in this process, with kernels of our own: {name: class in `doubles`}."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(*words, **kernels):
        points = {
            name: EntryPoint(name, value if ":" in value else f"support.doubles:{value}", registry.GROUP)
            for name, value in kernels.items()
        }
        monkeypatch.setattr(registry, "_points", lambda: points)
        monkeypatch.setattr(registry, "usual", lambda: list(points))  # those of other packages are not
        plugins = ("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider")
        with warnings.catch_warnings(record=True):  # what the inner pytest warns of is no warning of this one
            return pytester.runpytest_inprocess(BENCH, *SHORT, *plugins, *map(str, words))

    return run


NUMPY = {"numpy": "mlpbench.kernels.mlp_numpy:NumpyKernel"}
#: Small, and so quick to check; timed once.
SMALL = ("--mode=batched", "--batch-size=10", "--spec=20-10-3")


def test_a_wrong_kernel_fails_one_that_cannot_run_here_is_left_out_and_the_others_are_timed(inside, tmp_path):
    bad = {"wrong": "support.mutants:SoftmaxDropped", "broken": "ConstructorRaises", "gone": "nowhere:Kernel"}
    result = inside(*SMALL, "-rs", **NUMPY, **bad, absent="AbsentKernel")
    result.assert_outcomes(passed=1, errors=2, skipped=2)
    result.stdout.fnmatch_lines("wrong does not conform and is not timed: *off by*")
    result.stdout.fnmatch_lines("*RuntimeError: no memory on the device")
    result.stdout.fnmatch_lines("SKIPPED*gone is unavailable: *No module named 'nowhere'*")
    result.stdout.fnmatch_lines("SKIPPED*absent is unavailable: no driver*")
    assert "test_forward[wrong" not in result.stdout.str().partition("- benchmark ")[2].partition("Legend:")[0]
    named = inside(*SMALL, "--kernel=absent", f"--benchmark-json={tmp_path / 'x.json'}", absent="AbsentKernel")
    named.assert_outcomes(errors=1)
    (failure,) = runs.read(tmp_path / "x.json").failures
    assert failure.reason == "absent is unavailable: no driver [/bold] :x: of this kind"


def test_cases_are_those_that_are_asked_for_and_a_kernel_named_twice_is_timed_once(inside):
    asked = ("--kernel=numpy", "--mode=per_sample", "--mode=batched", "--mode=book", "--batch-size=100")
    result = inside(*asked, "--kernel=numpy", "--per-sample-rows=10", "-v", **NUMPY)
    result.assert_outcomes(passed=3)
    for case in ("per_sample-10", "batched-100", "book-100"):
        result.stdout.fnmatch_lines(f"*[[]numpy-{case}[]] PASSED*")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--kernel=numpyy",), "unknown kernel 'numpyy' (did you mean numpy?)"),
        (("--mode=batch",), "unknown mode 'batch' (did you mean batched?)"),
        (("--batch-size=0",), "cannot read the batch size '0'"),
        (("--spec=20-10-3:swish",), "hidden must be one of"),
        (("--model=nowhere.npz",), "weights nowhere.npz: there is no such file"),
        (("--benchmark-json=x.json",), "a result file holds one kernel: name it with --kernel"),
        (("--kernel=numpy", "--kernel=second", "--benchmark-json=x.json"), "a result file holds one kernel"),
        (("--benchmark-save=x",), "a result file holds one kernel"),
    ],
)
def test_bad_options_are_told_in_one_line(inside, words, expected):
    result = inside(*words, **NUMPY, second="mlpbench.kernels.mlp_numpy:NumpyOutKernel")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert line.startswith(f"ERROR: mlpbench: {expected}")
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert not Path("x.json").exists()


@pytest.mark.usefixtures("inside")
def test_the_options_are_of_no_concern_to_other_tests(pytester):
    pytester.makepyfile("def test_nothing(): pass")
    plugins = ("-p", "pytest_benchmark.plugin", "-p", "mlpbench.bench.measure.plugin")
    for words in ((), ("--batch-size=0",)):
        pytester.runpytest_inprocess(*plugins, *words).assert_outcomes(passed=1)


@pytest.fixture
def of_a_run(inside, tmp_path):
    """Run the suite as a process of a run does, with one kernel; return pytest's result and the record's path."""

    def run(name, *words, **kernels):
        sizes = [int(word.partition("=")[2]) for word in words if word.startswith("--batch-size")]
        settings = {"repeats": 1, "seed": 1, "threads": processors(), "command": [], "commit": None}
        cases = [Case("batched", size) for size in sizes]
        folder = open_run(tmp_path / "results", make_plan(profile("smoke"), [name], cases, **settings))
        path = folder / f"{name}.0.json"
        asked = (f"--kernel={name}", f"--mlpbench-run={folder / 'run.json'}", "--benchmark-min-time=0.001")
        result = inside("--mode=batched", "--spec=20-10-3", *words, *asked, f"--benchmark-json={path}", **kernels)
        return result, path

    return run


def test_in_a_run_cases_take_turns_and_each_is_written_once(of_a_run):
    words = ("--batch-size=1", "--batch-size=10", "--benchmark-min-rounds=40")
    result, path = of_a_run("numpy", *words, **NUMPY)
    assert "by hand" not in result.stdout.str()
    found = runs.read(path)
    assert {case.batch_size for case in found.cases} == {1, 10}
    blocks = result.parseoutcomes()["passed"] - 2
    assert 2 * 20 <= blocks <= 2 * 40, "two in every other turn; of shorter rounds there are more"
    for case in found.cases:
        assert len(case.looks_ns) == len(case.rounds_s) >= 40
        assert case.look_processors in (1, min(processors(), MOST_PROCESSORS))
        assert case.first_call_s is not None
    names = {row["name"] for row in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]}
    assert names == {"test_forward[numpy-batched-1]", "test_forward[numpy-batched-10]"}


@pytest.mark.parametrize(
    ("name", "kernel", "timed", "noted"),
    [
        ("late", "RaisesInLargeBatches", [10], [(200, "measure", "MemoryError:")]),
        ("wrong", "support.mutants:SoftmaxDropped", [], [(10, "gate", "wrong"), (200, "gate", "wrong")]),
    ],
)
def test_in_a_run_a_case_that_fails_is_noted_once_and_costs_no_other_its_rounds(of_a_run, name, kernel, timed, noted):
    result, path = of_a_run(name, "--batch-size=10", "--batch-size=200", **{name: kernel})
    outcomes, found = result.parseoutcomes(), runs.read(path)
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == len(noted)
    assert [case.batch_size for case in found.cases if len(case.rounds_s) >= 3] == timed
    assert sorted((one.batch_size, one.phase, one.reason.split()[0]) for one in found.failures) == noted
