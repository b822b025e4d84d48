"""The section about peers and limits, as each format shows it."""

import json
from dataclasses import replace

import pytest

from mlpbench.bench.analysis import frame, limits
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.report.sections.limits import measured_with, sentences, tables
from support import evidence_files as files
from support import limit_runs
from support.limit_runs import TIMES, write


def markdown(run):
    return render.render([run], "md")


def test_the_line_of_a_kernel_has_ratios_targets_and_peers(tmp_path):
    text = markdown(write(tmp_path))
    assert "## Beside peers and the machine's limits" in text
    assert "| kernel | results | threads | batch 1 | batch 100 | batch 10,000 | best peer |" in text
    for row in (
        "| numba-simd | kept | 1 | 4.00x (4.00 to 4.00), of 3.5 | 1.20x (1.20 to 1.20), of 1.4: missed |",
        ", of 1.5 | onnxruntime-bound; openvino at 100 |",
        "| numba-simd-new | new array | 1 | 4.00x (4.00 to 4.00), of 3.5 | 0.900x (0.900 to 0.900), of 1.4: missed |",
        " | no peer | onnxruntime |",
        "| numba-simd | FLOP/s / multiply-adds in registers | 1 | 10,000 | 94.0 % (94.0 to 94.0) | at least 93 %: met",
        "| numba-simd | FLOP/s / a square matrix product | 1 | 10,000 | 1.88x (1.88 to 1.88) | at least 1: met |",
    ):
        assert row in text
    assert "weights read from L2 and one call's cost" in text
    assert "favours the peers" in text


def test_date_machine_and_versions_stand_beside_it(tmp_path):
    text = markdown(write(tmp_path))
    assert (
        "Measured on 2026-11-24: Test CPU @ 2.50GHz, 4 processors; Python 3.11.7, numpy 2.4.6, numba 1.2.3, onnxruntime"
        in text
    )
    assert "openvino 1.2.3; 3 repeats" in text
    assert "Best peer's time / the kernel's, like for like: 784-50-100-10, float32, digits." in text


def test_targets_are_counted_with_those_that_noise_decides(tmp_path):
    """Of 3 + 2 ratios and 3 shares, all at the same value in every repeat: one ratio misses in each kernel."""
    text = markdown(write(tmp_path))
    assert "6 of 8 targets are met; 0 of all are within noise." in text
    assert (
        "- 784-50-100-10, 1 thread, float32, digits: 6 of 8; missed: numba-simd in batches of 100; "
        "numba-simd-new in batches of 100."
    ) in text
    assert "weights read from L2 and one call's cost | 1 | 1 | 0.0917x" in text


def test_a_share_above_the_peak_is_refused_and_meets_no_target(tmp_path):
    fast = {**TIMES, ("numba-simd", "batched", 10_000): TIMES["numba-simd", "batched", 10_000] / 2}
    text = markdown(write(tmp_path, fast))
    assert "| 1 | 10,000 | 188 % (188 to 188) | not believed: the peak was measured too low |" in text
    assert "5 of 7 targets are met" in text
    assert "not believed" not in markdown(write(tmp_path, seed=1))


def test_the_table_says_when_each_limit_was_measured(tmp_path):
    run = write(tmp_path)
    assert "94.0 % (94.0 to 94.0) | at least 93 %: met | once, at the start |" in markdown(run)
    assert "measured once, before the repeats: a share of them mixes two moments." in markdown(run)
    files.write_of_repeats(run.path, {repeat: files.measured(1) for repeat in range(3)})
    text = markdown(run)
    assert "94.0 % (94.0 to 94.0) | at least 93 %: met | in 3 repeats |" in text
    assert "two moments" not in text
    for repeat in (1, 2):
        (run.path / f"roofs-{repeat}.json").unlink()
    assert "| in 1 repeat |" in markdown(run)


