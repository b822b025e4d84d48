"""The block ``trust`` in files, in the frame and in reports: refusals, what is disturbed, and files that have none."""

import pandas as pd
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import Case
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import BY_TIME, NOTHING, Refusal
from mlpbench.bench.report import render
from mlpbench.bench.report.document import Findings
from mlpbench.bench.report.sections import machine
from support import simulate, trusting
from support.trusting import AT, write

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 2e-6}


def written(folder, trust):
    """Write and read a process with a block ``trust``."""
    folder = simulate.write_run(folder, TIMES, repeats=1, noise=0)
    with simulate.edited(folder / "numpy.0.json") as content:
        content["mlpbench"]["trust"] = trust
    return runs.read_run(folder).records[0].trust


@pytest.mark.parametrize("case", [Case("batched", 100), None])
def test_a_refusal_is_read_as_it_is_written(tmp_path, case):
    one = Refusal.of(case, "values", "off by 0.7 at output 3")
    assert written(tmp_path, {"refusals": [one.as_dict()]}).refusals == (one,)


def test_a_refusal_is_about_a_case_or_about_all_of_a_process():
    one, every = Refusal.of(Case("batched", 100), "timer", ""), Refusal.of(None, "values", "")
    cases = [("batched", 100), ("batched", 10), ("per_sample", 100)]
    assert [one.hits(*case) for case in cases] == [True, False, False]
    assert all(every.hits(*case) for case in cases)
    assert (one.by_time, every.by_time) == (True, False)


def test_no_wrong_value_waits_for_a_second_process():
    values = {"values", "inputs", "accuracy", "aliasing", "affinity", "priority", "functions"}
    assert not values & BY_TIME
    assert {"timer", "clock", "memory", "threads", "transfers", "wait", "roofline"} == BY_TIME


def test_what_older_files_had_besides_is_not_read(tmp_path):
    older = {"spin": {"name": "llvm-xorshift64"}, "clock": {"clock_s": 3.0, "raw_s": 2.0}, "windows": [{"waits": True}]}
    assert written(tmp_path, older) == NOTHING


def test_files_without_the_block_are_read_as_before(tmp_path):
    run = write(tmp_path, [None, None])
    assert all(r.trust == NOTHING for r in run.records)
    assert frame.load(run)["disturbed"].isna().all()
    assert [case.disturbed for case in summarize(frame.runs(run))] == [0, 0]
    found = Findings((run,), (), ((run, ()),))
    assert (machine.state_of(found), [*machine.harness(found)]) == ("", [])


def test_the_frame_marks_the_case_and_the_repeat(tmp_path):
    data = frame.load(trusting.write_disturbed(tmp_path, [], [AT], []))
    marked = data[data["disturbed"].fillna(False)]
    assert marked[["mode", "repeat"]].to_numpy().tolist() == [["batched", 1]]
    assert data["disturbed"].dtype == pd.BooleanDtype()


def test_disturbed_times_are_left_out_where_two_others_are_there(tmp_path):
    run = trusting.write_disturbed(tmp_path, [], [AT], [])
    summaries = {case.mode: case for case in summarize(frame.runs(run))}
    assert (summaries["batched"].repeats, summaries["batched"].disturbed) == (2, 1)
    assert summaries["per_sample"].disturbed == 0
    assert "| 2, 1 disturbed |" in render.render([run], "md")


def test_what_a_call_of_the_harness_costs_is_told(tmp_path):
    run = trusting.write_disturbed(tmp_path, [], [])
    (sentence,) = machine.harness(Findings((run,), (), ()))
    assert sentence == "A call of the harness costs 23.0 ns one at a time and 79.0 ns for a batch, in every time here."
