"""Two runs, two kernels: verdicts, what cannot be compared, and what else the two sides differ by."""

import json
import math
import shutil

import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.stats.estimates import Wander
from support import simulate, trusting
from support.runs.sides import STEADY, TIMES, run


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run without noise."""
    return run(tmp_path_factory.mktemp("base"), seed=1, noise=0.0)


def scaled(**factors):
    """TIMES with some kernels' times multiplied."""
    return {case: value * factors.get(case[0], 1.0) for case, value in TIMES.items()}


def sides_of(folder, factor=1.0, **settings):
    """Return two runs of eight repeats, of which the second takes ``factor`` times as long."""
    steady = {"noise": 0.002, "repeats": 8, **settings}
    return run(folder, seed=1, **steady), run(folder, scaled(numpy=factor, numba=factor), seed=2, **steady)


# -- two runs


def test_two_runs_have_the_known_answer_kernel_by_kernel(tmp_path, base):
    other = run(tmp_path, scaled(numpy=1.25, numba=0.5), seed=2, noise=0.0)
    found = compare(base, other, 0.05, level=STEADY)
    assert (len(found.rows), found.paired, found.unmatched, found.differences, found.notes) == (4, False, (), (), ())
    for row in found.rows:
        speedup, verdict = (0.8, "slower") if row.kernels == "numpy" else (2.0, "faster")
        seconds = TIMES[row.kernels, row.mode, row.batch_size]
        assert (row.baseline.value, row.candidate.value) == pytest.approx((seconds, seconds / speedup))
        assert (row.speedup.value, row.speedup.low, row.speedup.high) == pytest.approx((speedup,) * 3, rel=1e-3)
        assert row.verdict == verdict
    assert {row.verdict for row in compare(base, other, 0.3, level=STEADY).rows} == {"faster", "not slower"}
    worse = run(tmp_path, {**scaled(numpy=1.25), ("numba", "batched", 100): 3e-6}, seed=3, noise=0.0)
    slower = compare(base, worse, 0.05, level=STEADY).slower
    assert [row.kernels for row in slower] == ["numba", "numpy", "numpy"], "the worst case comes first"


def test_one_repeat_gives_no_verdict_and_says_why(tmp_path, base):
    found = compare(base, run(tmp_path, scaled(numpy=9.0), seed=2, repeats=1), 0.05)
    assert {row.verdict for row in found.rows} == {"undecided"}
    assert found.conclusion.endswith("To decide the rest: more repeats.")
    assert "1 repeat only" in found.notes[0]
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    case = data["cases"][0]
    assert (case["speedup"]["low"], case["speedup"]["reason"]) == (None, "1 repeat: no interval")
    assert (case["candidate_s"]["n"], case["verdict"]) == (1, "undecided")
    assert (data["threshold"], data["paired"]) == (0.05, False)


# -- two kernels of one run


def test_two_kernels_of_one_run_are_paired_by_repeat(tmp_path):
    # Every repeat is disturbed, each by another factor, and both kernels suffer the same.
    folder = simulate.write_run(tmp_path, TIMES, noise=0.0)
    for path in folder.glob("num*.json"):
        with simulate.edited(path) as content:
            for benchmark in content["benchmarks"]:
                factor = (1.0, 1.7, 1.3)[content["mlpbench"]["repeat"]]
                benchmark["stats"]["data"] = [factor * value for value in benchmark["stats"]["data"]]
    whole = simulate.read(folder)
    found = compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05, level=Wander(0.5, 5.0))
    assert (found.paired, found.wander) == (True, 0), "what wanders is shared"
    assert {(row.kernels, row.verdict) for row in found.rows} == {("numba against numpy", "faster")}
    speedups = [(row.speedup.value, row.speedup.low, row.speedup.high) for row in found.rows]
    assert speedups == [pytest.approx((gain,) * 3, rel=1e-3) for gain in (5.0, 2.0)]
    assert {row.verdict for row in compare(Side(whole, "numba"), Side(whole, "numpy"), 0.05).rows} == {"slower"}


