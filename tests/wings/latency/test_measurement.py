"""Single calls, one by one: measured, written and told."""

import itertools
import json

import numpy as np
import pytest

from mlpbench.bench import clock
from mlpbench.bench.cases import Case
from mlpbench.bench.cli.app import main
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import Singles
from mlpbench.bench.report import render
from mlpbench.bench.wings.latency import latency
from mlpbench.bench.wings.latency import measurement as single_calls
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import processes
from support.trusting import block as quiet
from support.trusting import write

SPEC = ForwardSpec((3, 2))


class Doubled(Kernel):
    """Returns its input; counts its calls; ``forward_one`` knows the rows that it has seen."""

    backend = "doubled"

    def __init__(self):
        super().__init__(SPEC, seeded(SPEC))
        self.seen = []

    def forward(self, x):
        self.seen.append(float(x[0, 0]))
        return x

    def forward_one(self, x):
        self.seen.append(float(x[0]))
        return x


class Entrant:
    """What is needed of a contestant."""

    def __init__(self, rows=40):
        self.kernel = Doubled()
        self.inputs = np.arange(rows, dtype=np.float32)[:, None].repeat(3, 1)


# -- single calls


def test_single_calls_are_of_one_row_and_stop_at_the_most(monkeypatch):
    monkeypatch.setattr(single_calls, "MOST", 50)
    entrant = Entrant()
    found = single_calls.single_calls(entrant, Case("per_sample", 100)).as_dict()
    assert (found["mode"], found["batch_size"]) == ("per_sample", 100)
    assert len(entrant.kernel.seen) == 50 + single_calls.DROPPED
    assert entrant.kernel.seen[:3] == [0, 1, 2], "inputs rotate"
    assert sum(count for _, count in found["calls"]) == 50
    assert all(isinstance(ns, int) and ns > 0 for ns, _ in found["calls"])


def test_single_calls_stop_at_the_limit(monkeypatch):
    ticks = itertools.count(0, 1000)
    monkeypatch.setattr(clock.time, "perf_counter_ns", lambda: next(ticks))
    assert clock.single_calls_ns(lambda: None, 10e-6, 100) == [1000] * 6
    assert set(clock.clock_pairs_ns(20)) == {1000}


def test_which_cases_have_their_single_calls_timed():
    cases = [Case("per_sample", 100), *(Case("batched", n) for n in (1, 10, 100)), Case("book", 1)]
    asked = {budget: [case for case in cases if single_calls.is_asked(case, budget)] for budget in (None, "5ms")}
    assert asked == {None: cases[:2], "5ms": cases[:4]}


def single_block(size, calls_us, clock_ns=0):
    calls = [round(us * 1000) + clock_ns for us in calls_us]
    return Singles.of(Case("batched", size), clock_ns, calls).as_dict()


def test_percentiles_are_told_where_there_are_calls_enough(tmp_path):
    block = quiet(singles=[single_block(1, range(1, 401), clock_ns=50), single_block(100, range(1, 31))])
    run = write(tmp_path, [block, block])
    one, hundred = latency.latencies(run.records)
    assert (one.batch_size, one.calls, one.clock_s) == (1, 800, pytest.approx(50e-9))
    assert [p.value for p in one.percentiles[:3]] == pytest.approx([200e-6, 360e-6, 396e-6], rel=0.005), (
        "the clock is taken off"
    )
    assert one.percentiles[3].value is None
    assert [p.value is None for p in hundred.percentiles] == [False, True, True, True]
    text = render.render([run], "md")
    assert "| numpy | batch 1 | 800 | 200 µs | 360 µs | 396 µs | n too small: 6,636 needed |" in text
    assert "LoadGen" in text


