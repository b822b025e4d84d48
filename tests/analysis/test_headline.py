import json
import re
from dataclasses import replace

import pytest

from mlpbench.bench.analysis import frame, headline, judge
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import make_settings
from mlpbench.bench.report import render
from mlpbench.bench.stats.estimates import Estimate, Ratio
from mlpbench.bench.wings.heatmap import section as heatmap
from support import simulate
from support.runs import peers as peer_runs

KNOWN = simulate.by_case(
    numpy={"one": 18e-6, 1: 18e-6, 1000: 1.5e-6, 10_000: 1.6e-6},
    numba={"one": 6e-6, 1: 6e-6, 1000: 2e-6, 10_000: 2.4e-6},
)
WRONG = [{"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}]


def find(folder, times, **settings):
    return headline.find(summarize(frame.runs(simulate.write_run(folder, times, **settings))))


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The cases of a run of `KNOWN` without noise."""
    return summarize(frame.runs(simulate.write_run(tmp_path_factory.mktemp("known"), KNOWN, noise=0)))


def test_known_times_give_known_findings(known):
    found = headline.find(known)
    numpy, numba = found.kernels
    assert (numpy.best_batch_size, numba.best_batch_size) == (1000, 1000)
    assert (numpy.speedup.value, numba.speedup.value) == pytest.approx((12, 3))
    assert (numpy.one.value, numpy.best.value) == pytest.approx((18e-6, 1.5e-6))
    assert numpy.sentence() == (
        "numpy: 12.0x (11.7 to 12.3) faster in batches: 18.0 µs per sample one at a time, 1.50 µs in batches of 1,000."
    )
    assert found.lead == (
        "Fastest: numpy, 1.50 µs per sample in batches of 1,000. "
        "Batching makes every kernel faster: numpy most, 12.0x (11.7 to 12.3); numba least, 3.00x (2.93 to 3.07)."
    )
    answered = headline.find(known, answer="Beside peers it wins.")
    assert answered.lead == "Fastest: numpy, 1.50 µs per sample in batches of 1,000. Beside peers it wins."


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
    assert sum(line.startswith("Run 2 threads: ") for line in headline.find(data).lines()) == 2, "without a title"


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
    assert "numpy: whether batches are faster is not known" in found.sentences[1]


def unchecked(folder, *kernels, times=KNOWN):
    """Write a run in which nothing checks the times of some kernels."""
    info = {"backend": "numpy", "device": "cpu"}
    of_kernel = lambda kernel: {**info, "describe": {"skips_work": kernel in kernels}}  # noqa: E731
    return simulate.run(folder, times, noise=0, kernel_info=of_kernel)


def test_an_unchecked_kernel_neither_leads_nor_is_next_nor_ranks_first(tmp_path):
    """It has the shortest times by far."""
    sparse = {("sparse", *case): time / 10 for (kernel, *case), time in KNOWN.items() if kernel == "numpy"}
    run = unchecked(tmp_path, "sparse", times={**sparse, **KNOWN})
    cases = summarize([run])
    found = headline.find(cases)
    assert found.lead.startswith("Fastest: numpy, ")
    assert [kernel.name for kernel in found.kernels] == ["numpy", "numba", "sparse †"]
    assert headline.overview(run, cases).kernel == "numpy"
    (heat,) = heatmap.find(cases)
    assert heat.kernels[-1] == "sparse"
    assert {cell.fastest for cell in heat.cells.values()} <= {"numpy", "numba"}


def test_where_one_kernel_alone_competes_nobody_is_fastest(tmp_path):
    one = find(tmp_path / "one", {case: time for case, time in KNOWN.items() if case[0] == "numba"})
    assert one.lines() == [one.kernels[0].sentence()]
    checked = headline.find(summarize([unchecked(tmp_path, "numba")]))
    assert checked.lead == checked.kernels[0].sentence()
    none = headline.find(summarize([unchecked(tmp_path / "none", "numba", "numpy")]))
    assert none.lead.startswith("Batching makes every kernel faster: numpy † most")


def test_every_ratio_has_its_interval_and_one_repeat_claims_nothing(tmp_path, known):
    found = find(tmp_path, KNOWN, repeats=1)
    for lines in (found.lines(), headline.find(known).lines()):
        single = lines == found.lines()
        assert not [line for line in lines if re.search(r"(?<!about )(?<![\d.])[\d.]+x(?! \()", line)]
        assert any(re.search(r"about \d+\.?\d*x", line) for line in lines) is single
    assert ". What batching gains: " in found.lead
    assert found.remarks[-1].startswith("Every case has one repeat, so its numbers are about right")


LOST = [
    {"kernel": "numpy", "mode": mode, "batch_size": size, "phase": "measure", "reason": "x", "repeat": repeat}
    for mode, size, repeat in [("per_sample", 100, 0), *(("batched", size, 1) for size in (1, 1000, 10000))]
]


@pytest.mark.parametrize(
    ("without", "failures", "says"),
    [
        ("per_sample", [], "the case one at a time (per_sample) was not timed."),
        ("batched", [], "no batched case was timed."),
        ("", LOST, "no repeat has both sides."),
    ],
)
def test_a_missing_gain_has_its_reason(tmp_path, without, failures, says):
    times = {case: time for case, time in KNOWN.items() if case[:2] != ("numpy", without)}
    found = find(tmp_path, times, repeats=2, failures=failures)
    assert f"numpy: no batching speedup: {says}" in found.lines()
    assert {item.kernel: item.speedup is None for item in found.kernels} == {"numpy": True, "numba": False}


# -- of several runs, one line for each

SETTINGS = make_settings(["784-50-100-10"], [1, 2], ["float32"])
SIX = simulate.by_case(numpy={"one": 18e-6, 100: 2e-6}, numba={"one": 6e-6, 1: 6e-6, 100: 1e-6})
FIRST = "1 thread: numba, the fastest of 2, takes 1.00 µs per sample in batches of 100: 6.00x (5.86 to 6.14) faster"


def line_of(run):
    return headline.overview(run, summarize([run]))


def test_the_fastest_of_ours_stands_beside_the_best_peer(tmp_path):
    """Of ours in batches of 10,000, where onnxruntime-bound is the fastest peer."""
    run = peer_runs.write(tmp_path, {**peer_runs.TIMES, ("numba-simd", "per_sample", 100): 2e-6})
    found = line_of(run)
    assert (found.kernel, found.gains[1][1]) == ("numba-simd", "the best peer, onnxruntime-bound")
    ratio = 1e-6 / peer_runs.TIMES["numba-simd", "batched", 10_000]
    assert found.gains[1][0].value == pytest.approx(ratio)
    said = found.sentence()
    assert said.startswith(f"Run {run.id}: numba-simd, the fastest of ours, takes ")
    assert re.search(rf"{ratio:.2f}x \(2\.\d\d to 2\.\d\d\) faster than the best peer, onnxruntime-bound\.", said)
    assert "faster than one at a time and " in said
    peers = {case: s for case, s in peer_runs.TIMES.items() if case[0] in peer_runs.PEERS}
    alone = line_of(peer_runs.write(tmp_path / "peers", {**peers, ("openvino", "per_sample", 100): 9e-6}))
    assert (alone.kernel, alone.name) == ("onnxruntime", "onnxruntime, the fastest of 3"), "a peer has no peer"


def test_what_is_missing_in_a_line_is_said(tmp_path):
    batches, singles = ({at: s for at, s in SIX.items() if at[1] == mode} for mode in ("batched", "per_sample"))
    for number, (times, said) in enumerate(
        [
            (SIX, "numba, the fastest of 2, takes 1.00 µs"),
            (batches, ": no batching speedup, the case one at a time (per_sample) was not timed."),
            (singles, "numba, the fastest of 2, takes 6.00 µs per sample one at a time: no batching speedup"),
            ({}, ": nothing was timed."),
        ]
    ):
        run = simulate.write_run(tmp_path / str(number), times, noise=0, failures=[] if times else WRONG)
        assert said in line_of(simulate.read(run)).sentence()
    assert headline.find([]).lines() == ["Nothing was timed."]


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
    found = json.loads(render.render(sweep, "json"))["headline"]
    assert len(found["kernels"]) == len(found["sentences"]) == 2 * len(SETTINGS)
    # One run is told kernel by kernel.
    text = render.render(sweep[:1], "md")
    assert re.search(r"- numpy: 9\.00x \(8\.\d+ to 9\.\d+\) faster in batches", text)
    assert "## Kernel by kernel" not in text


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (12.0, 11.7, 12.3, ("12.0x (11.7 to 12.3) faster in batches", "faster than torch")),
        (0.5, 0.49, 0.51, ("0.500x (0.490 to 0.510) as fast in batches", "as fast as torch")),
        (1.01, 1.01, 1.01, ("as fast in batches as one at a time", "as fast as torch, ")),
        (1.1, 0.9, 1.3, ("whether batches are faster", "not told apart")),
        (20.0, 5.0, 80.0, ("how much faster batches are is unclear", "unclear factor")),
    ],
)
def test_a_ratio_is_said_as_far_as_its_interval_goes(value, low, high, said):
    ratio, time = Ratio(value, low, high, 3), Estimate(1e-6, 0.9e-6, 1.1e-6, 3)
    texts = [
        KernelFinding("run", "numba", time, 100, time, ratio, None).sentence(),
        headline.against(ratio, "torch"),
    ]
    assert [part in text for part, text in zip(said, texts, strict=True)] == [True] * 2
    assert not any(number in text for text in texts for number in ("20.0", "5.0", "80"))