def test_only_common_repeats_are_paired(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    (folder / "numba.1.json").unlink()
    whole = simulate.read(folder)
    found = compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05)
    assert {row.speedup.n for row in found.rows} == {2}
    assert "interrupted" in found.notes[0]
    (folder / "numba.0.json").unlink()
    (folder / "numpy.2.json").unlink()
    whole = simulate.read(folder)
    with pytest.raises(NothingComparable, match=r"nothing to compare: .*no repeat has both sides"):
        compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05)


def test_a_kernel_or_record_named_on_one_side_is_meant_on_both(tmp_path, base):
    other = run(tmp_path, seed=2)
    assert {row.kernels for row in compare(Side(base, "numba"), Side(other)).rows} == {"numba"}
    assert {row.kernels for row in compare(base, Side(other, "numpy")).rows} == {"numpy"}
    with pytest.raises(UserError, match="no kernel 'cupy' in "):
        compare(Side(base), Side(other, "cupy"))
    copy = simulate.read(shutil.copytree(base.path, tmp_path / base.path.name))
    assert not compare(Side(base, "numpy"), Side(copy, "numpy")).paired, "a kernel did not run beside itself"
    for folder in (base.path, other.path):
        found = compare(simulate.read(base.path / "numpy.0.json"), simulate.read(folder / "numba.0.json"))
        assert found.paired is (folder == base.path)
        assert {row.kernels for row in found.rows} == {"numba against numpy"}


# -- what cannot be compared


def test_what_one_side_lacks_is_listed_with_its_reason(tmp_path):
    more = [("numpy", "batched", 1000), ("cupy", "batched", 100), ("numpy-out", "batched", 100), ("b", "batched", 100)]
    failures = [
        {"kernel": "numba", "mode": "batched", "batch_size": 100, "phase": "measure", "reason": "no memory"},
        {"kernel": "numpy-out", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"},
    ]
    skipped = [{"kernel": "cupy", "reason": "no driver"}]
    other = simulate.write_run(
        tmp_path, {**TIMES, ("b", "batched", 100): 1e-6}, seed=2, failures=failures, skipped=skipped
    )
    for path in other.glob("b.*.json"):
        path.unlink()
    found = compare(run(tmp_path, {**TIMES, **dict.fromkeys(more, 1e-6)}, seed=1), simulate.read(other), 0.05)
    assert {str(case).replace(f" not in {found.candidate}:", "") for case in found.unmatched} == {
        "numpy batched 1000: not measured",
        "numba batched 100: failed (measure): no memory",
        "cupy batched 100: skipped: no driver",
        "numpy-out batched 100: failed (gate): wrong",
        "b batched 100: the run was interrupted before it",
    }
    assert len(found.rows) == 3


def test_nothing_to_compare(tmp_path):
    one, two, other = (
        run(tmp_path, {(kernel, "batched", size): 1e-6}, seed=seed)
        for seed, (kernel, size) in enumerate([("numpy", 1), ("numpy", 2), ("numba", 1)])
    )
    with pytest.raises(UserError, match="both sides are"):
        compare(one, one)
    for side in (two, other):
        with pytest.raises(NothingComparable, match=r"^nothing to compare: .*not measured"):
            compare(one, side)
    for path in two.path.glob("num*.json"):
        path.unlink()
    with pytest.raises(NothingComparable, match=r"^nothing to compare: .*interrupted before it"):
        compare(one, simulate.read(two.path))


# -- what else differs


def test_a_second_blas_that_one_process_had_is_no_difference(tmp_path):
    one, other = (run(tmp_path, seed=seed) for seed in (1, 2))
    second = [*simulate.ENVIRONMENT["blas"], {"internal_api": "openblas", "version": "0.3.31"}]
    with simulate.edited(one.path / "numpy.0.json") as content:
        content["mlpbench"]["environment"]["blas"] = second
    assert compare(simulate.read(one.path), other).differences == ()
    everywhere = run(tmp_path, seed=3, environment=simulate.environment(blas=second))
    (said,) = compare(everywhere, other).differences
    assert said.startswith("blas: openblas #2: ")


def test_uncommitted_changes_and_other_threads_of_a_kernel_are_named(tmp_path):
    dirty = simulate.environment(git={"dirty": True})
    one, other = (run(tmp_path, seed=seed, environment=dirty) for seed in (1, 2))
    assert compare(one, other).differences == ("git: uncommitted changes on both sides: the code itself may differ",)
    for path in one.path.glob("numba.*.json"):
        with simulate.edited(path) as content:
            content["mlpbench"]["kernel_info"]["describe"] = {"threads": 1, "layer": "omp"}
    whole = simulate.read(one.path)
    assert compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05).differences == ("kernel: threads: 2 against 1",)


