"""The block ``trust`` in files, in the frame and in reports: read, refused, shown; and files that have none."""

import json

import pandas as pd
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record.trust import NOTHING
from mlpbench.bench.report import render
from mlpbench.bench.report.sections import trust
from mlpbench.bench.trust.disturbance import reasons
from support import trusting
from support.trusting import CASES, hit, quiet, write


def test_what_is_written_is_read(tmp_path):
    run = write(tmp_path, [hit(run_delay_s=0.25)])
    (only,) = run.records
    assert only.trust.spin.name == "llvm-xorshift64"
    assert [(w.mode, w.batch_size) for w in only.trust.windows] == CASES
    assert reasons(only.trust) == ("batched 100: its threads waited 0.25 s for a processor in 0.5 s",)


def test_files_without_the_block_are_read_as_before(tmp_path):
    run = write(tmp_path, [None, None])
    assert all(r.trust == NOTHING and reasons(r.trust) == () for r in run.records)
    assert frame.load(run)["disturbed"].isna().all()
    assert [case.disturbed for case in summarize(frame.runs(run))] == [0, 0]
    assert trust.lines(trust.judge(run)) == []
    assert trust.notices([trust.judge(run)]) == ()
    assert "How far to trust it" not in render.render([run], "md")


def test_the_frame_marks_the_case_and_the_repeat(tmp_path):
    data = frame.load(write(tmp_path, [quiet(), hit(run_delay_s=0.25), None]))
    marked = data[data["disturbed"].fillna(False)]
    assert marked[["mode", "repeat"]].to_numpy().tolist() == [["batched", 1]]
    assert data.loc[data["repeat"] == 2, "disturbed"].isna().all()
    assert data["disturbed"].dtype == pd.BooleanDtype()


def test_a_slow_process_is_marked_beside_the_others(tmp_path):
    slow = trusting.block(*(trusting.window(*case, slower=1.7) for case in CASES))
    run = write(tmp_path, [quiet(), slow, quiet()])
    assert reasons(run.records[1].trust) == (), "by itself it looks even"
    data = frame.load(run)
    assert data.groupby("repeat")["disturbed"].all().tolist() == [False, True, False]


def test_disturbed_times_count_and_are_marked(tmp_path):
    run = write(tmp_path, [quiet(), hit(run_delay_s=0.25)])
    summaries = {case.mode: case for case in summarize(frame.runs(run))}
    assert (summaries["batched"].repeats, summaries["batched"].disturbed) == (2, 1)
    assert summaries["per_sample"].disturbed == 0
    text = render.render([run], "md")
    assert "| 2, 1 disturbed |" in text
    assert "| numpy | batch 100 | 2 | its threads waited 0.25 s for a processor in 0.5 s |" in text
    assert "taskset" in text


def test_a_speedup_has_its_interval_where_the_undisturbed_repeats_of_the_sides_are_not_the_same(tmp_path):
    """One at a time undisturbed in three of five repeats, in batches in three others: one is left of both."""
    single = trusting.block(trusting.window(*CASES[0], run_delay_s=0.25), trusting.window(*CASES[1]))
    run = write(tmp_path, [single, single, hit(run_delay_s=0.25), hit(run_delay_s=0.25), quiet()])
    by_mode = {case.mode: case for case in summarize(frame.runs(run))}
    assert [sorted(by_mode[mode].by_repeat) for mode, _ in CASES] == [[2, 3, 4], [0, 1, 4]]
    assert by_mode["batched"].speedup.n == 3
    assert by_mode["batched"].speedup.value == pytest.approx(9)


def test_a_noisy_machine_is_told_beside_the_headline(tmp_path):
    run = write(tmp_path, [hit(run_delay_s=0.25)])
    (notice,) = trust.notices([trust.judge(run)])
    assert notice.startswith("The run was made on a noisy machine: 1 of 2 timings were disturbed.")
    for name in ("md", "html"):
        assert notice.partition(".")[0] in render.render([run], name).replace("\xa0", " ")


def test_a_quiet_machine_and_a_true_clock_are_told_too(tmp_path):
    run = write(tmp_path, [quiet(), quiet()])
    assert trust.notices([trust.judge(run)]) == ()
    first, second = trust.lines(trust.judge(run))
    assert first.startswith("The machine was quiet: 0 of 4 timings were disturbed, its speed moved by 0% and half of ")
    assert second.startswith("A call of the harness costs 23.0 ns one at a time and 79.0 ns for a batch")
    assert "The clock is true" in second


def test_a_false_clock_is_refused_as_evidence_in_every_format(tmp_path):
    run = write(tmp_path, [quiet(self_test=trusting.self_test({4: 0.05}))])
    (notice,) = trust.notices([trust.judge(run)])
    assert notice.startswith("The run is refused as evidence. The clock is off by 5.0%")
    assert notice in render.render([run], "html").replace("\xa0", " ")
    content = json.loads(render.render([run], "json"))
    assert notice in content["notices"]
    found = content["runs"][0]["trust"]
    assert found["clock"]["ok"] is False
    assert found["machine"]["name"] == "quiet"
    assert found["call_cost_s"]["batched"] == pytest.approx(79e-9)


def test_of_many_runs_what_to_do_is_said_once_and_the_cases_have_to_be_opened(tmp_path):
    runs = [write(tmp_path, [hit(run_delay_s=0.25)], seed=seed) for seed in (1, 2, 3)]
    text = render.render(runs, "md")
    section = text.split("## How far to trust it")[1].split("\n## ")[0]
    assert section.count("taskset") == 1
    assert section.count("1 of 2 timings were disturbed") == len(runs)
    page = render.render(runs, "html")
    assert page.count('<details class="fold"><summary>Its disturbed cases and its harness') == len(runs)
