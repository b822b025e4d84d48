"""The section about peers and limits, as each format shows it."""

import json
from dataclasses import replace

import pytest

from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record.runs import read_run
from mlpbench.bench.report import render
from mlpbench.bench.report.sections.limits import apart, measured_with, tables, verdict
from support import evidence_files as files
from support.runs import limits as limit_runs
from support.runs.limits import TIMES, write


def markdown(run):
    return render.render([run], "md")


def test_the_section_has_ratios_and_peers_date_machine_and_versions(tmp_path):
    text = markdown(write(tmp_path))
    assert "## Beside other runtimes and the machine's limits" in text
    assert "| kernel | results | threads | batch 1 | batch 100 | batch 10,000 | best peer |" in text
    for row in (
        "| numba-simd | kept | 1 | 4.00x (4.00 to 4.00) | 1.20x (1.20 to 1.20) |",
        " | onnxruntime-bound; openvino at 100 |",
        "| numba-simd-new | new array | 1 | 4.00x (4.00 to 4.00) | 0.900x (0.900 to 0.900) |",
        " | no peer | onnxruntime |",
        "| numba-simd | FLOP/s / multiply-adds in registers | 1 | 10,000 | 94.0 % (94.0 to 94.0) | once, at the ",
        "| numba-simd | FLOP/s / a square matrix product | 1 | 10,000 | 1.88x (1.88 to 1.88) | once, at the start |",
    ):
        assert row in text
    assert "weights read from L2 and one call's cost" in text
    assert "favours the peers" in text
    assert (
        "Measured on 2026-11-24: Test CPU @ 2.50GHz, 4 processors; Python 3.11.7, numpy 2.4.6, numba 1.2.3, onnxruntime"
        in text
    )
    assert "openvino 1.2.3; 3 repeats" in text
    assert "Best peer's time / the kernel's, like for like: 784-50-100-10, float32, digits." in text


def test_a_share_above_the_peak_is_refused(tmp_path):
    """Not the time, where something else ran beside the peak."""
    fast = {**TIMES, ("numba-simd", "batched", 10_000): TIMES["numba-simd", "batched", 10_000] / 2}
    row = "| 1 | 10,000 | 188 % (188 to 188) | once, at the start; not believed: the peak was measured too low |"
    assert row in markdown(write(tmp_path, fast, roofs_file=files.roofs(files.measured(1, spread=1.5))))


def test_the_table_says_when_each_limit_was_measured(tmp_path):
    run = write(tmp_path)
    text = markdown(run)
    assert "94.0 % (94.0 to 94.0) | once, at the start |" in text
    assert "measured once, before the repeats: a share of them mixes two moments." in text
    assert "not believed" not in text
    run = files.write_of_repeats(run.path, {repeat: files.measured(1) for repeat in range(3)})
    text = markdown(read_run(run.path))
    assert "94.0 % (94.0 to 94.0) | in 3 repeats |" in text
    assert "two moments" not in text
    for repeat in (1, 2):
        (run.path / f"roofs-{repeat}.json").unlink()
    assert "| in 1 repeat |" in markdown(read_run(run.path))


def test_threads_are_rows_of_one_table_and_sweeps_have_tables_of_their_own(tmp_path):
    """A sweep has one start. A kernel that uses fewer threads than the peers were given says so."""
    names = ("numba-simd", "onnxruntime-bound")
    times = {case: s for case, s in TIMES.items() if case[0] in names}
    alone = {"numba-simd": {"describe": {"threads": 1, "isa": "avx512"}}}
    other = {"threads": 2, "infos": alone, "repeats": 5}
    runs = [write(tmp_path, times, seed=1, repeats=3), write(tmp_path, times, seed=2, **other)]
    found = [limits.find(run, summarize([run])) for run in runs]
    found[1] = replace(found[1], setting=replace(found[1].setting, started=found[0].setting.started))
    ratios, shares = tables(found)
    captions = ["Best peer's time / the kernel's, like for like", "Against the machine's limits"]
    assert [table.caption.partition(":")[0] for table in (ratios, shares)] == captions
    assert [row[:3] for row in ratios.rows] == [("numba-simd", "kept", "1"), ("numba-simd", "kept", "1 of 2")]
    assert measured_with(found)[0].endswith("; 3 to 5 repeats, medians with 95 % intervals.")
    later = replace(found[1], setting=replace(found[1].setting, started="2026-11-25T00:00:00+00:00"))
    assert apart([found[0].setting, later.setting])[1] == "2026-11-25T00:00:00+00:00, 2 threads"
    both = tables([found[0], later])
    assert len(both) == 4
    assert both[2].caption.endswith("784-50-100-10, float32, digits, started 2026-11-25T00:00:00+00:00.")


def test_the_report_of_the_profile_begins_with_how_many_places_are_won(tmp_path):
    """Of seven places beside peers one is lost, and none is too close to call."""
    run = write(tmp_path)
    said = "Beside the best peer, ours are faster in 4 of 5 places, slower in 1, and too close to call in 0."
    assert verdict([limits.find(run, summarize([run]))]) == said
    document = render.build([run])
    assert said in document.headline.lead
    assert document.sections[0].slug == "limits"


def test_what_is_missing_is_said_once_with_its_settings(tmp_path):
    runs = [write(tmp_path, seed=1), write(tmp_path, seed=2, threads=2, roofs=False)]
    text = render.render(runs, "md")
    assert text.count("before the repeats: a share of them mixes two moments (784-50-100-10, 1 thread,") == 1


@pytest.mark.parametrize("name", render.FORMATS)
def test_every_format_is_made(tmp_path, name):
    text = render.render([write(tmp_path)], name)
    if name == "html":
        assert 'id="limits"' in text
    if name == "json":
        (found,) = json.loads(text)["limits"]
        place = found["rows"][0]["places"][0]
        assert (place["peer"], place["ratio"]["value"]) == ("onnxruntime-bound", 4.0)
        assert found["setting"]["versions"]["openvino"] == "1.2.3"


def test_a_report_without_peers_has_no_such_section(tmp_path):
    alone = {case: s for case, s in TIMES.items() if case[0] not in limit_runs.PEERS}
    assert "Beside peers" not in markdown(write(tmp_path, alone))
