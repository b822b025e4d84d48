"""`mlpbench run` as people type it: what it says, where, what it writes, and what can be done with it."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from rich.console import Console
from rich.progress import Progress

from mlpbench.bench.cli import console
from mlpbench.bench.plan import probe
from mlpbench.bench.record import runs
from mlpbench.kernels import registry
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support import evidence_files, idx_files
from support.doubles import AbsentKernel, OnlyReluKernel
from support.processes import measured
from support.sources import ROOT
from support.terminal import argv, called, complaint, refused, shown, typed, variables

#: Small, and so quick: what is said and written is the same.
SMALL = ("--profile", "smoke", "--spec", "20-10-3", "--batch-size", "10")
ABSENT = "no driver [/bold] :x: of this kind"
#: What measures the machine's limits.
WRITE = "mlpbench.bench.wings.why.after_run.write"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of two kernels in two repeats, typed in a folder of its own: the finished process and the folder."""
    folder = tmp_path_factory.mktemp("run")
    words = ("run", "numpy", "numpy-out", "--profile", "smoke", "--repeats", "2", "--seed", "3", "--threads", "1", "-v")
    return typed(*words, cwd=folder), folder


def test_tables_come_first_and_then_the_finding_in_words_which_the_results_are_enough_for(ran, capsys):
    """What there is to find is the machine's. The words for known times are tested in tests/analysis."""
    process, folder = ran
    without = refused(runs.read_run(runs.latest(folder / "results")))
    assert process.returncode == bool(without), process.stderr
    if without:
        pytest.skip(f"no table of what is refused: {without[0].reason}")
    kernels, table, said = process.stdout.split("\n\n")[:3]
    assert {row.split()[0] for row in kernels.splitlines()[2:]} == {"numpy", "numpy-out"}
    assert re.search(r"Fastest(: | in batches of 100: )numpy(-out)?, ", said)
    title, _, *rows = table.splitlines()  # with --verbose every case has a row
    assert title.strip() == "Case by case"
    cases = [tuple(row.split()[:3]) for row in rows]
    assert {(kernel, "batch", size) for kernel in ("numpy", "numpy-out") for size in ("1", "100")} <= set(cases)
    status, report, _ = called(capsys, "report", "--format", "md", "--results", folder / "results")
    assert (status, said.splitlines()[0] in report) == (0, True)
    status, compared, _ = called(capsys, "compare", "numpy", "numpy-out", "--json", "--results", folder / "results")
    assert status in (0, 1, 4)
    found = {(case["mode"], case["batch_size"]) for case in json.loads(compared)["cases"]}
    assert found == {("per_sample", 100), ("batched", 1), ("batched", 100)}


def test_progress_goes_to_stderr_and_everything_that_was_promised_to_the_results(ran):
    process, folder = ran
    path = runs.latest(folder / "results")
    told = process.stderr.splitlines()
    assert told[0] == "2 kernels, 3 cases each, 2 repeats, 1 thread; seed 3"
    assert "784-50-100-10 sigmoid/softmax float32; digits, trained weights" in told
    assert "the 1,000 rows of digits are repeated to fill 10,000" in told
    first = told.index("First times per sample, of 1 of 2 processes each: no intervals yet")
    assert told[first + 1].split() == ["kernel", "one", "at", "a", "time", "best", "batch", "time", "there"]
    assert {line.split()[0] for line in told[first + 2 : first + 4]} == {"numpy", "numpy-out"}
    assert first < next(number for number, line in enumerate(told) if line.startswith(("numpy 2/2", "numpy-out 2/2")))
    assert f"wrote 4 result files, report.md, report.html to {path.relative_to(folder)}" in told
    records = {f"{kernel}.{repeat}.json" for kernel in ("numpy", "numpy-out") for repeat in (0, 1)}
    assert {file.name for file in path.iterdir()} == {"run.json", "roofs.json", "report.md", "report.html"} | records
    assert [each.name for each in folder.iterdir()] == ["results"], "nothing is anywhere else"
    assert re.fullmatch(r"\d{8}T\d{6}Z-([0-9a-f]{8}|nocommit)", path.name)
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in path.glob("*.json")), "readable to whoever compares"
    run = runs.read_run(path)
    assert run.plan.command[:4] == ("mlpbench", "run", "numpy", "numpy-out")
    assert (run.plan.seed, run.plan.threads, run.plan.repeats, run.plan.profile) == (3, 1, 2, "smoke")
    assert len(run.plan.order) == len(run.records) == 4
    for found in run.records:
        assert found.plan == run.plan
        assert found.kernel_info.max_error_ratio < 1
        assert found.kernel_info.accuracy.per_sample == found.kernel_info.accuracy.batched > 0.95
        assert all((found.data.sha256, found.weights.sha256))
        assert (found.threads, len(found.cases)) == (1, 3)
        assert all(len(case.rounds_s) >= 3 for case in found.cases)
        for name in ("machine", "os", "python", "libraries", "blas", "gpu", "git"):
            assert getattr(found.environment, name)


