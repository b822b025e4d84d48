"""One route to a number: disturbed repeats are left out by one rule, and a gain is the same wherever it is shown."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from mlpbench.bench.analysis import frame, headline, times
from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.analysis.summary import best_batch, of_kernels, one_at_a_time, ranked, summarize
from mlpbench.bench.report import render
from mlpbench.bench.stats import estimates
from mlpbench.bench.wings.book import section as book
from mlpbench.bench.wings.why import explain
from support import evidence_files as files
from support import simulate, trusting
from support.sources import ROOT
from support.terminal import refusal

TIMES = simulate.by_case(numpy={"one": 2e-5, 10: 4e-6, 100: 2e-6}, numba={"one": 4e-6, 10: 1.2e-6, 100: 1e-6})
TIMES |= {("numpy", "book", 1): 2.5e-5, ("numpy", "book", 100): 5e-6}
#: Kernel, repeat, case.
DISTURBED = {
    ("numpy", 2, "batched", 100),
    ("numpy", 4, "batched", 100),
    ("numpy", 0, "book", 100),
    ("numba", 3, "per_sample", 100),
}
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/*/run.json"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Return a run of five repeats, some of which were disturbed, and of which two have no small networks."""
    folder = files.write_run(tmp_path_factory.mktemp("results"), TIMES, repeats=5, noise=0.05)
    for repeat in (3, 4):
        with simulate.edited(folder / f"numpy.{repeat}.json") as content:
            content["mlpbench"]["anatomy"] = {"reason": None}
    return trusting.disturb(folder, DISTURBED)


@pytest.fixture(scope="module", params=[*COMMITTED, "simulated"], ids=lambda path: getattr(path, "name", path))
def run(request):
    """Return a committed run, and one with disturbed repeats."""
    return request.getfixturevalue("simulated") if request.param == "simulated" else simulate.read(request.param)


def test_the_gain_of_a_kernel_and_the_fastest_one_are_the_same_everywhere(run):
    cases = summarize([run])
    told = json.loads(render.render([run], "json"))
    found = headline.find(cases)
    gains = {one.kernel: one.speedup for one in found.kernels}
    assert gains.keys() == set(run.kernels)
    values = {kernel: gain.value for kernel, gain in gains.items()}
    assert {one["kernel"]: one["speedup"]["value"] for one in told["headline"]["kernels"]} == values
    best = {one.kernel: one.best_batch_size for one in found.kernels}
    of_cases = {(c["kernel"], c["mode"], c["batch_size"]): c["speedup"] for c in told["cases"]}
    assert {kernel: of_cases[kernel, "batched", size]["value"] for kernel, size in best.items()} == values
    explained = [one for one in explain.find(run, cases).kernels if one.attribution]
    assert explained
    for one in explained:
        assert one.attribution.gain == gains[one.kernel]
        assert (one.attribution.one_s, one.attribution.batch_s) == next(
            (kernel.one.value, kernel.best.value) for kernel in found.kernels if kernel.kernel == one.kernel
        )
    for one in book.find(cases):
        assert one.alone.speedup.value == of_cases[one.kernel, "batched", 100]["value"]
        assert one.with_loading.speedup.value == of_cases[one.kernel, "book", 100]["value"]
    of_run = of_kernels(cases)
    best = ranked(case for own in of_run.values() if (case := best_batch(own)))[0][0]
    assert headline.overview(run, cases).kernel == best.kernel
    cells = {c["fastest"] for found in told["relative"] for c in found["cells"] if c["batch_size"] is None}
    if len(of_run) > 1:
        assert cells == {ranked(one_at_a_time(own) for own in of_run.values())[0][0].kernel}


def test_disturbed_repeats_are_left_out_of_times_ratios_and_comparisons(simulated):
    cases = {(case.kernel, case.mode, case.batch_size): case for case in summarize([simulated])}
    slow = cases["numpy", "batched", 100]
    assert (sorted(slow.by_repeat), sorted(slow.every), slow.disturbed) == ([0, 1, 3], [0, 1, 2, 3, 4], 2)
    assert cases["numpy", "per_sample", 100].repeats == 5
    data = frame.load(simulated)
    marked = data[data["disturbed"].fillna(False)]
    assert {*zip(marked.kernel, marked.repeat, marked["mode"], marked.batch_size, strict=True)} == DISTURBED
    assert data["disturbed"].dtype == pd.BooleanDtype()
    assert "| 3, 2 disturbed |" in render.render([simulated], "md")
    found = compare(Side(simulated, "numpy"), Side(simulated, "numba"))
    pairs = {("per_sample", 100): 4, ("batched", 10): 5, ("batched", 100): 3}
    for row in found.rows:
        assert row.baseline.value == pytest.approx(cases["numpy", row.mode, row.batch_size].sample.value)
        assert row.candidate.value == pytest.approx(cases["numba", row.mode, row.batch_size].sample.value)
        assert row.speedup.n == pairs[row.mode, row.batch_size]


