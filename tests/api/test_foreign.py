"""Anybody's pytest-benchmark files: what one process supports, what several do, and what no file may do."""

import json

import numpy as np
import pytest
from pytest_benchmark.stats import Stats

import mlpbench
from mlpbench.bench.api import foreign
from mlpbench.bench.record.untrusted import MAX_BYTES

MACHINE = {"node": "box", "cpu": {"brand_raw": "Test CPU"}}


def benchmark(name, data, iterations=3, *, keep=True, **more):
    stats = Stats()
    stats.data = list(data)
    told = {**stats.as_dict(), "iterations": iterations} | ({"data": list(data)} if keep else {})
    return {"name": name, "fullname": f"test_x.py::{name}", "group": None, "params": None, "stats": told, **more}


@pytest.fixture
def file(tmp_path):
    """Return what writes a file of one process: seconds by benchmark, each process with a level of its own."""

    def write(number=0, *, noise=0.02, level=0.0, machine=MACHINE, keep=True, **times):
        rng = np.random.default_rng(number)
        own = np.exp(rng.normal(0, level)) if level else 1.0
        made = [
            benchmark(name, own * call_s * np.exp(rng.normal(0, noise, 50)), keep=keep)
            for name, call_s in times.items()
        ]
        path = tmp_path / f"{number}.json"
        content = {
            "machine_info": machine,
            "commit_info": {"id": "unversioned"},
            "benchmarks": made,
            "version": "5.3.1",
        }
        path.write_text(json.dumps({**content, "datetime": f"2026-11-24T12:00:{number:02}"}))
        return path

    return write


def test_one_process_has_levels_and_no_verdict(file):
    found = mlpbench.read_pytest_benchmark(file(old=2e-3, new=1e-3, alike=1e-3))
    assert found.names == ("old", "new", "alike")
    assert "no between-process variance" in found.limits
    rows = found.benchmarks()
    assert list(rows) == list(foreign.BENCHMARKS)
    assert (rows["here_low_s"] < rows["median_s"]).all()
    assert (rows["median_s"] < rows["here_high_s"]).all()
    assert list(rows["iterations"]) == [3, 3, 3]
    assert set(rows["machine"]) == {"box, Test CPU"}
    compared = found.compare("old", "new")
    (row,) = compared.cases().to_dict("records")
    assert row["speedup"] == pytest.approx(2, rel=0.05)
    assert row["here_low"] < row["speedup"] < row["here_high"]
    assert (row["verdict_here"], row["verdict"], row["processes"]) == ("faster", "unclear", 1)
    assert np.isnan(row["speedup_low"])
    assert row["no_verdict"] == compared.limits
    assert found.compare("new", "alike").rows[0].verdict_here in {"same", "unclear"}
    assert list(compared.cases()) == list(foreign.COMPARED)


def test_two_files_apart_have_a_ratio_and_no_verdict_of_any_kind(file):
    before, after = (mlpbench.read_pytest_benchmark(file(n, a=call_s)) for n, call_s in enumerate((2e-3, 1e-3)))
    (row,) = mlpbench.compare(before, after).rows
    assert (row.verdict, row.verdict_here) == ("unclear", None), "not even in one process: they are two"
    assert row.no_verdict
    assert mlpbench.compare(before, after).cases()["speedup"][0] == pytest.approx(2, rel=0.05)


def test_several_processes_support_verdicts(file):
    several = mlpbench.read_pytest_benchmark(*(file(n, level=0.02, old=2e-3, new=1e-3, alike=1e-3) for n in range(6)))
    assert "6 processes" in several.limits
    assert len(several.benchmarks()) == 18
    (row,) = several.compare("old", "new").cases().to_dict("records")
    assert (row["verdict"], row["processes"], row["no_verdict"]) == ("faster", 6, None)
    assert row["speedup_low"] < 2 < row["speedup_high"]
    assert several.compare("new", "old").rows[0].verdict == "slower"
    assert several.compare("new", "alike").rows[0].verdict in {"same", "unclear"}
    after = mlpbench.read_pytest_benchmark(*(file(10 + n, level=0.02, old=3e-3, other=1e-3) for n in range(6)))
    apart = mlpbench.compare(several, after)
    assert [(row.baseline, row.verdict) for row in apart.rows] == [("old", "slower")]
    assert "wander by 1 %" in apart.limits


