"""`mlpbench run` with --threads, --dtype, --spec and --env as axes; what measures is mostly replaced."""

import json
import shutil

import pytest

from mlpbench.bench.plan import probe
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support.processes import measured
from support.terminal import called, complaint, refused, typed

#: Small, and so quick.
SMALL = ("--profile", "smoke", "--batch-size", "10")
NET = "784-50-100-10"


class OnlyFloat32(NumpyKernel):
    @classmethod
    def supports(cls, spec):
        if spec.dtype != "float32":
            raise KernelUnavailable(f"no {spec.dtype}")


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return what types a run: exit status, stdout, stderr, and the runs that came of it (None where nothing did)."""
    classes = {"numpy": NumpyKernel, "single": OnlyFloat32}

    def interrupts(_, folder):
        return stop.get("after") is not None and len(list(folder.parent.glob("*/*.0.json"))) >= stop["after"]

    stop, roofs = {}, []
    measured(monkeypatch, lambda plan, *_: 1e-6 / plan.threads, interrupts=interrupts)
    monkeypatch.setattr(
        "mlpbench.bench.wings.why.after_run.write",
        lambda those, *at, **_: roofs.append(([path.name for path in those], *at)),
    )
    monkeypatch.setattr("mlpbench.bench.plan.plan.USUAL", tuple(classes))
    monkeypatch.setattr("mlpbench.kernels.registry.load", classes.__getitem__)
    monkeypatch.setattr("mlpbench.kernels.registry.module", lambda name: classes[name].__module__)
    monkeypatch.setattr(probe, "probe_all", lambda names, specs, _: [probe.probe(name, specs) for name in names])
    monkeypatch.setitem(render._WRITERS, "html", lambda document: document.title)  # pages have tests of their own
    monkeypatch.setattr("mlpbench.bench.values.processors", lambda: 2)
    monkeypatch.setattr("mlpbench.kernels.base.processors", lambda: 2)

    def type_it(*words, stop_after=None):
        stop["after"] = stop_after
        roofs.clear()
        # Two runs of one second would have one name.
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        status, out, err = called(capsys, "run", *SMALL, *words, "--results", tmp_path / "results")
        there = record.find_runs(tmp_path / "results")
        return status, out, err, record.read_runs(there[0]) if there else None

    type_it.roofs = roofs
    return type_it


def points(runs):
    return [run.setting.point[:3] for run in runs]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--threads", "2", "--threads", "1", "--threads", "2"), [(NET, 2, "float32"), (NET, 1, "float32")]),
        (("--threads", "1,all,2"), [(NET, 1, "float32"), (NET, 2, "float32")]),
        (("--dtype", "float64,float32", "--threads", "1"), [(NET, 1, "float64"), (NET, 1, "float32")]),
        (("--spec=20-10-3", "--spec=30-3", "--spec=20-10-3"), [("20-10-3", 2, "float32"), ("30-3", 2, "float32")]),
        (("--spec", "020-10-3", "--spec", "20-10-3"), [("20-10-3", 2, "float32")]),
    ],
)
def test_values_are_taken_once_in_the_order_typed(run, words, expected):
    status, _, err, runs = run("numpy", *words)
    assert (status, points(runs)) == (0, expected)
    if len(expected) == 1:  # an ordinary run
        assert "1 kernel, 2 cases each, 1 repeat, 2 threads; seed " in err
        assert (runs[0].plan.setting, runs[0].plan.binding) == (None, None)
        assert runs[0].path.joinpath("numpy.0.json").is_file()
        assert run.roofs == [([runs[0].path.name], 2, "float32")]


def test_every_combination_is_told_measured_and_saved(run):
    status, out, err, runs = run("numpy", "--threads", "1,2", "--dtype", "float32,float64", "--seed", "3")
    assert status == 0
    told = "1 thread, float32; 1 thread, float64; 2 threads, float32; 2 threads, float64"
    assert err.startswith(f"4 settings: {told}\n1 kernel, 2 cases each, 1 repeat, in each setting; seed 3\n")
    folder = runs[0].path.parent
    assert {path.name for path in folder.iterdir() if path.is_file()} == {"run.json", "report.md", "report.html"}
    assert f"wrote 4 result files, report.md, report.html to {folder}" in err
    table = out.partition("\n\n")[0]
    assert all(table.count(words) == 1 for words in told.split("; "))
    assert "2 threads, float64: numpy takes " in out
    assert sorted(run.roofs) == sorted(([f"threads-{n}_{d}"], n, d) for n in (1, 2) for d in ("float32", "float64"))
    assert all(found.plan.binding is not None for found in runs), "settings that differ in threads"
    assert err.count("processes of 1 thread are ") == err.count("processes of 2 threads are ") == 1
    _, out, err, runs = run("numpy", "--threads", "1,3,4", "--spec", "20-10-3", "--spec", "30-3", "--json")
    lines = [line for line in err.splitlines() if "take turns" in line]
    assert lines == ["warning: 4 threads on 2 processors take turns: times with them say little about threads"]
    there = [(found["run"], found["setting"]["label"]) for found in json.loads(out)["runs"]]
    assert there == [(found.id, found.setting.label) for found in runs], "JSON is all that stdout holds"
    assert run.roofs == [([f"20-10-3_threads-{n}", f"30-3_threads-{n}"], n, "float32") for n in (1, 3, 4)]


def test_a_kernel_without_a_dtype_is_skipped_in_that_setting_only_and_refused_where_there_is_no_other(run):
    for named in ((), ("single", "numpy")):
        status, _, err, runs = run(*named, "--dtype", "float32,float64")
        assert status == 0
        assert "single is skipped with float64: no float64" in err
        assert [set(found.kernels) for found in runs] == [{"numpy", "single"}, {"numpy"}]
        assert runs[1].skipped == {"single": "no float64"}
    # Named, where no setting can run it, it is refused.
    status, out, err, runs = run("single", "--dtype", "float64", "--threads", "1,2")
    assert (status, out, runs) == (2, "", None)
    assert err == "mlpbench: single is unavailable: no float64\n"


def test_ctrl_c_keeps_what_is_finished_and_says_so(run, capsys, tmp_path):
    status, out, err, runs = run("numpy", "single", "--threads", "1,2", "--seed", "5", stop_after=2)
    assert (status, "per sample" in out) == (130, True)
    assert "interrupted: 2 of 4 processes finished, kept in" in err
    assert [(len(found.records), found.ending.interrupted) for found in runs] == [(0, True), (2, True)]
    # The setting that it did not come to has nothing to explain.
    status, out, err = called(capsys, "explain", "--results", tmp_path / "results")
    assert (status, err) == (0, "The run with 1 thread: nothing was timed, so there is nothing to explain\n")
    assert complaint(*called(capsys, "explain", "latest/threads-1", "--results", tmp_path / "results"))
    # Before anything has ended.
    status, out, err, runs = run("numpy", "--threads", "1,2", stop_after=0)
    assert (status, out, "nothing measured" in err) == (130, "", True)
    assert [len(found.missing) for found in runs] == [1, 1]


def test_a_real_sweep_is_measured_told_compared_and_explained(capsys, tmp_path, quicker):
    """The whole way, every process real: threads in force, dtypes, roofs, report, compare, explain."""
    words = ("run", "numpy", *SMALL, "--spec", "20-10-3", "--threads", "1,2", "--dtype", "float64")
    ran = typed(*words, cwd=tmp_path, PYTHONPATH=quicker)
    runs = record.read_runs(record.latest(tmp_path / "results"))
    assert ran.returncode == bool(refused(*runs)), ran.stderr
    assert points(runs) == [("20-10-3", n, "float64") for n in (1, 2)]
    for found in runs:
        (one,), threads = found.records, found.setting.threads
        assert (one.failures, len(one.cases), one.threads) == ((), 2, threads)
        assert one.environment.variables["OPENBLAS_NUM_THREADS"] == str(threads)
        use = json.loads(one.path.read_text())["mlpbench"]["thread_use"]
        assert all(used <= threads for _, used in use)
        assert found.path.joinpath("roofs.json").is_file()
        if bound := found.plan.binding.processors:
            assert one.environment.machine.affinity == bound
            assert len(bound) == threads
    compare = ("compare", "latest/threads-1", "latest/threads-2", "--anyway")
    for command in (("report",), ("explain",), ("explain", "--json"), compare):
        status, out, err = called(capsys, *command, "--results", tmp_path / "results")
        assert status in (0, 1, 4), err
        assert "threads-1" in out or "1 thread" in out
