"""Device times in every format: tables with percentiles, what was dropped, what is missing; and none in older files."""

import csv
import io
import json

import pytest

from mlpbench.bench.record.device import MEASURES
from mlpbench.bench.report import render
from support import simulate

TIMES = {("cupy", mode, size): 1e-5 for mode, size in (("per_sample", 100), ("batched", 1000))}


def spread(middle, samples=700, **changes):
    factors = {"min": 0.8, "p5": 0.9, "p50": 1, "p95": 1.2, "p99": 1.5, "max": 9}
    return {"seconds": {name: middle * one for name, one in factors.items()}, "samples": samples, **changes}


def device_times(scale=1.0, card=None, lost=None):
    """Return the block of a process: each measurement takes as many microseconds as its place says, and one is lost."""
    times = {name: spread(scale * 1e-6 * (n + 1)) for n, name in enumerate(MEASURES) if name != "graph"}
    times["hot"] |= {"samples": 100, "timed_out": 2, "throttled": 3}
    lost = {"graph": "the kernel does not say that its calls can be captured"} if lost is None else lost
    cases = [
        {"mode": mode, "batch_size": size, "times": times, "lost": lost}
        for mode, size in (("per_sample", 100), ("batched", 1000))
    ]
    return {"cases": cases, "card": card or {}}


@pytest.fixture
def run(tmp_path):
    """A run of three repeats, of which the middle one is the median."""
    folder = simulate.write_run(tmp_path, TIMES, repeats=3)
    card = {"sm_mhz": [1200.0, 1900.0], "most_mhz": 1980.0, "slowed": ["power cap"], "others": 1}
    for repeat in range(3):
        with simulate.edited(folder / f"cupy.{repeat}.json") as content:
            content["mlpbench"]["device_times"] = device_times(1 + repeat / 10, card)
    return simulate.read(folder)


def test_all_of_it_stands_in_the_report(run):
    text = render.render([run], "md")
    rows = [line for line in text.splitlines() if line.startswith("| cupy | batch 1,000 | 1.10 µs")]
    assert rows[0].startswith("| cupy | batch 1,000 | 1.10 µs (990 ns to 1.32 µs; p99 1.65 µs) | 2.20 µs (")
    assert rows[0].endswith(" | 4.40 µs (3.96 µs to 5.28 µs) |"), "of 100 samples no p99; nothing was captured"
    assert "| kernel | case | host latency | enqueue | device, cold | device, hot |" in text
    assert all(f"| {name} |" in text for name in ("to device, staged", "bytes", "end to end", "overlapped"))
    why = "18 at a lowered clock, 12 because the host was not ready in time"
    assert f"cupy: 30 of {30 + 3 * 2 * (11 * 700 + 100):,} samples were dropped: {why}." in text
    assert "not measured, graph replay: the kernel does not say that its calls can be captured." in text
    assert "the card ran at 1,200 to 1,900 of 1,980 MHz; its clock was lowered for power cap." in text
    assert "1 other process computed on the card." in text


def test_percentiles_are_columns_of_the_csv_and_json_has_the_blocks_as_they_are(run):
    for row in csv.DictReader(io.StringIO(render.render([run], "csv"))):
        scale = 1 + int(row["repeat"]) / 10
        for n, name in enumerate(MEASURES):
            for percent, factor in ((5, 0.9), (50, 1), (95, 1.2), (99, 1.5)):
                value, expected = row[f"device_{name}_p{percent}_s"], scale * 1e-6 * (n + 1) * factor
                assert value == "" if name == "graph" else float(value) == pytest.approx(expected)
        assert (int(row["device_dropped"]), int(row["device_samples"])) == (5, 11 * 700 + 100)
    kernels = json.loads(render.render([run], "json"))["runs"][0]["kernels"]
    cold = [kernel["device_times"]["cases"][1]["times"]["cold"]["seconds"]["p50"] for kernel in kernels]
    assert cold == pytest.approx([3e-6, 3.3e-6, 3.6e-6])


def test_older_files_and_refused_cases_have_none(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES, repeats=1)
    run = simulate.read(folder)
    assert "Device time beside host latency" not in render.render([run], "md")
    row = next(csv.DictReader(io.StringIO(render.render([run], "csv"))))
    assert row["device_cold_p50_s"] == row["device_dropped"] == ""
    refusal = {"mode": "batched", "batch_size": 1000, "check": "values", "reason": "it lies"}
    with simulate.edited(folder / "cupy.0.json") as content:
        content["mlpbench"] |= {"device_times": device_times(), "trust": {"refusals": [refusal]}}
    section = render.render([simulate.read(folder)], "md").partition("Device time beside host latency")[2]
    assert "| cupy | one at a time | 1.00 µs" in section
    assert "| cupy | batch 1,000 | 1.00 µs" not in section
