"""`mlpbench run` with --budget and --repeats as people type them; what measures is replaced."""

import json
import re
import shutil

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.plan import probe
from mlpbench.bench.record import runs as record
from support.processes import measured
from support.terminal import called


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return what runs two kernels: words typed -> exit status, stdout, stderr, the run (None where there is none)."""
    noise = {"numpy": 1e-4, "numba": 0.3}

    def sample_s(plan, at, case):
        rng = np.random.default_rng([plan.kernels.index(at[0]), at[1], plan.cases.index(Case(*case[1:]))])
        return 1e-6 * np.exp(rng.normal(0, noise[at[0]]))  # whatever the running order

    stop = {}
    # A page for each of them would take most of the time.
    monkeypatch.setattr("mlpbench.bench.cli.run.write_reports", lambda _, folder: [folder / "report.html"])
    measured(monkeypatch, sample_s, seconds=2.0, interrupts=lambda at, _: at == stop.get("at"))
    here = [probe.Probed(name, name, "cpu", "1", None) for name in noise]
    monkeypatch.setattr(probe, "probe_all", lambda names, specs, _: [answer for answer in here if answer.name in names])

    def typed(*words, stop_at=None):
        stop["at"] = stop_at
        for machine in tmp_path.iterdir():  # two runs of one second would have one name
            shutil.rmtree(machine)
        status, out, err = called(capsys, "run", "numpy", "numba", "--seed", 1, "--results", tmp_path, *words)
        runs = record.find_runs(tmp_path)
        return status, out, err, record.read_run(runs[0]) if runs else None

    return typed


def count(found):
    return {kernel: sum(r.kernel == kernel for r in found.records) for kernel in found.kernels}


def test_quick_has_five_repeats_and_goes_on_where_it_is_noisy(run):
    status, out, err, found = run("--verbose")
    assert status == 0
    assert "5 repeats and more until every interval is within ±5 % or 65 s are spent" in err
    assert count(found) == {"numpy": 5, "numba": 27}
    assert found.ending.spent_s == 64
    assert (found.plan.repeats, len(found.plan.order), len(found.ending.order)) == (5, 10, 32)
    said = "6 of 12 cases have an interval within 5 %; 6 ran out of budget (64 s used, 65 s planned). Widest: numba"
    assert said in out
    assert "cases have an interval" not in run()[1], "the uncertainty is told once, unless all notes are asked for"


@pytest.mark.parametrize(
    ("words", "numpy", "numba", "effort"),
    [
        (("--budget", "0.5m"), 5, 10, (0.05, 30.0, 5)),
        (("--profile", "smoke"), 1, 1, (None, None, 1)),
        (("--profile", "smoke", "--budget", "20s"), 3, 7, (0.05, 20.0, 3)),
    ],
)
def test_a_budget_of_ones_own_and_smoke_has_none(run, words, numpy, numba, effort):
    _, _, _, found = run(*words)
    assert count(found) == {"numpy": numpy, "numba": numba}
    assert found.ending.spent_s == 2 * (numpy + numba)
    plan = json.loads(found.records[-1].path.read_text())["mlpbench"]["plan"]
    assert (plan["target"], plan["budget_s"], plan["repeats"]) == effort, "every file says what was open"


def test_the_end_is_a_table_of_kernels_the_finding_the_page_and_what_comes_next(run, tmp_path):
    _, out, err, found = run("--repeats", "2")
    assert "2 repeats, " in err
    assert count(found) == {"numpy": 2, "numba": 2}
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
    other = [row.split()[0] for row in rows][::-1]
    assert (
        then == f"next: mlpbench explain --results {tmp_path}, mlpbench compare {' '.join(other)} --results {tmp_path}"
    )


def test_what_does_not_fit_into_the_budget_is_left_out_by_name(run, capsys):
    """Five planned repeats of two kernels need 20 s: the budget is kept, and everything says what is missing."""
    status, out, err, found = run("--budget", "9s")
    assert status == 0
    assert re.search(
        r"^numpy 1/5: 1.00 µs one at a time, [\d.]+ .s in batches of [\d,]+ \([\d.]+x\)$", err, re.MULTILINE
    )
    assert (len(found.records), found.ending.spent_s, len(found.ending.left_out)) == (4, 8, 6)
    assert (found.missing, found.problems) == ((), ()), "that is no interruption"
    assert re.search(r"Left out, the budget of 9 s was spent: repeats 3, 4, 5 of num\w+, num\w+\.", out)
    _, report, _ = called(capsys, "report", found.path)
    assert re.search(r"numba \| all cases, repeats 3, 4, 5 of 5 \| the budget was spent", report)
    _, out, _, found = run("--budget", "3s")
    assert "Left out, the budget of 3 s was spent: repeats 1, 2, 3, 4, 5 of numba; repeats 2, 3, 4, 5 of numpy." in out
    assert found.kernels == ("numpy",)


def test_ctrl_c_in_a_further_round_is_an_interruption(run):
    status, _, err, found = run(stop_at=("numba", 7))
    assert status == 130
    assert "interrupted: 12 of 12 processes finished, kept in" in err
    assert found.ending.interrupted
    assert "interrupted" in found.problems[0]
