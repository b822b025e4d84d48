"""Single calls, one by one, and starts in processes of their own: measured, written and told."""

import itertools
import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench import clock
from mlpbench.bench.analysis import frame
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine.child import Answer
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record import runs
from mlpbench.bench.record.fields import counted
from mlpbench.bench.record.schema import KernelInfo
from mlpbench.bench.report import render
from mlpbench.bench.wings.latency import measurement, section
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import processes, simulate, terminal
from support.processes import python
from support.terminal import refusal
from support.trusting import block as quiet
from support.trusting import write

SPEC = ForwardSpec((3, 2))


def test_single_calls_are_of_one_row_and_stop_at_the_most(monkeypatch):
    monkeypatch.setattr(measurement, "MOST", 50)
    kernel, inputs = NumpyKernel(SPEC, seeded(SPEC)), np.arange(40, dtype=np.float32)[:, None].repeat(3, 1)
    seen = []
    monkeypatch.setattr(kernel, "forward_one", lambda x: (seen.append(float(x[0])), x)[1])
    singles = measurement.single_calls(SimpleNamespace(kernel=kernel, inputs=inputs), Case("per_sample", 100))
    assert (len(seen), seen[:3]) == (50 + measurement.DROPPED, [0, 1, 2]), "inputs rotate"
    assert sum(count for _, count in singles["single_calls"]) == 50
    assert all(isinstance(ns, int) and ns > 0 for ns, _ in singles["single_calls"])


def test_single_calls_stop_at_the_limit(monkeypatch):
    ticks = itertools.count(0, 1000)
    monkeypatch.setattr(clock.time, "perf_counter_ns", lambda: next(ticks))
    assert clock.single_calls_ns(lambda: None, 10e-6, 100) == [1000] * 6


@pytest.mark.parametrize(("budget", "count"), [(None, 2), ("5ms", 4)])
def test_which_cases_have_their_single_calls_timed(monkeypatch, budget, count):
    monkeypatch.setattr(measurement, "single_calls", lambda _, case: {"clock_ns": 1})
    cases = [Case("per_sample", 100), *(Case("batched", n) for n in (1, 10, 100)), Case("book", 1)]
    suite = SimpleNamespace(beside=defaultdict(dict))
    for case in cases:
        measurement.of_case(suite, None, case, {"--p99": budget}.get)
    assert list(suite.beside) == cases[:count]


def called(calls_us, clock_ns=0):
    """Return the single calls of a case as its record has them."""
    return {"single_calls": counted(round(us * 1000) + clock_ns for us in calls_us), "clock_ns": clock_ns}


def with_calls(folder, calls, repeats=1, plan_changes=None):
    """Write and read a run whose batches have these single calls, by their sizes; those of 100 may have none."""
    extra = {("numpy", "batched", size): info for size, info in calls.items()}
    times = {("numpy", "per_sample", 100): 18e-6, **dict.fromkeys(extra, 2e-6), ("numpy", "batched", 100): 2e-6}
    folder = simulate.write_run(folder, times, repeats, 0, extra_info=extra, plan_changes=plan_changes)
    return simulate.read(folder)


def test_percentiles_are_told_where_there_are_calls_enough(tmp_path):
    run = with_calls(tmp_path, {1: called(range(1, 401), clock_ns=50), 100: called(range(1, 31))}, repeats=2)
    one, hundred = section.latencies(run.records)
    assert (one.batch_size, one.calls, one.clock_s) == (1, 800, pytest.approx(50e-9))
    assert [p.value for p in one.percentiles[:3]] == pytest.approx([200e-6, 360e-6, 396e-6], rel=0.005), (
        "less the clock"
    )
    assert one.percentiles[3].value is None
    assert [p.value is None for p in hundred.percentiles] == [False, True, True, True]
    text = render.render([run], "md")
    assert "| numpy | batch 1 | 800 | 200 µs | 360 µs | 396 µs | n too small: 6,636 needed |" in text