def test_no_false_alarm_between_many_runs_of_the_same_thing(tmp_path):
    """Bursts slow whole processes 1.7 times, as on the shared machine of the notes; 8 cases, 5 % threshold."""
    times = {(kernel, "batched", size): 1e-6 for kernel in ("numpy", "numba") for size in (1, 10, 100, 1000)}
    runs = [run(tmp_path, times, repeats=5, seed=seed, burst=0.1, rounds=10) for seed in range(12)]
    found = [compare(a, b, 0.05) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    cases = [row.verdict for comparison in found for row in comparison.rows]
    assert len(cases) == 48
    assert cases.count("slower") + cases.count("faster") <= 1


def changed(**changes):
    return {"environment": simulate.environment(**changes)}


MNIST = {"name": "mnist", "rows": 1000, "sha256": "d" * 64, "source": "x"}


@pytest.mark.parametrize(
    ("changes", "forbids", "line"),
    [
        (
            changed(machine={"name": "bigbox"}),
            "machine: testbox against bigbox",
            "machine: name: testbox against bigbox",
        ),
        ({"spec": {**simulate.SPEC, "sizes": [784, 10]}}, "spec: 784-50-100-10 .* against 784-10 ", None),
        ({"data": MNIST}, "data: name: digits against mnist", "data: name: digits against mnist"),
        (
            {"weights": {"source": "trained", "sha256": "b" * 64}},
            "weights: sha256: e+ against b+",
            f"weights: sha256: {'e' * 12} against {'b' * 12}",
        ),
        (changed(threads=1), "threads: 2 against 1", "threads: 2 against 1"),
        (changed(libraries={"numpy": "2.5.0"}), None, "libraries: numpy: 2.4.6 against 2.5.0"),
        (changed(gpu={"name": "H100"}), None, "gpu: name: nothing against H100"),
        (changed(git={"commit": "f" * 40}), None, f"git: commit: {simulate.COMMIT} against {'f' * 40}"),
        (
            changed(blas=[{**simulate.ENVIRONMENT["blas"][0], "num_threads": 8}]),
            None,
            "blas: openblas: num_threads: 2 against 8",
        ),
        (changed(machine={"load": [9.0, 9.0, 9.0]}), None, None),
    ],
)
def test_what_else_differs_is_named_and_another_machine_task_or_thread_count_refused(
    tmp_path, base, changes, forbids, line
):
    other = run(tmp_path, seed=2, **changes)
    if forbids:
        with pytest.raises(NothingComparable, match=f"^not comparable, {forbids}.*--anyway"):
            compare(base, other)
    found = compare(base, other, anyway=forbids is not None)
    assert len(found.rows) == 4
    assert found.differences == (line,) if line else bool(found.differences) == bool(forbids)


# -- what is asked, what every case can decide, and what would decide the rest


def test_without_a_question_every_case_says_what_it_can_decide(tmp_path):
    found = compare(*sides_of(tmp_path), level=STEADY)
    assert {row.verdict for row in found.rows} == {"not slower"}
    assert found.undecided == ()
    most = max(row.decides for row in found.rows)
    assert 0 < most < 0.01
    assert f" by more than {100 * most:.2g} %" in found.conclusion
    assert found.conclusion.endswith(" in all 4 cases.")
    assert [1 / row.speedup.low - 1 for row in found.rows] == pytest.approx([row.decides for row in found.rows])


@pytest.mark.parametrize(
    ("factor", "asked", "wander", "verdict"),
    [
        (1.008, 0.008, STEADY, "undecided"),
        (1.008, 0.05, STEADY, "not slower"),
        (1.05, None, Wander(0.006, 8.0), "slower"),
        (1.05, None, Wander(0.03, 8.0), "not slower"),
    ],
)
def test_a_question_is_decided_or_not_and_what_whole_runs_wander_by_counts(tmp_path, factor, asked, wander, verdict):
    found = compare(*sides_of(tmp_path, factor), asked, level=wander)
    assert {row.verdict for row in found.rows} == {verdict}
    assert (len(found.undecided), found.wander) == (4 if verdict == "undecided" else 0, wander.sd)


@pytest.mark.parametrize(
    ("factor", "asked", "said"),
    [
        (0.5, None, "{new} is faster than {old} in all 4 cases: 2x."),
        (1.5, 0.05, "{new} is slower than {old} in all 4 cases: it takes 1.5x as long."),
        (1.0, 0.05, "{new} is not slower than {old} by more than 5 % in all 4 cases."),
    ],
)
def test_the_conclusion_is_a_sentence(tmp_path, base, factor, asked, said):
    other = run(tmp_path, scaled(numpy=factor, numba=factor), seed=2, noise=0.0)
    assert compare(base, other, asked, level=STEADY).conclusion == said.format(old=base.id, new=other.id)


def test_the_conclusion_names_every_kind_of_case_with_its_ends(tmp_path, base):
    """One case is slower, one faster, one the same, and one as slow as was asked about."""
    times = {case: TIMES[case] * factor for case, factor in zip(TIMES, (1.5, 0.5, 1.0, 1.02), strict=True)}
    other = run(tmp_path, times, seed=2, noise=0.0)
    assert compare(base, other, 0.02, level=STEADY).conclusion.startswith(
        f"{other.id} is slower than {base.id} in 1 of 4 cases: it takes 1.5x as long; faster in 1 of 4 cases: 2x; not "
        f"slower by more than 2 % in 1 of 4 cases; undecided in 1 of 4 cases. To decide the rest: "
    )
    assert "; not slower by more than 2" in compare(base, other, level=STEADY).conclusion


def test_an_undecided_case_says_how_many_repeats_would_tell(tmp_path):
    noisy = {"noise": 0.05, "repeats": 3}
    found = compare(*sides_of(tmp_path, **noisy), 0.05, level=STEADY)
    needed = [row.repeats_needed for row in found.undecided if row.repeats_needed]
    assert min(needed) > 3
    assert all(row.repeats_needed is None for row in found.rows if row.verdict != "undecided")
    assert found.conclusion.endswith(f"To decide the rest: {max(needed):,} repeats.")
    assert {row.repeats_needed for row in compare(*sides_of(tmp_path / "b", **noisy), level=STEADY).rows} == {None}
    wandering = compare(*sides_of(tmp_path / "d"), 0.05, level=Wander(0.05, 4.0))
    assert wandering.conclusion.endswith("To decide the rest: both sides in one run.")


def test_a_case_whose_every_repeat_was_disturbed_has_no_verdict(tmp_path):
    """Identical code was called slower 2.1 times over where a neighbour was beside all repeats of one side."""
    one, other = (simulate.write_run(tmp_path, TIMES, repeats=4, noise=0.002, seed=seed) for seed in (1, 2))
    hits = {("numba", repeat, "batched", 100) for repeat in range(4)}
    found = compare(trusting.disturb(one, set()), trusting.disturb(other, hits))
    (lost,) = found.undecided
    assert (lost.kernels, lost.mode, lost.speedup.reason) == ("numba", "batched", "other programs disturbed it")
    assert math.isnan(lost.speedup.low)
    assert found.slower == ()
    assert found.conclusion.endswith("To decide the rest: a quieter hour.")
