"""Two runs, kernels or sweeps: verdicts, what cannot be compared, and what else the two sides differ by."""

import json
import math
import shutil
from dataclasses import replace

import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import Side, by_axis, parse_sides
from mlpbench.bench.cases import make_settings
from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.stats import verdicts
from mlpbench.bench.stats.estimates import NO_WANDER, Wander
from support import simulate, trusting
from support.simulate import TIMES, run
from support.terminal import refusal

BLAS = simulate.ENVIRONMENT["blas"][0]


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
    found = compare(base, other, 0.05, level=NO_WANDER)
    assert (len(found.rows), found.paired, found.unmatched, found.differences, found.notes) == (4, False, (), (), ())
    for row in found.rows:
        speedup, verdict = (0.8, "slower") if row.kernels == "numpy" else (2.0, "faster")
        seconds = TIMES[row.kernels, row.mode, row.batch_size]
        assert (row.baseline.value, row.candidate.value) == pytest.approx((seconds, seconds / speedup))
        assert (row.speedup.value, row.speedup.low, row.speedup.high) == pytest.approx((speedup,) * 3, rel=1e-3)
        assert row.verdict == verdict
    assert {row.verdict for row in compare(base, other, 0.3, level=NO_WANDER).rows} == {"faster", "not slower"}
    worse = run(tmp_path, {**scaled(numpy=1.25), ("numba", "batched", 100): 3e-6}, seed=3, noise=0.0)
    slower = compare(base, worse, 0.05, level=NO_WANDER).slower
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
    said = refusal(compare, Side(whole, "numpy"), Side(whole, "numba"), kind=NothingComparable)
    assert "no repeat has both sides" in said


def test_a_kernel_or_record_named_on_one_side_is_meant_on_both(tmp_path, base):
    other = run(tmp_path, seed=2)
    assert {row.kernels for row in compare(Side(base, "numba"), Side(other)).rows} == {"numba"}
    assert {row.kernels for row in compare(base, Side(other, "numpy")).rows} == {"numpy"}
    assert "no kernel 'cupy' in " in refusal(compare, Side(base), Side(other, "cupy"))
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
    assert "both sides are" in refusal(compare, one, one)
    for side in (two, other):
        assert "not measured" in refusal(compare, one, side, kind=NothingComparable)
    for path in two.path.glob("num*.json"):
        path.unlink()
    said = refusal(compare, one, simulate.read(two.path), kind=NothingComparable)
    assert said.startswith("nothing to compare: ")
    assert "interrupted before it" in said


# -- what else differs


def test_what_one_process_had_is_no_difference_and_uncommitted_changes_and_threads_of_a_kernel_are_named(tmp_path):
    one, other = (run(tmp_path, seed=seed) for seed in (1, 2))
    second = [BLAS, {"internal_api": "openblas", "version": "0.3.31"}]
    with simulate.edited(one.path / "numpy.0.json") as content:
        content["mlpbench"]["environment"]["blas"] = second
    assert compare(simulate.read(one.path), other).differences == ()
    everywhere = run(tmp_path, seed=3, environment=simulate.environment(blas=second))
    (said,) = compare(everywhere, other).differences
    assert said.startswith("blas: openblas #2: ")
    dirty = simulate.environment(git={"dirty": True})
    one, other = (run(tmp_path, seed=seed, environment=dirty) for seed in (4, 5))
    assert compare(one, other).differences == ("git: uncommitted changes on both sides: the code itself may differ",)
    says = {"numpy": {"threads": 2}, "numba": {"threads": 1, "layer": "omp"}}
    info = lambda kernel: {"backend": kernel, "device": "cpu", "describe": says[kernel]}  # noqa: E731
    whole = run(tmp_path, seed=6, environment=dirty, kernel_info=info)
    assert compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05).differences == ("kernel: threads: 2 against 1",)


def changed(**changes):
    return {"environment": simulate.environment(**changes)}


MNIST = {"name": "mnist", "rows": 1000, "sha256": "d" * 64, "source": "x"}


