"""The headline of several runs: one line for each, as each format shows it."""

import json

import pytest

from mlpbench.bench.analysis import headline, limits
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.record import runs
from mlpbench.bench.report import render
from support import limit_runs, simulate

SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"])
TIMES = {
    ("numpy", "per_sample", 100): 18e-6,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 6e-6,
    ("numba", "batched", 1): 6e-6,
    ("numba", "batched", 100): 1e-6,
}
FIRST = "1 thread: numba, the fastest of 2, takes 1.00 µs per sample in batches of 100: 6.00x (6.00 to 6.00) faster"


@pytest.fixture
def sweep(tmp_path):
    folder = simulate.write_sweep(tmp_path, TIMES, SETTINGS, lambda setting: 1 / setting.threads, noise=0)
    return runs.read_runs(folder)


def find(run):
    cases = summarize([run])
    return headline.overview(run, cases, limits.find(run, cases))


def with_singles(**kernels):
    """Return the times of a `limits` run with single calls, which take so many seconds."""
    names = {name.replace("_", "-"): seconds for name, seconds in kernels.items()}
    return limit_runs.TIMES | {(name, "per_sample", 100): seconds for name, seconds in names.items()}


def test_the_fastest_of_ours_stands_beside_the_best_peer_of_its_kind(tmp_path):
    """Of ours in batches of 10,000, where onnxruntime-bound is the best that keeps a buffer."""
    run = limit_runs.write(tmp_path, with_singles(numba_simd=2e-6))
    found = find(run)
    assert (found.fastest.kernel, found.place.peer, found.place.batch_size) == (
        "numba-simd",
        "onnxruntime-bound",
        10_000,
    )
    ratio = 1e-6 / limit_runs.TIMES["numba-simd", "batched", 10_000]
    assert found.place.ratio.value == pytest.approx(ratio)
    assert found.sentence().startswith(f"Run {run.id}: numba-simd, the fastest of ours, takes ")
    assert (
        f"{ratio:.2f}x ({ratio:.2f} to {ratio:.2f}) faster than the best peer, onnxruntime-bound." in found.sentence()
    )
    assert "faster than one at a time and " in found.sentence()


def test_a_peer_that_is_faster_is_not_called_slower(tmp_path):
    slow = {case: 4 * s if case[0] == "numba-simd" else s for case, s in with_singles(numba_simd=9e-6).items()}
    kept = {case: s for case, s in slow.items() if case[0] != "numba-simd-new"}
    said = find(limit_runs.write(tmp_path, kept)).sentence()
    assert " as fast as the best peer, onnxruntime-bound." in said
    assert "numba-simd takes " in said, "it has no rival of ours"


def test_runs_of_peers_alone_and_of_ours_alone(tmp_path):
    peers = {case: s for case, s in with_singles(openvino=9e-6).items() if case[0] in limit_runs.PEERS}
    alone = find(limit_runs.write(tmp_path / "peers", peers))
    assert (alone.fastest.kernel, alone.place, alone.peers) == ("onnxruntime", None, False)
    ours = find(runs.read_run(simulate.write_run(tmp_path / "ours", TIMES, noise=0)))
    assert (ours.fastest.kernel, ours.place, ours.kernels) == ("numba", None, 2)


def test_what_is_missing_is_said(tmp_path):
    batches = {case: s for case, s in TIMES.items() if case[1] == "batched"}
    said = find(runs.read_run(simulate.write_run(tmp_path, batches, noise=0))).sentence()
    assert said.endswith(": no batching speedup, the case one at a time (per_sample) was not timed.")
    singles = {case: s for case, s in TIMES.items() if case[1] == "per_sample"}
    said = find(runs.read_run(simulate.write_run(tmp_path / "single", singles, noise=0))).sentence()
    assert "numba, the fastest of 2, takes 6.00 µs per sample one at a time: no batching speedup" in said
    failures = [{"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}]
    nothing = runs.read_run(simulate.write_run(tmp_path / "none", {}, failures=failures))
    assert find(nothing).sentence() == f"Run {nothing.id}: nothing was timed."


def test_a_sweep_has_one_line_for_each_setting_and_the_rest_in_a_table(sweep):
    text = render.render(sweep, "md")
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("- ")]
    assert len(lines) == len(SETTINGS)
    assert lines[0].startswith(f"- {FIRST}")
    table = text.partition("## Kernel by kernel")[2].partition("\n## ")[0]
    row = "| 2 threads | numpy | 9.00 µs (9.00 to 9.00) | 100 | 1.00 µs (1.00 to 1.00) | 9.00x (9.00 to 9.00) |"
    assert row in table
    assert "1 thread: Fastest one at a time: numba" in table


def test_one_run_is_told_kernel_by_kernel_as_before(sweep):
    text = render.render(sweep[:1], "md")
    assert "- numpy: 9.00x (9.00 to 9.00) faster in batches" in text
    assert "Kernel by kernel" not in text


def test_the_page_has_a_card_for_each_setting_and_the_table_folded(sweep):
    page = render.render(sweep, "html")
    cards = page.partition('<ul class="cards">')[2].partition("</ul>")[0]
    assert cards.count("<li>") == len(SETTINGS)
    assert cards.count("numba, the fastest of 2") == len(SETTINGS)
    section = page.partition('<section id="kernel-by-kernel"')[2].partition("</section>")[0]
    assert section.index("<details>") < section.index("<table") < section.index("</details>")


def test_the_numbers_of_all_kernels_stay_in_the_json(sweep):
    found = json.loads(render.render(sweep, "json"))["headline"]
    assert len(found["kernels"]) == len(found["sentences"]) == 2 * len(SETTINGS)
    assert set(found) == {"lead", "sentences", "remarks", "kernels", "fastest", "book"}