def test_the_largest_batch_within_the_budget_is_told(tmp_path):
    block = quiet(singles=[single_block(n, [n] * 700) for n in (1, 10, 100)] + [single_block(1000, [1] * 30)])
    run = write(tmp_path, [block], plan_changes={"clock": ["--p99=50us"]})
    (found,) = latency.budgets(run.records, latency.asked_budget_s(run.plan))
    assert (found.batch_size, found.too_few) == (10, (1000,))
    text = render.render([run], "md")
    assert "numpy: up to 10 rows p99 stays under 50.0 µs, there under 10.0 µs (99 % confidence)" in text
    assert "too few calls to tell at 1,000" in text
    assert json.loads(render.render([run], "json"))["runs"][0]["trust"]["p99_budget"][0]["batch_size"] == 10
    assert "stays under 5.00 µs" in render.render([run], "md", 5e-6), "the reader's takes the place of the run's"


@pytest.mark.parametrize(
    ("words", "said"), [(["--p99=1ns"], "no batch size that was timed is sure"), (["--p99=soon"], ""), ([], "")]
)
def test_budgets_that_nobody_can_keep_or_read(tmp_path, words, said):
    run = write(tmp_path, [quiet(singles=[single_block(1, [5] * 700)])], plan_changes={"clock": words})
    text = render.render([run], "md")
    assert said in text
    assert ("p99 under" in text) == bool(said)


def test_a_run_that_was_not_asked_can_be_asked_later(tmp_path):
    block = quiet(singles=[single_block(n, [n] * 700) for n in (1, 10)])
    run = write(tmp_path, [block])
    assert "p99 stays" not in render.render([run], "md")
    text = render.render([run], "md", 5e-6)
    assert "numpy: up to 1 row p99 stays under 5.00 µs, there under 1.00 µs (99 % confidence)" in text
    assert "; single calls were not timed at 100." in text, "a batch size of the sweep, of which nothing is known"
    found = json.loads(render.render([run], "json", 50e-6))["runs"][0]["trust"]["p99_budget"]
    assert [(one["batch_size"], one["untimed"]) for one in found] == [(10, [100])]
    html = render.render([run], "html", 50e-6)
    assert "up to\N{NO-BREAK SPACE}10\N{NO-BREAK SPACE}rows" in html, "a number and its noun share a line"


@pytest.mark.parametrize(("singles", "format_"), [([], "md"), ([single_block(1, [1] * 700)], "csv")])
def test_a_budget_without_an_answer_is_refused(tmp_path, singles, format_):
    run = write(tmp_path, [quiet(singles=singles)])
    with pytest.raises(UserError, match=r"no single calls of batches|a CSV has no place") as error:
        render.render([run], format_, 5e-3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("words", "status", "said"), [(["5us"], 0, "up to 1 row"), (["soon"], 2, "not a duration")])
def test_the_command_asks(tmp_path, capsys, words, status, said):
    write(tmp_path, [quiet(singles=[single_block(n, [n] * 700) for n in (1, 10)])])
    with pytest.raises(SystemExit) as ended:
        main(["report", "--results", str(tmp_path), "--p99", *words])
    out, err = capsys.readouterr()
    assert ended.value.code == status
    assert said in out + err


# -- in the suite


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("closer") / "numpy.0.json"
    words = ["--kernel=numpy", "--mode=per_sample", "--mode=batched", "--batch-size=1", "--batch-size=100"]
    words += ["--p99=5ms", "--cold", "--benchmark-max-time=0.01", f"--benchmark-json={path}"]
    ran = processes.bench("-q", *words)
    assert ran.returncode == 0, ran.stdout
    return runs.read(path)


def test_the_suite_looks_closer(written):
    trust = written.trust
    assert [(s.mode, s.batch_size) for s in trust.singles] == [("per_sample", 100), ("batched", 1), ("batched", 100)]
    assert [start.fresh for start in trust.starts] == [True, False]
    assert trust.no_starts is None


def test_a_mistake_is_told_in_one_line():
    ran = processes.bench("-q", "--p99=soon")
    assert ran.returncode == 4
    assert "'soon' is not a duration" in ran.stderr
    assert "Traceback" not in ran.stderr