@pytest.mark.parametrize(
    ("changes", "forbids", "line"),
    [
        (changed(machine={"name": "bigbox"}), "machine: testbox against bigbox", "machine: name: testbox"),
        ({"spec": {**simulate.SPEC, "sizes": [784, 10]}}, "spec: 784-50-100-10 .* against 784-10 ", "spec: "),
        ({"data": MNIST}, "data: name: digits against mnist", "data: name: digits against mnist"),
        ({"weights": {"source": "trained", "sha256": "b" * 64}}, "weights: sha256: e+ against b+", "weights: "),
        (changed(threads=1), "threads: 2 against 1", "threads: 2 against 1"),
        (changed(libraries={"numpy": "2.5.0"}), None, "libraries: numpy: 2.4.6 against 2.5.0"),
        (changed(gpu={"name": "H100"}), None, "gpu: name: nothing against H100"),
        (changed(blas=[{**BLAS, "num_threads": 8}]), None, "blas: openblas: num_threads: 2 against 8"),
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
    assert found.differences[0].startswith(line) if line else found.differences == ()


# -- what is asked, what every case can decide, and what would decide the rest


@pytest.mark.parametrize(
    ("factor", "asked", "wander", "verdict"),
    [
        (1.008, 0.008, NO_WANDER, "undecided"),
        (1.008, 0.05, NO_WANDER, "not slower"),
        (1.0, None, NO_WANDER, "not slower"),
        (1.05, None, Wander(0.006, 8.0), "slower"),
        (1.05, None, Wander(0.03, 8.0), "not slower"),
    ],
)
def test_a_question_is_decided_or_not_and_what_whole_runs_wander_by_counts(tmp_path, factor, asked, wander, verdict):
    found = compare(*sides_of(tmp_path, factor), asked, level=wander)
    assert {row.verdict for row in found.rows} == {verdict}
    assert (len(found.undecided), found.wander) == (4 if verdict == "undecided" else 0, wander.sd)
    if (asked, verdict) == (None, "not slower"):
        most = max(row.decides for row in found.rows)
        assert f" by more than {100 * most:.2g} % in all 4 cases." in found.conclusion


def test_the_conclusion_names_every_kind_of_case_with_its_ends(tmp_path, base):
    """One case is slower, one faster, one the same, and one as slow as was asked about."""
    times = {case: TIMES[case] * factor for case, factor in zip(TIMES, (1.5, 0.5, 1.0, 1.02), strict=True)}
    other = run(tmp_path, times, seed=2, noise=0.0)
    assert compare(base, other, 0.02, level=NO_WANDER).conclusion.startswith(
        f"{other.id} is slower than {base.id} in 1 of 4 cases: it takes 1.5x as long; faster in 1 of 4 cases: 2x; not "
        f"slower by more than 2 % in 1 of 4 cases; undecided in 1 of 4 cases. To decide the rest: "
    )
    assert "; not slower by more than 2" in compare(base, other, level=NO_WANDER).conclusion
    twice = run(tmp_path, scaled(numpy=0.5, numba=0.5), seed=3, noise=0.0)
    said = compare(base, twice, level=NO_WANDER).conclusion
    assert said == f"{twice.id} is faster than {base.id} in all 4 cases: 2x."


def test_an_undecided_case_says_how_many_repeats_would_tell(tmp_path):
    noisy = {"noise": 0.05, "repeats": 3}
    found = compare(*sides_of(tmp_path, **noisy), 0.05, level=NO_WANDER)
    needed = [row.repeats_needed for row in found.undecided if row.repeats_needed]
    assert min(needed) > 3
    assert all(row.repeats_needed is None for row in found.rows if row.verdict != "undecided")
    assert found.conclusion.endswith(f"To decide the rest: {max(needed):,} repeats.")
    minutes = math.ceil((max(needed) - min(row.speedup.n for row in found.undecided)) * 40 / 60)
    timed = replace(found, repeat_s=40.0)
    assert timed.conclusion.endswith(f"To decide the rest: about {minutes} more minutes.")
    assert {row.repeats_needed for row in compare(*sides_of(tmp_path / "b", **noisy), level=NO_WANDER).rows} == {None}
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


# -- sweeps, setting by setting

NET = "784-50-100-10"
TWO = make_settings([NET], [1, 2], ["float32"])
QUIET = {"noise": 0.002, "repeats": 8}


def slow_with_two_threads(setting):
    return 1.5 if setting.threads == 2 and setting.env != "old" else 1.0


def sweep(tmp_path, settings=TWO, times=TIMES, factor=lambda setting: 1.0, seed=1, **more):
    return simulate.write_sweep(tmp_path, times, settings, factor, seed=seed, **{**QUIET, **more})


def sides(tmp_path, *texts):
    return [parse_sides(str(text), tmp_path) for text in texts]


def test_two_sweeps_are_compared_setting_by_setting(tmp_path):
    a, b = sweep(tmp_path), sweep(tmp_path, factor=slow_with_two_threads, seed=2)
    found = compare(*sides(tmp_path, a, b), level=NO_WANDER)
    assert (found.baseline, found.candidate, found.paired) == (a.name, b.name, False)
    told = {(row.setting, row.verdict) for row in found.rows}
    assert told == {("1 thread", "not slower"), ("2 threads", "slower")}
    assert (found.unmatched, found.differences) == ((), ())
    assert {row.label for row in found.slower} == {"numpy, 2 threads", "numba, 2 threads"}
    cases = json.loads(json.dumps(found.as_dict(), allow_nan=False))["cases"]
    assert [case["candidate_setting"]["threads"] for case in cases] == [1] * 4 + [2] * 4
    assert {case["baseline_setting"]["dtype"] for case in cases} == {"float32"}
    assert "nothing to compare: both sides are " in refusal(compare, *sides(tmp_path, b, "latest"))
    # The correction is for the rows of all settings.
    alone = compare(*sides(tmp_path, a / "threads-1", b / "threads-1"), level=NO_WANDER)
    assert not alone.paired, "settings of two sweeps"
    for whole, number in ((found, 8), (alone, 4)):
        assert len(whole.rows) == number
        assert [row.p_adjusted for row in whole.rows] == verdicts.adjusted([row.p for row in whole.rows])


def test_two_kernels_or_settings_of_a_sweep_are_paired(tmp_path):
    a = sweep(tmp_path, factor=lambda setting: 1 / setting.threads)
    kernels = compare(*sides(tmp_path, "numpy", "numba"))
    assert (kernels.paired, kernels.baseline) == (True, f"{a.name}:numpy")
    assert [row.setting for row in kernels.rows] == ["1 thread"] * 2 + ["2 threads"] * 2
    both = sides(tmp_path, "latest/threads-1", "latest/threads-2")
    assert "threads: 1 against 2" in refusal(compare, *both, kind=NothingComparable)
    found = compare(*both, by="threads")
    assert (found.paired, found.baseline, found.candidate) == (True, "threads 1", "threads 2")
    assert {(row.verdict, row.setting) for row in found.rows} == {("faster", None)}, "the title says which they are"
    named = compare(*both, anyway=True)
    assert (named.baseline, named.candidate) == (f"{a.name}.threads-1", f"{a.name}.threads-2")
    assert "threads: 1 against 2" in named.differences
    assert parse_sides(f"{named.baseline}:numba", tmp_path)[0].kernel == "numba", "as the command line takes it"


def test_what_only_one_sweep_has_is_named(tmp_path):
    skipped = {"threads-2": [{"kernel": "numba", "reason": "no second thread"}]}
    a, b = sweep(tmp_path, skipped=skipped), sweep(tmp_path, make_settings([NET], [2, 4], ["float32"]), seed=2)
    found = compare(*sides(tmp_path, f"{a}:numpy", b))
    assert {row.setting for row in found.rows} == {"2 threads"}
    assert list(map(str, found.unmatched)) == [
        f"numpy, 1 thread: not in {b.name}: no such setting",
        f"4 threads: not in {a.name}:numpy: no such setting",
    ]
    found = compare(*sides(tmp_path, a, sweep(tmp_path, seed=3)))
    assert len(found.rows) == 6
    reason = f"not in {a.name}.threads-2: skipped: no second thread"
    assert set(map(str, found.unmatched)) == {
        f"numba {case}, 2 threads: {reason}" for case in ("per_sample 100", "batched 100")
    }


def test_a_sweep_against_a_run_takes_the_setting_that_is_alike(tmp_path):
    a = sweep(tmp_path, factor=lambda setting: 1 / setting.threads)
    run = simulate.write_run(tmp_path, TIMES, seed=5, **QUIET)  # with 2 threads
    found = compare(*sides(tmp_path, run, a))
    assert {(row.setting, row.verdict) for row in found.rows} == {("2 threads", "faster")}
    assert (found.baseline, found.candidate, found.unmatched) == (run.name, a.name, ())
    assert compare(*sides(tmp_path, a, f"{run}:numpy")).rows
    other = sweep(tmp_path, make_settings([NET], [3, 4], ["float32"]), seed=7)
    said = refusal(compare, *sides(tmp_path, other, run), kind=NothingComparable)
    assert "no setting is on both sides: " in said
    assert f"{other.name} (3 threads; 4 threads) against {run.name} ({NET}, 2 threads, float32)" in said


def by(tmp_path, path, wanted):
    axis, left, right = by_axis(parse_sides(str(path), tmp_path), wanted)
    return compare(left, right, level=NO_WANDER, by=axis)


def test_the_environments_of_a_sweep_are_compared_paired_and_in_each_other_setting(tmp_path):
    envs = make_settings([NET], [1, 2], ["float32"], ["old", "new"])
    path = sweep(tmp_path, envs, factor=slow_with_two_threads)
    found = by(tmp_path, path, "env")
    assert (found.baseline, found.candidate, found.paired, len(found.rows)) == ("old", "new", True, 8)
    assert {(row.setting, row.verdict) for row in found.rows} == {("1 thread", "not slower"), ("2 threads", "slower")}
    turned = by(tmp_path, path, "env=new,old")
    assert {row.verdict for row in turned.rows if row.setting == "2 threads"} == {"faster"}
    # Another axis of the same sweep: in each environment.
    assert {row.setting for row in by(tmp_path, path, "threads").rows} == {"env old", "env new"}


def test_an_axis_without_two_sides_is_told(tmp_path):
    path = sweep(tmp_path, make_settings([NET], [1], ["float32"], ["old", "new", "third"]), repeats=2)
    for wanted, expected in (
        ("envs", "'envs' is no axis (did you mean env?); there are spec, threads, dtype, env"),
        ("env", "it takes two values, as env=OLD,NEW; this run has old, new, third"),
        ("env=old", "it takes two values, as env=OLD,NEW"),
        ("env=old,old", "it takes two values, as env=OLD,NEW"),
        ("env=old,nwe", "no env 'nwe' in this run (did you mean new?): old, new, third"),
        ("threads", "it takes two values, as threads=OLD,NEW; this run has 1"),
    ):
        assert expected in refusal(by, tmp_path, path, wanted)