def test_equal_processes_are_never_told_apart_by_their_rounds(file):
    """A between-process level of 10 %, rounds within 0.5 %: each file is sure of itself, and they disagree."""
    one = mlpbench.read_pytest_benchmark(*(file(n, level=0.1, noise=0.005, a=1e-3) for n in range(4)))
    other = mlpbench.read_pytest_benchmark(*(file(50 + n, level=0.1, noise=0.005, a=1e-3) for n in range(4)))
    assert mlpbench.compare(one, other).rows[0].verdict == "unclear"
    rows = one.benchmarks()
    assert (rows["here_high_s"] / rows["here_low_s"] < 1.01).all()
    assert rows["median_s"].max() / rows["median_s"].min() > 1.05


def test_without_rounds_there_is_a_median_and_no_more(file):
    found = mlpbench.read_pytest_benchmark(file(keep=False, a=1e-3, b=2e-3))
    rows = found.benchmarks()
    assert rows["here_low_s"].isna().all()
    assert (rows["rounds"] == 50).all()
    assert found.compare("a", "b").rows[0].verdict_here == "unclear"


def test_a_file_without_a_machine_has_an_unknown_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"benchmarks": [benchmark("a", [1e-3, 2e-3])]}))
    (row,) = mlpbench.read_pytest_benchmark(path).benchmarks().to_dict("records")
    assert row["machine"] == "unknown"


def test_names_that_two_benchmarks_share_are_full_names(tmp_path):
    path = tmp_path / "a.json"
    both = [benchmark("a", [1e-3] * 9) | {"fullname": f"{where}.py::a"} for where in ("one", "two")]
    path.write_text(json.dumps({"benchmarks": both}))
    assert mlpbench.read_pytest_benchmark(path).names == ("one.py::a", "two.py::a")


def test_what_cannot_be_compared(file):
    one = mlpbench.read_pytest_benchmark(first := file(0, a=1e-3))
    with pytest.raises(mlpbench.UserError, match=r"no benchmark 'b'.*; there are a"):
        one.compare("a", "b")
    with pytest.raises(mlpbench.UserError, match="the same process as"):
        mlpbench.read_pytest_benchmark(first, first)
    with pytest.raises(mlpbench.UserError, match="is on both sides"):
        one.against(one)
    other = file(1, machine={"node": "elsewhere"}, a=1e-3)
    with pytest.raises(mlpbench.UserError, match="several machines"):
        mlpbench.read_pytest_benchmark(first, other)
    with pytest.raises(mlpbench.NothingComparable, match="the machines are box, Test CPU and elsewhere"):
        mlpbench.compare(one, mlpbench.read_pytest_benchmark(other))
    assert len(mlpbench.compare(one, mlpbench.read_pytest_benchmark(other), anyway=True).rows) == 1
    assert mlpbench.read_pytest_benchmark(first, other, anyway=True).compare("a", "a").rows[0].processes == 2
    with pytest.raises(mlpbench.NothingComparable, match="no benchmark in common"):
        mlpbench.compare(one, mlpbench.read_pytest_benchmark(file(2, b=1e-3)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ("{}", "no file of pytest-benchmark"),
        ('{"benchmarks": []}', "no benchmark in it"),
        ('{"benchmarks": [{"name": "a"}]}', r"benchmarks\[0\]: Object missing required field `stats`"),
        ('{"benchmarks": [{"name": 1, "stats": {}}]}', "name: Expected `str`"),
        (
            '{"benchmarks": [{"name": "a", "stats": {"median": -1, "min": 1, "max": 1, "mean": 1}}]}',
            "median: Expected `float` >= ",
        ),
        (
            '{"benchmarks": [{"name": "a", "stats": {"median": 1, "min": 1, "max": 1, "mean": 1, "data": [1, "x"]}}]}',
            r"data\[1\]: Expected `float`",
        ),
        ("[" * 10_000, "nested deeper"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, content, said):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(mlpbench.UserError, match=said) as wrong:
        mlpbench.read_pytest_benchmark(path)
    assert str(wrong.value).isprintable()


def test_a_file_is_bounded_and_must_be_there(tmp_path):
    with pytest.raises(mlpbench.UserError, match="no such file"):
        mlpbench.read_pytest_benchmark(tmp_path / "none.json")
    path = tmp_path / "large.json"
    with path.open("wb") as large:
        large.truncate(MAX_BYTES + 1)
    with pytest.raises(mlpbench.UserError, match="larger than"):
        mlpbench.read_pytest_benchmark(path)


def test_a_name_is_shown_as_text(file):
    hostile = "<script>alert(1)</script>"
    found = mlpbench.read_pytest_benchmark(file(**{hostile: 1e-3, "b": 1e-3}))
    shown = found._repr_html_() + found.compare(hostile, "b")._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert hostile in repr(found.compare(hostile, "b"))
