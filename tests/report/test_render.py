"""A report in every format: what it says of one run and of several, and of what is missing."""

import csv
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from mlpbench.bench.analysis import frame, judge
from mlpbench.bench.record import runs
from mlpbench.bench.report import render
from mlpbench.bench.report.sections import gaps
from support import simulate
from support.reports import EXACT, SKIPPED
from support.runs import peers as peer_runs
from support.terminal import refusal


def markdown(*runs):
    return render.render(runs, "md")


@pytest.mark.parametrize("name", render.FORMATS)
def test_every_format_has_the_run_and_one_without_times_or_a_mode_says_so(reports, tmp_path, name):
    text = reports.text("exact", name)
    words = ["numpy", "numba", "20261124T120000Z-0123abcd", "testbox"]
    for word in words if name == "csv" else [*words, "9.00x", SKIPPED[0]["reason"][:30], "Test CPU", simulate.COMMIT]:
        assert word in text
    failures = [{"kernel": "wrong", "mode": None, "batch_size": None, "phase": "process", "reason": "SIGKILL"}]
    text = render.render([simulate.run(tmp_path, {}, failures=failures)], name)
    assert name == "csv" or ("Nothing was timed." in text and "SIGKILL" in text)
    for mode in ("per_sample", "batched"):
        times = {case: time for case, time in EXACT.items() if case[1] != mode}
        text = render.render([simulate.run(tmp_path / mode, times)], name)
        assert name == "csv" or "no batching speedup" in text.lower()


def test_what_has_no_report(reports):
    run, htm = reports.runs("exact"), "unknown format 'htm' (did you mean html"
    for some, name, why in ((run, "htm", htm), ([], "md", "no run to report on"), (run * 2, "md", "named twice")):
        assert why in refusal(render.render, some, name)


def test_a_run_is_judged_once_for_all_sections_and_formats(tmp_path, monkeypatch):
    folder, judged = peer_runs.write(tmp_path).path, []
    taken = judge.taken
    monkeypatch.setattr(judge, "taken", lambda records: judged.append(1) or taken(records))
    document = render.build(runs.read_runs(folder))
    assert "explained" in {section.slug for section in document.sections}, "it is made of it"
    assert all(render.write(document, name) for name in render.FORMATS)
    assert len(judged) == 1


def test_all_say_the_same_finding(reports):
    fastest = "Fastest: numba, 1.00 µs per sample in batches of 100."
    gains = "Batching makes every kernel faster: numpy most, 9.00x (8.79 to 9.21); numba least, 6.00x (5.86 to 6.14)."
    lead = f"{fastest} {gains} Measured with 2 of 4 threads."
    assert json.loads(reports.text("exact", "json"))["headline"]["lead"] == lead
    assert f"**{lead}**" in reports.text("exact")
    heading = " ".join(f"<span>{sentence}</span>" for sentence in (fastest, gains, "Measured with 2 of 4 threads."))
    assert f"<h1>{heading} </h1>" in reports.text("exact", "html").replace("\xa0", " ")


def test_tables_hold_known_answers_and_the_charts_numbers(reports, tmp_path):
    lines = markdown(simulate.run(tmp_path, EXACT, noise=0, repeats=4, rounds=7)).splitlines()
    (row,) = (line for line in lines if line.startswith("| numpy | batch | 100 | 2.00 µs ("))
    assert re.fullmatch(
        r".* 2.00 µs \(1.9. to 2.0.\) \| 500,000 \| 9.00x \(8\.\d+ to 9\.\d+\) \| 600 µs \| 7 \| 4 \|", row
    )
    assert any(line.startswith("| numpy | one at a time | 1 |") and "the baseline" in line for line in lines)
    lines, data = reports.text("exact").splitlines(), json.loads(reports.text("exact", "json"))
    assert "| kernel | one at a time | batch 1 | batch 100 |" in lines
    assert "| numba | the baseline | 1.00x (0.98 to 1.02) | 6.00x (5.86 to 6.14) |" in lines
    case = next(c for c in data["cases"] if (c["kernel"], c["mode"], c["batch_size"]) == ("numpy", "batched", 100))
    assert (case["speedup"]["value"], case["sample_s"]["value"]) == (pytest.approx(9), pytest.approx(2e-6))
    assert case["sample_s_by_repeat"] == {str(repeat): pytest.approx(2e-6) for repeat in range(3)}
    (run,) = data["runs"]
    assert run["missing"] == [{"kernel": "cupy", "what": "skipped", "why": SKIPPED[0]["reason"]}]
    assert (run["environment"]["machine"]["cpu_model"], run["plan"]["seed"]) == ("Test CPU @ 2.50GHz", 0)


def test_it_says_what_a_sceptic_asks(tmp_path, reports):
    plan = {"skipped": SKIPPED, "plan_changes": {"no_room": [[1_000_000, "no memory"]]}}
    text = markdown(simulate.run(tmp_path, {**EXACT, ("numpy", "batched", 10000): 2e-6}, seed=7, **plan))
    for words in (
        "What is in the clock",
        "1,000 rows; they are repeated where a case needs more",
        "0.9400 / 0.9400 of 1,000 rows",
        f"| cupy | skipped | {SKIPPED[0]['reason']} |",
        "| all kernels | batch 1,000,000 | no memory |",
        "mlpbench run --seed 7",
        "| Cores | 2 cores, 4 logical processors |",
        "| Affinity | 4 processors, 0 to 3 |",
        "| Frequency governor | not readable |",
        "| Load at the start | 0.10, 0.20, 0.30 over 1, 5 and 15 minutes |",
        "| BLAS and thread pools | openblas 0.3.30, 2 threads, pthreads |",
        "| Libraries | numpy 2.4.6, numba 0.63.1, pytest-benchmark 5.2.3 |",
    ):
        assert words in text
    assert ("The book's cell:" in text, "The book's cell:" in reports.text("book")) == (False, True)


