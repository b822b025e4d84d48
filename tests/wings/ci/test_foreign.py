"""Anybody's pytest-benchmark files: what one process supports, what several do, and what no file may do."""

import json

import numpy as np
import pytest
from pytest_benchmark.stats import Stats

import mlpbench
from support import simulate
from support.terminal import called, refusal

MACHINE = {"node": "box", "cpu": {"brand_raw": "Test CPU"}}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return what writes a file of one process: seconds by benchmark, with a level of its own."""
    monkeypatch.chdir(tmp_path)
    numbers = iter(range(100))

    def made(name, *, noise=0.02, level=0.02, machine=MACHINE, module="test_x", **times):
        rng, benchmarks = np.random.default_rng(number := next(numbers)), []
        own = np.exp(rng.normal(0, level))
        for benchmark, seconds in times.items():
            stats = Stats()
            stats.data = list(own * seconds * np.exp(rng.normal(0, noise, 50)))
            full = {"name": benchmark.partition("@")[0], "fullname": f"{module}.py::{benchmark}"}
            benchmarks.append({**full, "stats": {**stats.as_dict(), "iterations": 3}})
        content = {"machine_info": machine, "benchmarks": benchmarks, "datetime": f"2026-11-24T12:00:{number:02}"}
        (tmp_path / name).write_text(json.dumps(content))
        return name

    return made


@pytest.fixture
def sides(write):
    """Six processes before and after: one benchmark is slower, one faster, one is new."""
    for n in range(6):
        write(f"before{n}.json", slow=2e-3, fast=1e-3)
    for n in range(6):
        write(f"after{n}.json", slow=3e-3, fast=5e-4, new=1e-3)
    return "before*.json", "after*.json"


def test_several_processes_a_side_have_the_verdicts_of_our_own_runs(sides, capsys):
    found = mlpbench.compare(*sides, "5%")
    assert {row.kernels: row.verdict for row in found.rows} == {"slow": "slower", "fast": "faster"}
    for row, truth in zip(found.rows, (2 / 3, 2), strict=True):
        assert row.speedup.low < truth < row.speedup.high
        assert (row.speedup.n, row.mode) == (6, "iteration")
    assert (found.paired, found.wander, found.notes) == (False, 0.01, ())
    assert [str(one) for one in found.unmatched] == ["new: not in before*.json"]
    assert found.cases()["verdict"].to_list() == ["slower", "faster"]
    status, out, _ = called(capsys, "compare", *sides, "--json", "--fail-if-slower", "5%")
    assert (status, json.loads(out)) == (1, json.loads(json.dumps(found.as_dict())))


def test_the_command_ends_and_writes_as_it_does_for_our_own_runs(sides, capsys):
    status, out, err = called(capsys, "compare", *sides)
    assert (status, err) == (1, "")
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["benchmark", "slow", "fast"]
    assert "1 case not compared" in out
    assert " is slower than before*.json in 1 of 2 cases" in out
    status, out, _ = called(capsys, "compare", *sides, "--format", "github")
    assert (status, out.count("::error title=slower%3A slow%2C iteration::")) == (1, 1)
    assert "| benchmark | baseline | candidate |" in out
    assert called(capsys, "compare", *sides, "--fail-if-slower", "90%")[0] == 0
    assert called(capsys, "compare", *sides, "--strict", "--fail-if-slower", "90%")[0] == 4
    assert "\n| slow |" in mlpbench.compare(*sides)._repr_markdown_()


def test_sides_that_took_turns_are_paired_in_the_order_in_which_they_ran(write):
    """The machine becomes twice as slow meanwhile, which no two of a pair notice, and four processes were disturbed."""
    for n in range(12):
        for side in ("ab", "ba")[n % 2]:
            pace = 1.8 if (side, n) in {("a", 1), ("b", 4), ("a", 7), ("b", 9)} else 1.0
            write(
                f"{side}{n}.json",
                level=0,
                same=pace * 2e-3 * 1.06**n,
                slow=pace * 1e-3 * 1.06**n * (1.1 if side == "b" else 1),
            )
    found = mlpbench.compare("a*.json", "b*.json")
    assert (found.paired, {row.kernels: row.verdict for row in found.rows}) == (
        True,
        {"same": "not slower", "slow": "slower"},
    )


def test_two_benchmarks_of_the_same_processes_are_paired(write):
    for n in range(6):
        write(f"{n}.json", level=0.3, slow=2e-3, fast=1e-3)
    found = mlpbench.compare("*.json:slow", "*.json:fast")
    assert [(row.kernels, row.verdict) for row in found.rows] == [("fast against slow", "faster")]
    assert (found.paired, found.unmatched) == (True, ())
    assert mlpbench.compare("0.json:slow", "1.json").rows[0].kernels == "slow", "the same of the other side"
    said = refusal(mlpbench.compare, "*.json:slow", "*.json:fats")
    assert "no benchmark 'fats' (did you mean fast?); there are slow, fast" in said
    for side in ("*.json", "*.json:slow"):
        assert "both sides" in refusal(mlpbench.compare, side, side)


def test_one_file_a_side_has_no_verdict_and_says_how_to_get_one(write):
    found = mlpbench.compare(write("a.json", one=2e-3), write("b.json", one=1e-3))
    (row,) = found.rows
    assert (row.verdict, row.speedup.value) == ("undecided", pytest.approx(2, rel=0.1))
    assert np.isnan(row.speedup.low)
    assert "for i in 1 2 3; do pytest --benchmark-json=" in found.notes[0]


def test_equal_processes_are_never_told_apart_by_their_rounds(write):
    """Levels differ by 10 %, rounds by 0.5 %: each file is sure of itself, and they disagree."""
    for n in (0, 2, 1, 3):
        write(f"a{n}.json", level=0.1, noise=0.005, one=1e-3)
        write(f"b{n}.json", level=0.1, noise=0.005, one=1e-3)
    assert mlpbench.compare("a*.json", "b*.json").rows[0].verdict == "not slower"


def test_names_that_two_benchmarks_share_are_full_names(write):
    for name in ("a.json", "b.json"):
        write(name, **{"same@1": 1e-3, "same@2": 2e-3})
    assert [row.kernels for row in mlpbench.compare("a.json", "b.json").rows] == [
        "test_x.py::same@1",
        "test_x.py::same@2",
    ]


def test_what_cannot_be_compared(write, tmp_path, capsys):
    one, other = write("a.json", one=1e-3), write("b.json", machine={"node": "elsewhere"}, one=1e-3)
    status, _, err = called(capsys, "compare", one, other)
    assert (status, "the machines are box, Test CPU and elsewhere: " in err, "--anyway" in err) == (3, True, True)
    assert len(mlpbench.compare(one, other, anyway=True).rows) == 1
    (tmp_path / "copy.json").write_text((tmp_path / one).read_text())
    assert "the same process as" in refusal(mlpbench.compare, one, "copy.json")
    said = refusal(mlpbench.compare, one, write("c.json", two=1e-3), kind=mlpbench.NothingComparable)
    assert "no benchmark in common" in said
    record = simulate.write_run(tmp_path, {("numpy", "batched", 1): 1e-6}) / "numpy.0.json"
    assert "is no file of pytest-benchmark, as the other side is" in refusal(mlpbench.compare, one, record)
    assert mlpbench.compare(write("d.json", machine={}, one=1), write("e.json", machine={}, one=1)).rows, "unknown"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("{}", "no record"),
        ('{"benchmarks": []}', "no benchmark in it"),
        ('{"benchmarks": [{"name": "a"}]}', "benchmarks[0]: Object missing required field `stats`"),
        ('{"benchmarks": [{"name": 1, "stats": {}}]}', "name: Expected `str`"),
        ('{"benchmarks": [{"name": "a", "stats": {"min": -1}}]}', "min: Expected `float` >= "),
        (None, "no run"),
    ],
)
def test_a_file_that_is_none_is_one_line(write, tmp_path, content, said):
    if content is not None:
        (tmp_path / "bad.json").write_text(content)
    other = write("a.json", a=1e-3) if '"b' in (content or "") else "bad.json"
    assert said in refusal(mlpbench.compare, "bad.json", other)


def test_a_name_is_shown_as_text(write):
    hostile = "<script>alert(1)</script>"
    found = mlpbench.compare(write("a.json", **{hostile: 1e-3}), write("b.json", **{hostile: 1e-3}))
    shown = found._repr_markdown_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