def test_each_setting_has_one_line_with_what_it_misses(tmp_path):
    slow = {case: 2 * s if case[0] == "numba-simd" else s for case, s in TIMES.items()}
    runs = [write(tmp_path, slow, seed=1), write(tmp_path, threads=2, seed=2)]
    found = [limits.find(run, summarize(frame.load(run))) for run in runs]
    whole, first, *rest = sentences(found)
    assert whole.startswith("2 of 8 targets are met")
    assert first.startswith("784-50-100-10, 1 thread, float32, digits: 2 of 8; missed: numba-simd in batches of 1, 100")
    assert "; numba-simd: FLOP/s / multiply-adds in registers" in first
    assert rest == [], "the other setting has no target"


def test_without_the_profile_there_are_ratios_and_no_targets(tmp_path):
    text = markdown(write(tmp_path, profile="quick"))
    assert "| numba-simd | kept | 1 | 4.00x (4.00 to 4.00) |" in text
    assert ", of " not in text[text.index("Best peer's time") : text.index("Against the machine's")]
    assert "target |" not in text.replace("| value | target |", "")
    assert "targets are met" not in text


def test_an_interval_that_holds_the_target_is_within_noise(tmp_path):
    times = {**TIMES, ("onnxruntime-bound", "batched", 1): 3.5e-6, ("openvino", "batched", 100): 0.68e-6}
    text = markdown(write(tmp_path, times, noise=0.02, seed=3, repeats=5))
    assert ", of 1.4: missed, within noise |" in text


def test_threads_are_rows_of_one_table_and_sweeps_have_tables_of_their_own(tmp_path):
    """A sweep has one start. A kernel that uses fewer threads than the peers were given says so."""
    names = ("numba-simd", "onnxruntime-bound")
    times = {case: s for case, s in TIMES.items() if case[0] in names}
    alone = {"numba-simd": {"describe": {"threads": 1, "isa": "avx512"}}}
    runs = [
        write(tmp_path, times, seed=1, repeats=3),
        write(tmp_path, times, threads=2, seed=2, infos=alone, repeats=5),
    ]
    found = [limits.find(run, summarize(frame.load(run))) for run in runs]
    found[1] = replace(found[1], setting=replace(found[1].setting, started=found[0].setting.started))
    together = tables(found)
    assert [table.caption.partition(":")[0] for table in together] == [
        "Best peer's time / the kernel's, like for like",
        "Against the machine's limits",
    ]
    assert [row[:3] for row in together[0].rows] == [("numba-simd", "kept", "1"), ("numba-simd", "kept", "1 of 2")]
    assert measured_with(found)[0].endswith("; 3 to 5 repeats, medians with 95 % intervals.")
    later = replace(found[1], setting=replace(found[1].setting, started="2026-11-25T00:00:00+00:00"))
    apart = tables([found[0], later])
    assert len(apart) == 4
    assert apart[2].caption.endswith("784-50-100-10, float32, digits, started 2026-11-25T00:00:00+00:00.")


def test_what_is_missing_is_said_once_with_its_settings(tmp_path):
    runs = [write(tmp_path, seed=1), write(tmp_path, seed=2, threads=2, roofs=False)]
    text = render.render(runs, "md")
    assert text.count("before the repeats: a share of them mixes two moments (784-50-100-10, 1 thread,") == 1


@pytest.mark.parametrize("name", render.FORMATS)
def test_every_format_is_made(tmp_path, name):
    text = render.render([write(tmp_path)], name)
    if name == "html":
        assert 'id="limits"' in text
        assert ", of 3.5" in text
    if name == "json":
        (found,) = json.loads(text)["limits"]
        place = found["rows"][0]["places"][0]
        assert (place["peer"], place["ratio"]["value"], place["target"]["value"]) == ("onnxruntime-bound", 4.0, 3.5)
        assert found["setting"]["versions"]["openvino"] == "1.2.3"


def test_a_report_without_peers_has_no_such_section(tmp_path):
    alone = {case: s for case, s in TIMES.items() if case[0] not in limit_runs.PEERS}
    assert "Beside peers" not in markdown(write(tmp_path, alone))