@pytest.mark.parametrize(("look_ns", "slower", "speedup"), [(27_500, 1.1, 1), (40_000, 1.15, 1), (40_000, 1, 1.15)])
def test_a_slower_clock_makes_no_difference_and_no_look_takes_more_for_it(tmp_path, look_ns, slower, speedup):
    fast, slow = (simulate.write_run(tmp_path, TIMES, noise=0, seed=seed) for seed in (1, 2))
    trusting.disturb(fast, set())
    trusting.disturb(slow, set())
    for path in slow.glob("*.*.json"):
        with simulate.edited(path) as content:
            for case in content["benchmarks"]:
                case["stats"]["data"] = [slower * seconds for seconds in case["stats"]["data"]]
                case["extra_info"]["looks_ns"] = [[look_ns, look_ns]] * len(case["stats"]["data"])
    found = compare(simulate.read(fast), simulate.read(slow))
    assert [row.speedup.value for row in found.rows] == pytest.approx([speedup] * len(TIMES))


def case_of(every, disturbed=(), kernel="a"):
    hit, sample = frozenset(disturbed), estimates.estimate(every)
    counted = estimates.counted(every, hit)
    return SimpleNamespace(every=every, hit=hit, by_repeat=counted, kernel=kernel, unchecked=False, sample=sample)


def test_pairs_are_of_repeats_that_nothing_disturbed_on_either_side():
    every = dict.fromkeys(range(6), 1.0)
    assert times.pairs(case_of(every, {0}), case_of(every, {1}))[0].keys() == {2, 3, 4, 5}
    assert times.pairs(case_of(every, {0, 1, 2}), case_of(every, {3}))[0].keys() == {4, 5}
    assert times.ratio(case_of({0: 2.0}), case_of({0: 1.0})).value == 2
    assert times.ratio(case_of({0: 2.0}), case_of({1: 1.0})) is None
    apart = times.ratio_or_apart(case_of({0: 2.0}), case_of({1: 1.0}))
    assert apart.value == 2
    ahead, behind = case_of({0: 2.0, 1: 9.0, 2: 2.0}, {1}), case_of({0: 9.0, 1: 3.0, 2: 3.0}, {0})
    shown = times.ratio_or_apart(ahead, behind)
    assert shown.value == pytest.approx(2 / 3), "of what is shown, not of a disturbed side"
    # Without two undisturbed repeats a number is made of all.
    every = {0: 2.0, 1: 2.1, 2: 4.0}
    ratio = times.ratio(case_of(every, {0, 1}), case_of(dict.fromkeys(every, 1.0)))
    assert (ratio.value, ratio.n, ratio.reason) == (2.1, 3, None)
    assert ratio == estimates.estimate(every, disturbed=True), "the neighbour stayed: three know no more than one"
    assert times.ratio(case_of(every, {2}), case_of(dict.fromkeys(every, 1.0))).n == 2


def test_a_run_that_is_named_twice_is_refused(simulated):
    assert "is named twice" in refusal(times.cases, [simulated, simulated])
    apart = [simulate.read(record.path) for record in simulated.records]
    assert [len(case.every) for case in times.cases(apart)] == [5] * len(TIMES)


@pytest.mark.parametrize(
    ("kernels", "order"),
    [
        ({"a": {0: 1.0, 1: 1.0}, "b": {0: 2.0, 1: 2.0}, "c": {0: 1.5, 1: 1.5}}, "acb"),
        ({"a": {0: 1.0, 1: 1.0, 2: 5.0}, "b": {2: 2.0}}, "ba"),  # a's median is of moments without b
        ({"a": {0: 1.0}, "b": {1: 2.0}}, "ab"),  # no repeat has both: the medians say
        ({"a": {0: 1.0, 1: 1.0, 2: 300.0}, "b": dict.fromkeys(range(3), 2.0)}, "ba"),  # a's time is unclear
    ],
)
def test_the_fastest_is_the_one_that_is_faster_where_both_were_measured(kernels, order):
    cases = [case_of(every, kernel=kernel) for kernel, every in kernels.items()]
    assert "".join(case.kernel for case, _ in ranked(cases)) == order
