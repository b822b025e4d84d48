import json
import re
from dataclasses import replace

import pytest

from mlpbench.bench.analysis import frame, headline, judge
from mlpbench.bench.analysis.headline import Fastest, KernelFinding
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.report import render
from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.wings.heatmap import finding as heatmap
from support import simulate
from support.runs import peers as peer_runs

CASES = [("per_sample", 100), ("batched", 1), ("batched", 1000), ("batched", 10000)]
KNOWN = {
    **{("numpy", *case): time for case, time in zip(CASES, (18e-6, 18e-6, 1.5e-6, 1.6e-6), strict=True)},
    **{("numba", *case): time for case, time in zip(CASES, (6e-6, 6e-6, 2e-6, 2.4e-6), strict=True)},
}
WRONG = [{"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}]


def find(folder, times, **settings):
    return headline.find(summarize(frame.runs(simulate.write_run(folder, times, **settings))))


def test_known_times_give_known_findings(tmp_path):
    found = find(tmp_path, KNOWN, noise=0)
    numpy, numba = found.kernels
    assert (numpy.best_batch_size, numba.best_batch_size) == (1000, 1000)
    assert numpy.speedup.value == pytest.approx(12)
    assert numba.speedup.value == pytest.approx(3)
    assert (numpy.one.value, numpy.best.value) == pytest.approx((18e-6, 1.5e-6))
    assert numpy.sentence() == (
        "numpy: 12.0x (11.7 to 12.3) faster in batches: 18.0 µs per sample one at a time, 1.50 µs in batches of 1,000."
    )
    assert found.lead == (
        "Fastest: numpy, 1.50 µs per sample in batches of 1,000. "
        "Batching makes every kernel faster: numpy most, 12.0x (11.7 to 12.3); numba least, 3.00x (2.93 to 3.07)."
    )
    one, bulk = found.fastest
    assert (one.batch_size, one.kernel, one.runner_up) == (None, "numba", "numpy")
    assert (bulk.batch_size, bulk.kernel, bulk.runner_up) == (10000, "numpy", "numba")
    assert (one.lead.value, bulk.lead.value) == pytest.approx((3, 1.5))
    assert one.sentence() == "Fastest one at a time: numba, 6.00 µs per sample, 3.00x (3.00 to 3.00) ahead of numpy."
    assert bulk.sentence().startswith("Fastest in batches of 10,000: numpy, 1.60 µs per sample")


def test_sentences_begin_with_the_titles_of_runs_and_the_lead_names_them(tmp_path):
    """The same network twice, the second run with twice the gain."""
    slow = simulate.write_run(tmp_path, {**KNOWN, ("numpy", "per_sample", 100): 36e-6}, noise=0, seed=1)
    both = list(frame.runs([simulate.write_run(tmp_path, KNOWN, noise=0), slow]))
    data = summarize(replace(run, shown=name) for run, name in zip(both, ("1 thread", "2 threads"), strict=True))
    found = headline.find(data, {name: name for name in ("1 thread", "2 threads")})
    assert found.sentences[0].startswith("1 thread: numpy: 12.0x")
    assert found.sentences[2].startswith("2 threads: numpy: 24.0x")
    assert found.lead.startswith("Batching makes every kernel faster: numpy (2 threads) most, 24.0x ")
    assert found.lead.endswith("; numba (1 thread) least, 3.00x (2.93 to 3.07).")
    untitled = headline.find(data)
    assert untitled.sentences[0].startswith("Run 1 thread: "), "without a title it is a run's name"
    assert sum(line.startswith("Run 2 threads: ") for line in untitled.lines()) == 4


def test_a_lead_names_who_may_be_as_fast_and_is_made_of_the_gains_that_are_clear(tmp_path):
    """Two repeats of a kernel disagree by a factor of 50: its interval has no end worth a word, and it alone is out."""
    near = {(name, mode, 1): s for name, s in (("a", 1e-6), ("b", 1.2e-6)) for mode in ("per_sample", "batched")}
    assert "; b may be as fast. " in find(tmp_path / "near", near, noise=0.2, seed=3).lead
    run = simulate.write_run(tmp_path, KNOWN, noise=0, repeats=2)
    with simulate.edited(run / "numpy.0.json") as changed:
        for benchmark in (one for one in changed["benchmarks"] if one["params"]["mode"] == "batched"):
            benchmark["stats"]["data"] = [50 * second for second in benchmark["stats"]["data"]]
    found = headline.find(summarize(frame.runs(run)))
    assert "numba: 3.00x (2.93 to 3.07) faster in batches" in found.lead
    assert "numpy: whether batches are faster is unclear" in found.sentences[1]


def test_the_lead_says_what_was_asked_in_place_of_what_batching_gains(tmp_path):
    cases = summarize(frame.runs(simulate.write_run(tmp_path, KNOWN, noise=0)))
    lead = headline.find(cases, answer="Beside peers it wins.").lead
    assert lead == "Fastest: numpy, 1.50 µs per sample in batches of 1,000. Beside peers it wins."


SKIPS = {"backend": "numpy", "device": "cpu", "version": "1", "describe": {"skips_work": True}}


def unchecked(folder, *kernels, times=KNOWN):
    """Write a run in which nothing checks the times of some kernels."""
    run = simulate.write_run(folder, times, noise=0)
    for path in (path for kernel in kernels for path in run.glob(f"{kernel}.*.json")):
        with simulate.edited(path) as content:
            content["mlpbench"]["kernel_info"] = SKIPS
    return run


def test_an_unchecked_kernel_neither_leads_nor_is_next_nor_ranks_first(tmp_path):
    """It has the shortest times by far."""
    sparse = {("sparse", *case): time / 10 for (kernel, *case), time in KNOWN.items() if kernel == "numpy"}
    run = simulate.read(unchecked(tmp_path, "sparse", times={**sparse, **KNOWN}))
    cases = summarize([run])
    found = headline.find(cases)
    assert "sparse" not in found.lead
    assert found.lead.startswith("Fastest: numpy, ")
    assert not any("sparse" in (one.kernel, one.runner_up) for one in found.fastest)
    assert [kernel.name for kernel in found.kernels] == ["numpy", "numba", "sparse †"]
    assert headline.overview(run, cases).fastest.kernel == "numpy"
    (heat,) = heatmap.find(cases)
    assert heat.kernels[-1] == "sparse"
    assert {cell.fastest for cell in heat.cells.values()} <= {"numpy", "numba"}


def test_where_one_kernel_alone_is_checked_nobody_is_fastest(tmp_path):
    found = headline.find(summarize(frame.runs(unchecked(tmp_path, "numba"))))
    assert (found.fastest, found.lead) == ([], found.kernels[0].sentence())
    both = headline.find(summarize(frame.runs(unchecked(tmp_path / "both", "numba", "numpy"))))
    assert both.fastest == []
    assert both.lead.startswith("Batching makes every kernel faster: numpy † most")


@pytest.mark.parametrize(
    ("machine", "told"),
    [({}, " Measured with 2 of 4 threads."), ({"affinity": [0, 1]}, ""), ({"affinity": None}, " Measured with 2 of 4")],
)
def test_the_heading_says_how_many_threads_where_these_are_not_all(tmp_path, machine, told):
    there = simulate.environment(machine=machine)
    run = simulate.read(simulate.write_run(tmp_path, KNOWN, noise=0, environment=there))
    (lead,) = (line for line in render.render([run], "md").splitlines() if line.startswith("**Fastest"))
    assert f"(2.93 to 3.07).{told}" in lead
    assert ("Measured with" in lead) == bool(told)


def test_one_kernel_has_no_competition(tmp_path):
    found = find(tmp_path, {case: time for case, time in KNOWN.items() if case[0] == "numba"})
    assert (found.fastest, found.lines()) == ([], [found.kernels[0].sentence()])


def test_the_speedup_is_paired_by_repeat(tmp_path):
    """Bursts that slow a whole process cancel within it: the interval is that of the quiet ratio."""
    run = simulate.write_run(tmp_path, KNOWN, noise=0, repeats=3)
    for repeat, factor in enumerate((1.0, 1.7, 1.3)):
        file = run / f"numpy.{repeat}.json"
        with simulate.edited(file) as record:
            for benchmark in record["benchmarks"]:
                benchmark["stats"]["data"] = [second * factor for second in benchmark["stats"]["data"]]
    numpy, _ = headline.find(summarize(frame.runs(run))).kernels
    assert numpy.one.high / numpy.one.low > 1.5
    assert (numpy.speedup.low, numpy.speedup.high) == pytest.approx((11.7, 12.3), rel=2e-3)


@pytest.mark.parametrize("repeats", [1, 3])
def test_every_ratio_has_its_interval_or_says_why_not(tmp_path, repeats):
    lines = find(tmp_path, KNOWN, repeats=repeats).lines()
    assert not [line for line in lines if re.search(r"\dx(?! \()", line)]
    assert any("1 repeat: no interval" in line for line in lines) is (repeats == 1)


def test_one_repeat_claims_nothing_and_says_so(tmp_path):
    found = find(tmp_path, KNOWN, repeats=1)
    assert ". What batching gains: " in found.lead
    assert found.remarks[-1].startswith("Every case has one repeat only: there is no interval")
    assert not any("ahead of" in line for line in found.lines())
    numbers = found.as_dict()["kernels"][0]["speedup"]
    assert (numbers["value"] > 1, numbers["low"], numbers["high"]) == (True, None, None)


@pytest.mark.parametrize(
    ("mode", "says"),
    [("per_sample", "the case one at a time (per_sample) was not timed."), ("batched", "no batched case was timed.")],
)
def test_a_missing_case_is_named(tmp_path, mode, says):
    found = find(tmp_path, {case: time for case, time in KNOWN.items() if case[:2] != ("numpy", mode)})
    assert f"numpy: no batching speedup: {says}" in found.lines()
    assert {item.kernel: item.speedup is None for item in found.kernels} == {"numpy": True, "numba": False}


def test_repeats_without_a_common_process_have_no_ratio(tmp_path):
    lost = [("per_sample", 100, 0), ("batched", 1, 1), ("batched", 1000, 1), ("batched", 10000, 1)]
    failures = [
        {"kernel": "numpy", "mode": mode, "batch_size": size, "phase": "measure", "reason": "x", "repeat": repeat}
        for mode, size, repeat in lost
    ]
    found = find(tmp_path, KNOWN, repeats=2, failures=failures)
    assert "numpy: no batching speedup: no repeat has both sides." in found.lines()


# -- of several runs, one line for each

SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"])
SIX = {
    ("numpy", "per_sample", 100): 18e-6,
    ("numpy", "batched", 100): 2e-6,
    ("numba", "per_sample", 100): 6e-6,
    ("numba", "batched", 1): 6e-6,
    ("numba", "batched", 100): 1e-6,
}
FIRST = "1 thread: numba, the fastest of 2, takes 1.00 µs per sample in batches of 100: 6.00x (5.86 to 6.14) faster"


def line_of(run):
    cases = summarize([run])
    return headline.overview(run, cases)


def with_singles(**kernels):
    """Return the times of a `limits` run with single calls, which take so many seconds."""
    names = {name.replace("_", "-"): seconds for name, seconds in kernels.items()}
    return peer_runs.TIMES | {(name, "per_sample", 100): seconds for name, seconds in names.items()}


def test_the_fastest_of_ours_stands_beside_the_best_peer(tmp_path):
    """Of ours in batches of 10,000, where onnxruntime-bound is the fastest peer."""
    run = peer_runs.write(tmp_path, with_singles(numba_simd=2e-6))
    found = line_of(run)
    assert (found.fastest.kernel, found.peer) == ("numba-simd", "onnxruntime-bound")
    ratio = 1e-6 / peer_runs.TIMES["numba-simd", "batched", 10_000]
    assert found.beside.value == pytest.approx(ratio)
    said = found.sentence()
    assert said.startswith(f"Run {run.id}: numba-simd, the fastest of ours, takes ")
    assert re.search(rf"{ratio:.2f}x \(2\.\d\d to 2\.\d\d\) faster than the best peer, onnxruntime-bound\.", said)
    assert "faster than one at a time and " in said


def test_runs_of_peers_alone_and_of_ours_alone(tmp_path):
    peers = {case: s for case, s in with_singles(openvino=9e-6).items() if case[0] in peer_runs.PEERS}
    alone = line_of(peer_runs.write(tmp_path / "peers", peers))
    assert (alone.fastest.kernel, alone.peer, alone.peers) == ("onnxruntime", None, False)
    ours = line_of(simulate.read(simulate.write_run(tmp_path / "ours", SIX, noise=0)))
    assert (ours.fastest.kernel, ours.peer, ours.kernels) == ("numba", None, 2)


def test_what_is_missing_is_said(tmp_path):
    batches = {case: s for case, s in SIX.items() if case[1] == "batched"}
    said = line_of(simulate.read(simulate.write_run(tmp_path, batches, noise=0))).sentence()
    assert said.endswith(": no batching speedup, the case one at a time (per_sample) was not timed.")
    singles = {case: s for case, s in SIX.items() if case[1] == "per_sample"}
    said = line_of(simulate.read(simulate.write_run(tmp_path / "single", singles, noise=0))).sentence()
    assert "numba, the fastest of 2, takes 6.00 µs per sample one at a time: no batching speedup" in said
    nothing = simulate.read(simulate.write_run(tmp_path / "none", {}, failures=WRONG))
    assert line_of(nothing).sentence() == f"Run {nothing.id}: nothing was timed."


def test_a_sweep_has_one_line_for_each_setting_and_the_rest_in_a_table(tmp_path):
    folder = simulate.write_sweep(tmp_path, SIX, SETTINGS, lambda setting: 1 / setting.threads, noise=0)
    sweep = judge.read(folder)
    text = render.render(sweep, "md")
    lines = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("- ")]
    assert len(lines) == len(SETTINGS)
    assert lines[0].startswith(f"- {FIRST}")
    table = text.partition("## Kernel by kernel")[2].partition("\n## ")[0]
    # Whole runs wander, which is a part of a time's interval; in a speedup only the part of single cases is left.
    times = r"\| 9\.00 µs \(8\.\d+ to 9\.\d+\) \| 100 \| 1\.00 µs \(0\.9\d* to 1\.0\d*\)"
    assert re.search(rf"\| 2 threads \| numpy {times} \| 9\.00x \(8\.\d+ to 9\.\d+\) \|", table)
    assert "1 thread: Fastest one at a time: numba" in table
    # The page has a card for each setting, and the table folded.
    page = render.render(sweep, "html")
    cards = page.partition('<ul class="cards">')[2].partition("</ul>")[0]
    assert cards.count("<li>") == cards.count("numba, the fastest of 2") == len(SETTINGS)
    section = page.partition('<section id="kernel-by-kernel"')[2].partition("</section>")[0]
    assert section.index('<details class="part">') < section.index("<table") < section.index("</details>")
    # The numbers of all kernels stay in the JSON.
    found = json.loads(render.render(sweep, "json"))["headline"]
    assert len(found["kernels"]) == len(found["sentences"]) == 2 * len(SETTINGS)
    assert set(found) == {"lead", "sentences", "remarks", "kernels", "fastest", "book"}
    # One run is told kernel by kernel.
    text = render.render(sweep[:1], "md")
    assert re.search(r"- numpy: 9\.00x \(8\.\d+ to 9\.\d+\) faster in batches", text)
    assert "## Kernel by kernel" not in text


@pytest.mark.parametrize(
    ("value", "low", "high", "batching", "rank", "beside"),
    [
        (12.0, 11.7, 12.3, "12.0x (11.7 to 12.3) faster in batches", "ahead of numpy", "faster than torch"),
        (0.5, 0.49, 0.51, "0.500x (0.490 to 0.510) as fast in batches", "ahead of numpy", "as fast as torch"),
        (1.01, 1.01, 1.01, "as fast in batches as one at a time", "; numpy is as fast", "as fast as torch, "),
        (
            1.1,
            0.9,
            1.3,
            "whether batches are faster is unclear",
            "whether numpy is slower is unclear",
            "not told apart",
        ),
        (
            20.0,
            5.0,
            80.0,
            "how much faster batches are is unclear",
            "how far ahead of numpy is unclear",
            "unclear factor",
        ),
    ],
)
def test_a_ratio_is_said_as_far_as_its_interval_goes(value, low, high, batching, rank, beside):
    ratio, time = Ratio(value, low, high, 3, paired=True), Estimate(1e-6, 0.9e-6, 1.1e-6, 3)
    texts = [
        KernelFinding("run", "numba", time, 100, time, ratio, None).sentence(),
        Fastest("run", 100, "numba", time, "numpy", ratio).sentence(),
        headline.against(ratio, "torch"),
    ]
    assert [part in text for part, text in zip((batching, rank, beside), texts, strict=True)] == [True] * 3
    assert not any(number in text for text in texts for number in ("20.0", "5.0", "80"))


def test_of_nothing_there_is_one_line(tmp_path):
    assert find(tmp_path, {}, failures=WRONG).lines() == ["Nothing was timed."]