def test_an_environment_that_could_not_be_read_and_a_dirty_checkout(tmp_path):
    bare = {"machine": {"name": "bare"}, "libraries": {}, "blas": [], "gpu": {"available": True, "name": "H100"}}
    dirty = simulate.environment(git={"commit": simulate.COMMIT, "dirty": True})
    text = markdown(
        simulate.run(tmp_path, EXACT, environment=bare, seed=1),
        simulate.run(tmp_path, EXACT, environment=dirty, seed=2),
    )
    caches, gpu = "L1d 32 KiB, L2 1 MiB, L3 32 MiB", "none: no CUDA driver"
    commits = f"not run from a checkout | {simulate.COMMIT}, with uncommitted changes"
    for words in (f"| Caches | not readable | {caches} |", f"| GPU | H100 | {gpu} |", f"| Commit | {commits} |"):
        assert words in text


def test_failures_are_told_once_with_their_repeats(tmp_path):
    failures = [
        {"kernel": "wrong", "mode": None, "batch_size": None, "phase": "gate", "reason": "stale result"},
        {"kernel": "numpy", "mode": "batched", "batch_size": 100, "phase": "measure", "reason": "OSError", "repeat": 1},
    ]
    run = simulate.run(tmp_path, EXACT, failures=failures)
    assert gaps.gaps(run) == [
        ("wrong", "all cases, every repeat: did not agree with the reference", "stale result"),
        ("numpy", "batch 100, repeat 2 of 3: failed while it was timed", "OSError"),
    ]
    notices = json.loads(render.render([run], "json"))["notices"]
    assert any("What is missing" in text and "wrong, numpy" in text for text in notices)
    assert "| numpy | batch | 100 | 2.0" in markdown(run)  # the other repeats stay


def test_interrupted_runs_and_those_without_a_planned_case_say_what_is_missing(tmp_path):
    def interrupted(seed, lost):
        path = simulate.write_run(tmp_path, EXACT, seed=seed)
        for repeat in range(lost):
            (path / f"numba.{2 - repeat}.json").unlink()
        return simulate.read(path)

    whole, first, second = (interrupted(seed, lost) for seed, lost in ((1, 0), (2, 1), (3, 2)))
    one, two = ("1 of 6 processes have no record: numba 3", "2 of 6 processes have no record: numba 2, numba 3")
    assert gaps.notices([whole, first]) == [f"Run {first.id} was interrupted: {one}."]
    assert gaps.notices([second]) == [f"The run was interrupted: {two}."]
    assert gaps.notices([whole]) == []
    assert gaps.notices([replace(whole, resumed=((1.0, 3),))]) == ["The run stopped, and went on after 3 processes."]
    why, silent = "the run was interrupted before this process ended", "planned, and neither measured nor explained"
    assert gaps.gaps(second) == [("numba", "all cases, repeats 2, 3 of 3", why)]
    assert f"> The run was interrupted: {two}." in markdown(second)
    assert json.loads(render.render([second], "json"))["runs"][0]["interrupted"] is True
    with simulate.edited(whole.path / "numpy.0.json") as changed:
        changed["benchmarks"] = [b for b in changed["benchmarks"] if b["params"]["mode"] != "per_sample"]
    run = simulate.read(whole.path)
    assert run.contradictions == (f"numpy.0.json: per_sample 100 was {silent}",)
    assert gaps.gaps(run) == [("numpy", "one at a time, repeat 1 of 3", silent)]


def test_two_runs_stand_beside_each_other_with_their_differences(tmp_path, reports):
    slow = {case: 2 * time for case, time in EXACT.items()}
    other = simulate.environment(libraries={"numpy": "1.26.0"}, threads=1)
    first, second = (
        simulate.run(tmp_path, EXACT, noise=0, seed=1),
        simulate.run(tmp_path, slow, noise=0, seed=2, environment=other),
    )
    text = markdown(first, second)
    assert f"| {first.id} | numpy | batch | 100 | 2.00 µs" in text
    assert f"| {second.id} | numpy | batch | 100 | 4.00 µs" in text
    differs = text[text.index("## What differs") : text.index("## What is in the clock")]
    for words in (f"| what | {first.id} | {second.id} |", "| Threads given | 2 | 1 |", "numpy 1.26.0"):
        assert words in differs
    assert "Caches" not in differs
    assert "Load" not in differs
    assert "Nothing that was recorded: same machine" in reports.text("two")


def test_csv_is_the_tidy_frame_and_its_cells_are_no_formulas(reports, tmp_path):
    read = pd.read_csv(io.StringIO(reports.text("exact", "csv")))
    told = frame.load(reports.runs("exact"))
    assert list(read.columns) == list(frame.COLUMNS)
    assert len(read) == len(told) == len(EXACT) * 3
    assert read["sample_s"].to_numpy() == pytest.approx(told["sample_s"].to_numpy())
    for number, start in enumerate("=+-@\uff1d"):
        hostile = f"{start}HYPERLINK(0)"
        run = simulate.run(tmp_path / str(number), EXACT, environment=simulate.environment(machine={"name": hostile}))
        rows = list(csv.DictReader(io.StringIO(render.render([run], "csv"))))
        assert {row["machine"] for row in rows} == {f"'{hostile}"}
