"""`mlpbench run` as people type it: what it says, where, what it writes, and what can be done with it."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from mlpbench.bench.cases import Case
from mlpbench.bench.cli import console
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import probe
from mlpbench.bench.record import runs
from mlpbench.kernels import registry
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support import evidence_files, idx_files
from support.doubles import AbsentKernel, OnlyReluKernel
from support.processes import measured, stoppable
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
    words = ("compare", "numpy", "numpy-out", "--json", "--results", folder / "results")
    assert called(capsys, *words)[0] in (0, 1, 4)


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


def test_the_command_that_was_printed_can_be_typed(ran, tmp_path):
    process, _ = ran
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("each process: ")]
    program, *words = shlex.split(line.removeprefix("each process: "))
    assert program == "pytest"
    command = [sys.executable, "-m", program, *words]
    by_hand = subprocess.run(command, cwd=tmp_path, env=variables(), capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0, by_hand.stdout
    assert "3 passed" in by_hand.stdout


@pytest.fixture
def here(monkeypatch):
    """Replace the kernels by the classes given, by name; the machine's limits are not measured."""

    def install(peers=(), **classes):
        registry.third_party()  # which the registry remembers, of the real ones
        monkeypatch.setattr(registry, "_PEERS", dict.fromkeys(peers))
        monkeypatch.setattr(registry, "names", lambda: [*classes])
        monkeypatch.setattr(registry, "load", classes.__getitem__)
        monkeypatch.setattr(registry, "module", lambda name: classes[name].__module__)
        monkeypatch.setattr("mlpbench.bench.plan.plan.USUAL", registry.usual())
        monkeypatch.setattr(probe, "probe_all", lambda names, specs, _: [probe.probe(name, specs) for name in names])
        monkeypatch.setattr(WRITE, lambda *_, **__: None)

    return install


PEERS = {"numpy": NumpyKernel, "here": NumpyKernel, "absent": AbsentKernel, "other": NumpyKernel}
GONE = {"numpy": NumpyKernel, "absent": AbsentKernel, "gone": AbsentKernel}
RELU = {"numpy": NumpyKernel, "relu-only": OnlyReluKernel}


@pytest.mark.parametrize(
    ("classes", "words", "planned", "skipped"),
    [
        (PEERS, (), {"numpy", "other"}, {}),
        (PEERS, ("--peers",), {"numpy", "other", "here"}, {"absent": ABSENT}),
        (PEERS, ("here",), {"here"}, {}),
        (PEERS, ("other", "--peers"), {"other", "here"}, {"absent": ABSENT}),
        (PEERS, ("absent", "--peers"), None, f"absent is unavailable: {ABSENT}"),
        (GONE, ("--peers",), {"numpy"}, {}),
        (RELU, (), {"numpy"}, {"relu-only": "no activation sigmoid"}),
        (RELU, ("--spec", "20-10-3:relu"), {"numpy", "relu-only"}, {}),
        (RELU, ("relu-only",), None, "relu-only is unavailable: no activation sigmoid"),
    ],
)
def test_a_dry_run_says_what_would_run_and_what_not_and_leaves_nothing(
    capsys, tmp_path, here, classes, words, planned, skipped
):
    """Peers compete where they are asked for; a kernel that cannot run is skipped, unless it is named."""
    here(peers=[name for name in ("here", "absent", "gone") if name in classes], **classes)
    small = SMALL if "--spec" not in words else SMALL[:2]
    ended = called(capsys, "run", *words, *small, "--repeats", 2, "--dry-run", "--results", tmp_path / "results")
    assert list(tmp_path.iterdir()) == []
    if planned is None:
        assert complaint(*ended) == skipped
        return
    status, out, err = ended
    assert (status, sorted(out.splitlines())) == (0, sorted(f"{name} {repeat}" for name in planned for repeat in "12"))
    assert dict(re.findall("^(.*) is skipped: (.*)$", err, re.MULTILINE)) == skipped
    assert ("no peer is installed: pip install -e '.[peers]'" in err) == (classes is GONE)
    assert "each process: pytest " in err


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


@pytest.fixture
def budgeted(tmp_path, monkeypatch, capsys):
    """Return what runs two kernels: words typed -> exit status, stdout, stderr, the run (None where there is none)."""
    noise = {"numpy": 1e-4, "numba": 0.3}

    def sample_s(plan, at, case):
        rng = np.random.default_rng([plan.kernels.index(at[0]), at[1], plan.cases.index(Case(*case[1:]))])
        return 1e-6 * np.exp(rng.normal(0, noise[at[0]]))  # whatever the running order

    run = stoppable(tmp_path, monkeypatch, capsys, sample_s)

    def typed(*words, **stop):
        for machine in tmp_path.iterdir():  # two runs of one second would have one name
            shutil.rmtree(machine)
        return *run("numpy", "numba", "--seed", 1, *words, **stop), runs.read_run(runs.latest(tmp_path))

    return typed


