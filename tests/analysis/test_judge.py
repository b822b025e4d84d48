"""What is refused has no time in any table, and a reason in every list."""

import csv
import io
import json

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis import judge as judging
from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import BY_TIME
from mlpbench.bench.report import render
from mlpbench.bench.report.sections import gaps
from support import simulate, trusting
from support.terminal import refusal

TIMES = simulate.by_case(numpy={"one": 18e-6, 100: 2e-6}, fast={"one": 18e-6, 100: 1e-9, 1000: 1.1e-6})
MEMO = {"mode": "batched", "batch_size": 100, "check": "values", "reason": "off by 0.7 at output 3"}
LEFT = TIMES.keys() - {("fast", "batched", 100)}
WHOLE = {"check": "accuracy", "reason": "one at a time it answers 0.175 right, in batches 0.964"}
TIMER = {"mode": "batched", "batch_size": 100, "check": "timer", "reason": "9 of 20 rounds are off"}


def judged(folder, *processes, repeats=3, **settings):
    """Return a run of two kernels in which the processes of "fast" have these refusals."""
    blocks = [trusting.block(refusals=list(refusals)) for refusals in processes]
    return trusting.write(folder, blocks, TIMES, "fast", repeats, **settings)


def said_of(run):
    return [*gaps.doubted([run]), *gaps.doubted([run], judging.UNSURE)]


def timed(run):
    return {(record.kernel, case.mode, case.batch_size) for record in run.records for case in record.cases}


def test_a_run_without_refusals_keeps_its_records_and_is_judged_once(tmp_path):
    run = judged(tmp_path)
    assert run.records == runs.read_run(run.path).records
    assert judge(run) is run


@pytest.mark.parametrize(
    ("refusal", "gone", "reason"),
    [
        (MEMO, {("fast", "batched", 100)}, "values: off by 0.7 at output 3"),
        (WHOLE, {at for at in TIMES if at[0] == "fast"}, "accuracy: one at a time it answers 0.175"),
    ],
)
def test_what_is_refused_once_has_no_time_in_any_repeat(tmp_path, refusal, gone, reason):
    run = judged(tmp_path, [], [refusal])
    assert timed(run) == TIMES.keys() - gone
    assert {failure.kernel for failure in run.failures} == {"fast"}
    assert all(failure.why.startswith(reason) for failure in run.failures)


@pytest.mark.parametrize("check", sorted(BY_TIME - {"roofline", "wait"}))
def test_a_check_that_rests_on_a_time_is_sure_when_two_processes_have_found_it(tmp_path, check):
    one = {**TIMER, "check": check}
    run = judged(tmp_path / "once", [one], [])
    assert (timed(run), run.failures, run.unsure, said_of(run)) == (TIMES.keys(), (), (), [])
    run = judged(tmp_path / "others", [one], ({**one, "batch_size": 1000}, {**one, "check": "wait"}))
    assert (timed(run), said_of(run)) == (TIMES.keys(), []), "another case, or another check, is no second time"
    run = judged(tmp_path / "twice", [one], [{**one, "reason": "8 of 20 rounds are off"}])
    assert timed(run) == LEFT
    assert said_of(run) == [f"Refused: fast, batch 100: {check}: 9 of 20 rounds are off."]


def test_one_process_alone_is_not_sure_and_says_so(tmp_path):
    run = judged(tmp_path, [TIMER, {**TIMER, "batch_size": 1000}], repeats=1)
    assert (timed(run), run.failures) == (TIMES.keys(), ())
    (said,) = said_of(run)
    assert said.startswith("Not checked: fast, batch 100, batch 1,000: timer: 9 of 20 rounds are off. One process")
    assert "batch 100, batch 1,000: not checked" in render.render([run], "md")


def test_each_kernel_and_check_has_one_line_whatever_its_numbers_say(tmp_path):
    """A kernel that lies in five cases and three repeats had fifteen."""
    several = [{**MEMO, "batch_size": size, "reason": f"off by 0.{size} at output 3"} for size in (100, 1000)]
    run = judged(tmp_path, several, several[:1], [{**several[1], "reason": "off by 0.3 at output 1"}])
    assert said_of(run) == ["Refused: fast, batch 100, batch 1,000: values: off by 0.100 at output 3."]
    assert len([gap for gap in gaps.gaps(run) if gap[0] == "fast"]) == 1


def test_no_format_has_a_refused_time_and_each_list_of_gaps_has_the_reason(tmp_path):
    """It would lead the headline: 18,000 times as fast in batches, and the fastest of all."""
    calls = {"clock_ns": 40, "single_calls": [[1000, 100]]}
    extra = {("fast", mode, 100): calls for mode in ("batched", "per_sample")}
    run = judged(tmp_path, [MEMO], extra_info=extra)
    text = render.render([run], "md")
    assert "> Refused: fast, batch 100: values: off by 0.7 at output 3." in text
    assert "| fast | batch 100, every repeat: refused | values: off by 0.7 at output 3 |" in text
    assert "1.00 ns" not in text
    data = json.loads(render.render([run], "json"))
    assert {(case["kernel"], case["mode"], case["batch_size"]) for case in data["cases"]} == LEFT
    assert {one["kernel"]: one["best_batch_size"] for one in data["headline"]["kernels"]}["fast"] == 1000
    assert [one["mode"] for one in data["runs"][0]["trust"]["latency"]] == ["per_sample"]
    rows = list(csv.DictReader(io.StringIO(render.render([run], "csv"))))
    assert {(row["kernel"], row["mode"], int(row["batch_size"])) for row in rows} == LEFT
    assert len(frame.load(run)) == len(rows) == 12
    found = compare(Side(run, "numpy"), Side(run, "fast"))
    assert [(row.mode, row.batch_size) for row in found.rows] == [("per_sample", 100)]
    assert any("failed (refused): values: off by 0.7" in str(one) for one in found.unmatched)
    whole = judged(tmp_path / "whole", [WHOLE])
    assert "accuracy" in refusal(compare, Side(whole, "numpy"), Side(whole, "fast"), kind=NothingComparable)


NO_ROOF = [{"describe": {"skips_work": True}}, {"describe": {}, "device": "npu"}, {"describe": {"arithmetic": "int8"}}]


@pytest.mark.parametrize("info", NO_ROOF)
def test_times_that_no_roof_checks_are_marked_beside_every_number(tmp_path, info):
    infos = {"numpy": {"describe": {}}, "fast": info}
    run = judged(tmp_path, kernel_info=lambda kernel: {"backend": "x", "device": "cpu", **infos[kernel]})
    text = render.render([run], "md")
    assert "- fast \u2020: " in text
    assert "| fast \u2020 | batch | 100 |" in text
    assert "numpy \u2020" not in text
    data = json.loads(render.render([run], "json"))
    assert {case["kernel"]: case["unchecked"] for case in data["cases"]} == {"numpy": False, "fast": True}
    assert dict(zip(frame.load(run).kernel, frame.load(run).unchecked, strict=True)) == {"numpy": False, "fast": True}
    found = compare(Side(run, "numpy"), Side(run, "fast"))
    assert found.unchecked == ("fast",)
    assert any(note.startswith("fast \u2020 unchecked") for note in found.notes)