def test_the_command_that_was_printed_can_be_typed(ran, tmp_path):
    process, _ = ran
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("each process: ")]
    program, *words = shlex.split(line.removeprefix("each process: "))
    assert program == "pytest"
    command = [sys.executable, "-m", program, *words]
    by_hand = subprocess.run(command, cwd=tmp_path, env=variables(), capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0, by_hand.stdout
    assert "3 passed" in by_hand.stdout


def test_a_dry_run_says_what_would_come_and_leaves_nothing(capsys, tmp_path, here):
    here(peers=("openvino",), openvino=AbsentKernel, numpy=NumpyKernel, other=NumpyKernel)
    words = (*SMALL, "--peers", "--repeats", "2", "--dry-run", "--results", tmp_path / "results")
    status, out, err = called(capsys, "run", *words)
    assert (status, sorted(out.splitlines())) == (0, ["numpy 1", "numpy 2", "other 1", "other 2"])
    assert "2 kernels, 2 cases each, 2 repeats" in err
    assert "each process: pytest " in err
    assert f"openvino is skipped: {ABSENT}" in err
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_nobody_named_is_skipped_with_its_reason(capsys, tmp_path, monkeypatch, here):
    here(absent=AbsentKernel, numpy=NumpyKernel)
    measured(monkeypatch, lambda *_: 1e-6)
    status, _, err = called(capsys, "run", *SMALL, "--results", tmp_path / "a")
    assert (status, f"absent is skipped: {ABSENT}" in err) == (0, True)
    run = runs.read_run(runs.latest(tmp_path / "a"))
    assert run.skipped == {"absent": ABSENT}
    assert ABSENT in called(capsys, "report", "--results", tmp_path / "a", "--format", "json")[1]
    # Asked for by name, it must run or fail: and it fails before anything is written.
    assert complaint(*called(capsys, "run", "absent", *SMALL, "--results", tmp_path / "b")).endswith(ABSENT)
    assert not (tmp_path / "b").exists()


@pytest.fixture
def here(monkeypatch):
    """Replace the kernels by the classes given, by name; the machine's limits are not measured."""

    def install(peers=(), **classes):
        monkeypatch.setattr(registry, "_PEERS", dict.fromkeys(peers))
        monkeypatch.setattr(registry, "names", lambda: [*classes])
        monkeypatch.setattr(registry, "load", classes.__getitem__)
        monkeypatch.setattr(registry, "module", lambda name: classes[name].__module__)
        monkeypatch.setattr("mlpbench.bench.plan.plan.USUAL", registry.usual())
        monkeypatch.setattr(probe, "probe_all", lambda names, specs, _: [probe.probe(name, specs) for name in names])
        monkeypatch.setattr(WRITE, lambda *_, **__: None)

    return install


@pytest.fixture
def planned(capsys, tmp_path, here):
    """Return a function that plans kernels given by name, and returns what would run, or what was said."""

    def plan(*words, peers=(), **classes):
        here(peers, **classes)
        small = SMALL if "--spec" not in words else (*SMALL[:2], *SMALL[4:])
        status, out, err = called(capsys, "run", *words, *small, "--dry-run", "--results", tmp_path)
        skipped = dict(re.findall("^(.*) is skipped: (.*)$", err, re.MULTILINE))
        return err.strip() if status == 2 else ({line.split()[0] for line in out.splitlines()}, skipped)

    return plan


def test_peers_compete_when_they_are_asked_for(planned):
    kernels = {"numpy": NumpyKernel, "here": NumpyKernel, "absent": AbsentKernel, "other": NumpyKernel}
    for words, expected in (
        ((), ({"numpy", "other"}, {})),
        (("--peers",), ({"numpy", "other", "here"}, {"absent": ABSENT})),
        (("here",), ({"here"}, {})),
        (("other", "--peers"), ({"other", "here"}, {"absent": ABSENT})),
        (("absent", "--peers"), f"mlpbench: absent is unavailable: {ABSENT}"),
    ):
        assert planned(*words, peers=("here", "absent"), **kernels) == expected, words


def test_a_kernel_that_cannot_express_the_specification_is_skipped_unless_it_is_named(planned):
    kernels = {"numpy": NumpyKernel, "relu-only": OnlyReluKernel}
    assert planned(**kernels) == ({"numpy"}, {"relu-only": "no activation sigmoid"})
    assert planned("--spec", "20-10-3:relu", **kernels) == ({"numpy", "relu-only"}, {})
    assert planned("relu-only", **kernels) == "mlpbench: relu-only is unavailable: no activation sigmoid"


def test_a_terminal_shows_what_is_done_now_and_each_result_as_it_comes(capsys, tmp_path, monkeypatch, here):
    """Here every change is drawn: ten times a second, it depends on the machine which of them last long enough."""
    here(numpy=NumpyKernel)
    measured(monkeypatch, lambda plan, at, case: 1e-6 if case[1] == "batched" else 2e-6)
    update, drawn = Progress.update, io.StringIO()
    monkeypatch.setattr(Progress, "update", lambda *at, **changes: update(*at, refresh=True, **changes))
    terminal = Console(file=drawn, force_terminal=True, no_color=True, width=100, **console.PLAIN)
    monkeypatch.setattr(console, "err", lambda: terminal)
    called(capsys, "run", *SMALL, "--results", tmp_path)
    now = [f"numpy 1/1: timing {case}.* 0/1" for case in ("per_sample 100", "batched 10")]
    result = r"\x1b\[2Knumpy 1/1: 2.00 µs one at a time, 1.00 µs in batches of 10 \(2x\)\n"
    assert re.search(".*".join((*now, result, "measuring the machine's limits")), drawn.getvalue(), re.DOTALL)


def test_the_table_comes_before_the_machines_limits_and_what_these_refuse_below_it(capsys, tmp_path, monkeypatch, here):
    """Batches of ten take a picosecond a row. Nobody waits for the limits before reading what was found."""
    here(numpy=NumpyKernel)
    measured(monkeypatch, lambda plan, at, case: 1e-12 if case[1] == "batched" else 2e-6)
    before = []

    def write(folders, *_, **__):
        before.append(capsys.readouterr().out)
        for folder in folders:
            (folder / "roofs.json").write_text(json.dumps(evidence_files.roofs()))

    monkeypatch.setattr(WRITE, write)
    status, out, _ = called(capsys, "run", *SMALL, "--repeats", "2", "--results", tmp_path)
    assert before[0].startswith("Time per sample, the fastest kernel first")
    assert "Refused" not in before[0]
    first, *_, page, _ = out.splitlines()
    assert first.startswith("Not to be believed in the table above. Refused: numpy, batch 10: roofline: ")
    assert (status, page.startswith("page: ")) == (1, True)
    assert "it would be" in (runs.latest(tmp_path) / "report.md").read_text()
    _, out, _ = called(capsys, "run", *SMALL, "--repeats", "2", "--json", "--results", tmp_path / "json")
    assert before[1:] == [""], "data for programs hold nothing that is refused"
    assert "it would be" in json.dumps(json.loads(out))
    status, out, _ = called(capsys, "run", *SMALL, "--results", tmp_path / "one")
    assert (status, "Not checked: numpy, batch 10: roofline: " in out.replace("\n", " ")) == (0, True)


def test_a_record_that_cannot_be_true_is_named_and_fails_the_run(capsys, tmp_path, monkeypatch, here):
    """No reader takes it, though its process has ended well."""
    here(numpy=NumpyKernel, other=NumpyKernel)
    untrue = {"accuracy": {"per_sample": 0.5, "batched": 0.5, "rows": 10**9}}
    measured(monkeypatch, lambda *_: 1e-6, facts=lambda plan, kernel: untrue if kernel == "other" else {})
    status, _, err = called(capsys, "run", "numpy", "other", *SMALL, "--results", tmp_path)
    assert status == 1
    assert re.search(r"left out: .*other\.0\.json: cannot be true: accuracy of 1000000000 rows", err.replace("\n", " "))
    assert called(capsys, "run", "numpy", *SMALL, "--results", tmp_path / "true")[0] == 0


def test_the_book_profile_in_a_terminal_of_a_project_whose_settings_are_not_used(tmp_path, quicker):
    """Installed into a project's own environment, inside that project's folder. Every process is real."""
    site = tmp_path / "project" / "venv"
    shutil.copytree(ROOT / "mlpbench", site / "mlpbench", ignore=shutil.ignore_patterns("__pycache__"))
    (site.parent / "pytest.ini").write_text("[pytest]\nminversion = 99\npython_functions = nothing_*\n")
    (site.parent / "conftest.py").write_text("raise RuntimeError('of no concern')\n")
    before = {path.name for path in site.parent.iterdir()}
    idx_files.write(tmp_path, idx_files.TEST, 200)
    words = ("--profile", "book", "--repeats", "1", "--threads", "1", "--data", "mnist", "--results", "res[/]ults")
    where = {"PYTHONPATH": f"{site}{os.pathsep}{quicker}", "MLPBENCH_DATA": tmp_path}
    printed = shown(argv("run", *words), site.parent, columns=200, **where)
    # Which of the phases are drawn depends on how long they last.
    assert re.search(r"numpy 1/1: (starting|importing|preparing|checking|warming|timing|looking)", printed)
    assert re.search(r"numpy 1/1: [\d.]+ \w+ one at a time, [\d.]+ \w+ in batches of 100 \([\d.e+]+x\)", printed)
    for words in ("1.25 s", "269 ms", "4.65x", "0.9352", "no html report: ", "report.md"):
        assert words in printed, "with what the book published"
    assert {path.name for path in site.parent.iterdir()} - before == {"res["}, "a name that is no markup"
    run = runs.read_run(runs.latest(site.parent / "res[/]ults"))
    refused(run)
    (found,) = run.records
    cases = {(case.mode, case.batch_size) for case in found.cases}
    assert cases == {("per_sample", 100), *((mode, size) for mode in ("batched", "book") for size in (1, 100))}
    for case in found.cases:
        assert case.includes_loading is (case.mode == "book")
        assert case.rows_per_call == (200 if case.mode == "book" else case.batch_size)