def test_the_largest_batch_within_the_budget_of_the_run_or_the_reader_is_told(tmp_path, capsys):
    calls = {n: called([n] * 700) for n in (1, 10)} | {1000: called([1] * 30)}
    run = with_calls(tmp_path, calls, plan_changes={"clock": ["--p99=50us"]})
    (budget,) = section.budgets(run.records, section.asked_budget_s(run.plan))
    assert (budget.batch_size, budget.too_few, budget.untimed) == (10, (1000,), (100,))
    text = render.render([run], "md")
    assert "numpy: up to 10 rows p99 stays under 50.0 µs, there under 10.0 µs (99 % confidence)" in text
    assert "too few calls to tell at 1,000; single calls were not timed at 100." in text
    assert json.loads(render.render([run], "json"))["runs"][0]["trust"]["p99_budget"][0]["batch_size"] == 10
    assert "up to 1 row p99 stays under 5.00 µs" in render.render([run], "md", 5e-6), "the reader's comes first"
    page = render.render([run], "html", 50e-6)
    assert "up to\N{NO-BREAK SPACE}10\N{NO-BREAK SPACE}rows" in page, "a number and its noun share a line"
    for budget, status, part in (("5us", 0, "up to 1 row"), ("soon", 2, "cannot read the time")):
        ended, out, err = terminal.called(capsys, "report", "--results", tmp_path, "--p99", budget)
        assert (ended, part in out + err) == (status, True)


@pytest.mark.parametrize(
    ("words", "part"), [(["--p99=1ns"], "no batch size that was timed is sure"), (["--p99=soon"], ""), ([], "")]
)
def test_budgets_that_nobody_can_keep_or_read(tmp_path, words, part):
    run = with_calls(tmp_path, {1: called([5] * 700)}, plan_changes={"clock": words})
    text = render.render([run], "md")
    assert part in text
    assert ("p99 under" in text, "p99 stays" in text) == (bool(part), False)


@pytest.mark.parametrize(
    ("calls", "format_", "said"),
    [({}, "md", "no single calls of batches"), ({1: called([1] * 700)}, "csv", "a CSV has no place")],
)
def test_a_budget_without_an_answer_is_refused(tmp_path, calls, format_, said):
    assert said in refusal(render.render, [with_calls(tmp_path, calls)], format_, 5e-3)


def test_the_suite_times_single_calls_and_starts(tmp_path):
    words = ["--kernel=numpy", "--mode=per_sample", "--mode=batched", "--batch-size=1", "--batch-size=100"]
    words += ["--p99=5ms", "--cold", "--benchmark-max-time=0.01", f"--benchmark-json={tmp_path / 'numpy.0.json'}"]
    ran = processes.bench("-q", *words)
    assert ran.returncode == 0, ran.stdout
    record = runs.read(tmp_path / "numpy.0.json")
    trust = record.trust
    timed = [(case.mode, case.batch_size) for case in record.cases if case.single_calls and case.clock_ns]
    assert timed == [("per_sample", 100), ("batched", 1), ("batched", 100)]
    assert ([start.fresh for start in trust.starts], trust.no_starts) == ([True, False], None)
    mistaken = processes.bench("-q", "--p99=soon")
    assert mistaken.returncode == 4
    assert "cannot read the time 'soon'" in mistaken.stderr
    assert "Traceback" not in mistaken.stderr


CALLS = [["per_sample", 100, 0.002], ["batched", 100, 0.001]]
SECONDS = {"import_s": 0.5, "construct_s": 9.0, "compile_s": 8.5}
FRESH = {"fresh": True, **SECONDS, "first_calls": CALLS, "peak_bytes": 10**8}
FILLED = {**FRESH, "fresh": False, "construct_s": 0.25, "compile_s": 0.0, "peak_bytes": 2**20, "pool_bytes": 2**21}