def count(found):
    return {kernel: sum(r.kernel == kernel for r in found.records) for kernel in found.kernels}


def test_quick_has_five_repeats_and_goes_on_where_it_is_noisy(budgeted):
    status, out, err, found = budgeted("--verbose")
    assert status == 0
    assert "5 repeats and more until every interval is within ±5 % or 65 s are spent" in err
    assert count(found) == {"numpy": 5, "numba": 27}
    assert found.ending.spent_s == 64
    assert (found.plan.repeats, len(found.plan.order), len(found.ending.order)) == (5, 10, 32)
    said = "6 of 12 cases have an interval within 5 %; 6 ran out of budget (64 s used, 65 s planned). Widest: numba"
    assert said in out
    assert "cases have an interval" not in budgeted()[1], "the uncertainty is told once, unless all notes are asked for"


@pytest.mark.parametrize(
    ("words", "numpy", "numba", "effort"),
    [
        (("--budget", "0.5m"), 5, 10, (0.05, 30.0, 5)),
        (("--profile", "smoke"), 1, 1, (None, None, 1)),
        (("--profile", "smoke", "--budget", "20s"), 3, 7, (0.05, 20.0, 3)),
    ],
)
def test_a_budget_of_ones_own_and_smoke_has_none(budgeted, words, numpy, numba, effort):
    _, _, _, found = budgeted(*words)
    assert count(found) == {"numpy": numpy, "numba": numba}
    assert found.ending.spent_s == 2 * (numpy + numba)
    plan = json.loads(found.records[-1].path.read_text())["mlpbench"]["plan"]
    assert (plan["target"], plan["budget_s"], plan["repeats"]) == effort, "every file says what was open"


def test_the_end_is_a_table_of_kernels_the_finding_the_page_and_what_comes_next(budgeted, tmp_path):
    _, out, err, found = budgeted("--repeats", "2")
    assert "2 repeats, " in err
    assert (found.plan.target, {case.limit for case in found.ending.cases}) == (None, {"repeats"})
    table, _, rest = out.partition("\n\n")
    title, head, *rows = table.splitlines()
    assert title.startswith("Time per sample, the fastest kernel first")
    assert head.split("  ")[0] == "kernel"
    assert sorted(row.split()[0] for row in rows) == ["numba", "numpy"]
    units = {"ns": 1e-9, "µs": 1e-6}
    there = [float(time) * units[unit] for row in rows for time, unit in re.findall(r"([\d.]+) (.s)", row)[1:]]
    assert there == sorted(there)
    page, then = rest.splitlines()[-2:]
    assert page == f"page: {(found.path / 'report.html').as_uri()}"
    first, second = (row.split()[0] for row in rows)
    at = f"--results {tmp_path}"
    assert then == f"next: mlpbench explain {at}, mlpbench compare {second} {first} {at}"


def test_what_does_not_fit_into_the_budget_is_left_out_by_name(budgeted, capsys):
    """Five planned repeats of two kernels need 20 s: the budget is kept, and everything says what is missing."""
    status, out, err, found = budgeted("--budget", "9s")
    assert status == 0
    assert re.search(r"(^|\n)numpy 1/5: 1.00 µs one at a time, [\d.]+ .s in batches of [\d,]+ \([\d.]+x\)\n", err)
    assert (len(found.records), found.ending.spent_s, len(found.ending.left_out)) == (4, 8, 6)
    assert (found.missing, found.problems) == ((), ()), "that is no interruption"
    assert re.search(r"Left out, the budget of 9 s was spent: repeats 3, 4, 5 of num\w+, num\w+\.", out)
    _, report, _ = called(capsys, "report", found.path)
    assert re.search(r"numba \| all cases, repeats 3, 4, 5 of 5 \| the budget was spent", report)


def test_ctrl_c_in_a_further_round_is_an_interruption(budgeted):
    status, _, err, found = budgeted(stop_after=12)
    assert status == 130
    assert "interrupted: 12 of 12 processes finished, kept in" in err
    assert found.ending.interrupted
    assert "interrupted" in found.problems[0]


def test_reports_that_cannot_be_written_cost_no_record(capsys, tmp_path, here, monkeypatch):
    here(numpy=NumpyKernel)
    monkeypatch.setattr("mlpbench.bench.cli.run.write_reports", lambda *_: (_ for _ in ()).throw(UserError("full")))
    status, _, err = called(capsys, "run", "numpy", *SMALL, "--results", tmp_path)
    assert (status, "\nmlpbench: full; all records are kept in " in err) == (2, True)
    assert len(list(tmp_path.rglob("numpy.0.json"))) == 1