def test_cold_columns(tmp_path):
    run = write(tmp_path, [quiet(starts=[FRESH, FILLED], compile_s=0.125, pool_bytes=5), quiet()])
    data = frame.load(run)
    first = data[(data["repeat"] == 0) & (data["mode"] == "batched")].iloc[0]
    names = ["import_s", "construct_s", "compile_s", "first_call_s"]
    assert [first[f"fresh_{name}"] for name in names] == [0.5, 9.0, 8.5, 0.001]
    assert [first[f"filled_{name}"] for name in names] == [0.5, 0.25, 0.0, 0.001]
    assert [first[name] for name in ("import_s", "compile_s", "peak_bytes", "pool_bytes")] == [0.1, 0.125, 2**20, 5]
    assert data[data["repeat"] == 1][["fresh_import_s", "filled_import_s", "peak_bytes"]].isna().all(axis=None)
    text = render.render([run], "md")
    first_calls = "one at a time: 2.00 ms, batch 100: 1.00 ms"
    assert f"| numpy | none yet | 500 ms | 9.00 s | 8.50 s | {first_calls} | 95.37 MiB |" in text
    assert "| numpy | kept from before | 500 ms | 250 ms | none |" in text
    run = write(tmp_path / "none", [quiet(no_starts="the process ended with 1: MemoryError")])
    assert "| numpy | no start was measured | the process ended with 1: MemoryError |" in render.render([run], "md")


def started(kernel, *, fresh=False, **facts):
    """Start a kernel as the suite of a run does."""
    cases = [Case("per_sample", 100), Case("batched", 100), Case("book", 1)]
    suite = Suite(Workload(Options(), rows=200), [kernel], cases, named=True)
    return measurement.starts(suite, SimpleNamespace(name=kernel, kernel_info=KernelInfo(describe=facts)), fresh=fresh)


def test_a_start_is_measured_in_a_process_of_its_own_or_has_a_reason(monkeypatch):
    (start,), reason = started("numpy")
    assert (start.fresh, start.compile_s, reason) == (False, None, None), "NumPy compiles nothing"
    assert list(start.first_calls_s) == [("per_sample", 100), ("batched", 100)]
    assert start.peak_bytes is None or start.peak_bytes > 0
    none, reason = started("no-such-kernel", fresh=True)
    assert (none, "unknown kernel 'no-such-kernel'" in reason) == ([], True)
    monkeypatch.setattr(measurement.child, "ask", lambda *_, **__: pytest.fail("a second process finds no device"))
    none, reason = started("cupy", fresh=True, compute_mode="exclusive")
    assert (none, "nvidia-smi -c DEFAULT" in reason) == ([], True)


def test_a_fresh_start_finds_empty_caches_and_the_next_one_what_it_left(monkeypatch):
    seen = []

    def ask(_module, _asked, variables, timeout_s):
        seen.append({name: [file.name for file in Path(folder).glob("*")] for name, folder in variables.items()})
        for folder in variables.values():
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / "code").touch()
        return Answer({"import_s": 1.0, "construct_s": 1.0}, None)

    monkeypatch.setattr(measurement.child, "ask", ask)
    measured, _ = started("numpy", fresh=True)
    assert [start.fresh for start in measured] == [True, False]
    assert seen == [dict.fromkeys(measurement.CACHES, files) for files in ([], ["code"])]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be forgotten here")
def test_the_peak_of_memory_is_seen_after_it_is_gone():
    code = """
import numpy as np
from mlpbench.bench.machine.child import Answer
from mlpbench.bench.wings.latency import measurement
big = np.ones(60_000_000, np.uint8); del big
before = measurement.begin()
big = np.ones(40_000_000, np.uint8); del big
print(measurement.peak_bytes() - before)
"""
    assert 35e6 < int(python("-c", code).stdout) < 60e6, "what was there before is not the kernel's"
