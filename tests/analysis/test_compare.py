"""Two runs, two kernels: verdicts, what cannot be compared, and what else the two sides differ by."""

import json
import math

import pytest

from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.stats.estimates import Wander
from support import simulate, trusting
from support.runs.sides import STEADY, TIMES, run


def scaled(factors):
    """TIMES with some kernels' times multiplied."""
    return {case: value * factors.get(case[0], 1.0) for case, value in TIMES.items()}


def verdicts(found):
    return {(row.kernels, row.mode): row.verdict for row in found.rows}


# -- two runs


def test_two_runs_are_compared_kernel_by_kernel(tmp_path):
    other = run(tmp_path, scaled({"numpy": 1.5, "numba": 0.5}), seed=2)
    found = compare(run(tmp_path, seed=1), other, 0.05, level=STEADY)
    for row in found.rows:
        truth, verdict = (1 / 1.5, "slower") if row.baseline_kernel == "numpy" else (2.0, "faster")
        assert row.verdict == verdict
        assert row.speedup.low < truth < row.speedup.high
        assert row.speedup.value == pytest.approx(row.baseline.value / row.candidate.value)
    assert len(found.rows) == len(TIMES)
    assert (found.paired, found.unmatched, found.differences, found.notes) == (False, (), (), ())


def test_the_speedup_has_the_known_answer(tmp_path):
    one, other = run(tmp_path, seed=1, noise=0.0), run(tmp_path, scaled({"numpy": 1.25}), seed=2, noise=0.0)
    found = compare(one, other, 0.05, level=STEADY)
    row = next(row for row in found.rows if (row.kernels, row.mode) == ("numpy", "batched"))
    assert (row.baseline.value, row.candidate.value) == (pytest.approx(2e-6), pytest.approx(2.5e-6))
    assert (row.speedup.value, row.speedup.low, row.speedup.high) == pytest.approx((0.8, 0.8, 0.8), rel=1e-3)
    assert verdicts(found)["numba", "batched"] == "not slower"
    assert verdicts(compare(one, other, 0.3, level=STEADY))["numpy", "batched"] == "not slower", "by so much"


def test_the_worst_case_decides_the_exit(tmp_path):
    times = {**scaled({"numpy": 1.5}), ("numba", "batched", 100): 3e-6}
    found = compare(run(tmp_path, seed=1), run(tmp_path, times, seed=2), 0.05)
    assert (found.slower[0].kernels, found.slower[0].mode) == ("numba", "batched")
    assert len(found.slower) == 3
    none = compare(run(tmp_path, seed=3), run(tmp_path, seed=4), 0.5)
    assert none.slower == ()


def test_one_repeat_gives_no_verdict_and_says_why(tmp_path):
    found = compare(run(tmp_path, seed=1), run(tmp_path, scaled({"numpy": 9.0}), seed=2, repeats=1), 0.05)
    assert set(verdicts(found).values()) == {"undecided"}
    assert all(math.isnan(row.speedup.low) for row in found.rows)
    assert found.rows[0].speedup.reason == "1 repeat: no interval"
    assert "1 repeat only" in found.notes[0]
    assert found.slower == ()
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
    found = compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05)
    assert found.paired
    assert {(row.kernels, row.verdict) for row in found.rows} == {("numba against numpy", "faster")}
    speedups = [(row.speedup.value, row.speedup.low, row.speedup.high) for row in found.rows]
    assert speedups == [pytest.approx((gain,) * 3, rel=1e-3) for gain in (5.0, 2.0)]
    assert set(verdicts(compare(Side(whole, "numba"), Side(whole, "numpy"), 0.05)).values()) == {"slower"}


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


def test_a_kernel_named_on_one_side_is_meant_on_both(tmp_path):
    a, b = run(tmp_path, seed=1), run(tmp_path, seed=2)
    assert {row.kernels for row in compare(Side(a, "numba"), Side(b), 0.05).rows} == {"numba"}
    assert {row.kernels for row in compare(a, Side(b, "numpy"), 0.05).rows} == {"numpy"}
    with pytest.raises(UserError, match="no kernel 'cupy' in "):
        compare(Side(a), Side(b, "cupy"), 0.05)


def test_two_record_files_are_their_kernels_and_paired_where_they_are_of_one_run(tmp_path):
    one, other = (simulate.write_run(tmp_path, TIMES, seed=seed) for seed in (1, 2))
    for folder in (one, other):
        found = compare(simulate.read(one / "numpy.0.json"), simulate.read(folder / "numba.0.json"), 0.05)
        assert found.paired is (folder == one)
        assert {row.kernels for row in found.rows} == {"numba against numpy"}


# -- what cannot be compared


def test_cases_of_one_side_only_are_listed_with_their_reason(tmp_path):
    failures = [{"kernel": "numba", "mode": "batched", "batch_size": 100, "phase": "measure", "reason": "no memory"}]
    more = {**TIMES, ("numpy", "batched", 1000): 1e-6}
    found = compare(run(tmp_path, more, seed=1), run(tmp_path, seed=2, failures=failures), 0.05)
    assert {str(case) for case in found.unmatched} == {
        f"numpy batched 1000: not in {found.candidate}: not measured",
        f"numba batched 100: not in {found.candidate}: failed (measure): no memory",
    }
    assert len(found.rows) == 3


def test_a_kernel_that_is_skipped_failed_or_not_reached_says_so(tmp_path):
    times = {**TIMES, ("cupy", "batched", 100): 1e-7, ("numpy-out", "batched", 100): 1e-6}
    wrong = [{"kernel": "numpy-out", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}]
    skipped = [{"kernel": "cupy", "reason": "no driver"}]
    folder = simulate.write_run(tmp_path, TIMES, seed=2, skipped=skipped, failures=wrong)
    for path in folder.glob("numba.*.json"):
        path.unlink()
    found = compare(run(tmp_path, times, seed=1), simulate.read(folder), 0.05)
    reasons = {case.kernel: case.reason for case in found.unmatched}
    assert reasons["cupy"].endswith("skipped: no driver")
    assert reasons["numpy-out"].endswith("failed (gate): wrong")
    assert reasons["numba"].endswith("the run was interrupted before it")
    assert {row.kernels for row in found.rows} == {"numpy"}


def test_nothing_to_compare(tmp_path):
    a = run(tmp_path, {("numpy", "batched", 1): 1e-6}, seed=1)
    b = run(tmp_path, {("numpy", "batched", 2): 1e-6}, seed=2)
    with pytest.raises(NothingComparable, match=r"^nothing to compare: .*not measured") as error:
        compare(a, b, 0.05)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="both sides are"):
        compare(a, a, 0.05)
    with pytest.raises(NothingComparable, match=r"^nothing to compare"):
        compare(a, run(tmp_path, {("numba", "batched", 1): 1e-6}, seed=3), 0.05)
    for path in b.path.glob("num*.json"):
        path.unlink()
    with pytest.raises(NothingComparable, match=r"^nothing to compare: .*interrupted before it"):
        compare(a, simulate.read(b.path), 0.05)


# -- what else differs


def test_what_else_differs_between_two_runs_is_named(tmp_path):
    other = simulate.environment(
        machine={"name": "bigbox", "cpu_model": "Big CPU", "load": [9.0, 9.0, 9.0]},
        blas=[{"internal_api": "openblas", "version": "0.3.31", "num_threads": 8, "threading_layer": "pthreads"}],
        threads=8,
        libraries={"numpy": "2.5.0"},
        gpu={"available": True, "name": "H100", "reason": None},
        git={"commit": "f" * 40},
    )
    changes = {
        "spec": {**simulate.SPEC, "dtype": "float64"},
        "data": {"name": "mnist", "rows": 10000, "sha256": "a" * 64, "source": "x"},
        "weights": {"source": "book", "sha256": "b" * 64},
    }
    found = compare(run(tmp_path, seed=1), run(tmp_path, seed=2, environment=other, **changes), anyway=True)
    for line in (
        "machine: cpu_model: Test CPU @ 2.50GHz against Big CPU",
        "blas: openblas: version: 0.3.30 against 0.3.31",
        "blas: openblas: num_threads: 2 against 8",
        "threads: 2 against 8",
        "libraries: numpy: 2.4.6 against 2.5.0",
        "gpu: name: nothing against H100",
        "data: name: digits against mnist",
        f"weights: sha256: {'e' * 12} against {'b' * 12}",
        "spec: 784-50-100-10 sigmoid/softmax float32 against 784-50-100-10 sigmoid/softmax float64",
    ):
        assert line in found.differences, found.differences
    assert any(line.startswith("git: commit: ") for line in found.differences)
    assert not any("load" in line for line in found.differences)


def test_a_second_blas_that_one_process_had_is_no_difference(tmp_path):
    one, other = (run(tmp_path, seed=seed) for seed in (1, 2))
    second = [*simulate.ENVIRONMENT["blas"], {"internal_api": "openblas", "version": "0.3.31"}]
    with simulate.edited(one.path / "numpy.0.json") as content:
        content["mlpbench"]["environment"]["blas"] = second
    assert compare(simulate.read(one.path), other).differences == ()
    everywhere = run(tmp_path, seed=3, environment=simulate.environment(blas=second))
    (said,) = compare(everywhere, other).differences
    assert said.startswith("blas: openblas #2: ")


def test_uncommitted_changes_on_both_sides_are_named(tmp_path):
    dirty = simulate.environment(git={"dirty": True})
    found = compare(run(tmp_path, seed=1, environment=dirty), run(tmp_path, seed=2, environment=dirty), 0.05)
    assert found.differences == ("git: uncommitted changes on both sides: the code itself may differ",)


def test_kernels_of_one_run_that_use_different_threads_say_so(tmp_path):
    folder = simulate.write_run(tmp_path, TIMES)
    for path in folder.glob("numba.*.json"):
        with simulate.edited(path) as content:
            content["mlpbench"]["kernel_info"]["describe"] = {"threads": 1, "layer": "omp"}
    whole = simulate.read(folder)
    assert compare(Side(whole, "numpy"), Side(whole, "numba"), 0.05).differences == ("kernel: threads: 2 against 1",)


def test_no_false_alarm_between_many_runs_of_the_same_thing(tmp_path):
    """Bursts slow whole processes 1.7 times, as on the shared machine of the notes; 8 cases, 5 % threshold."""
    times = {(kernel, "batched", size): 1e-6 for kernel in ("numpy", "numba") for size in (1, 10, 100, 1000)}
    runs = [run(tmp_path, times, repeats=5, seed=seed, burst=0.1, rounds=10) for seed in range(12)]
    found = [compare(a, b, 0.05) for a, b in zip(runs[::2], runs[1::2], strict=True)]
    cases = [row.verdict for comparison in found for row in comparison.rows]
    assert len(cases) == 48
    assert cases.count("slower") + cases.count("faster") <= 1


# -- what is refused unless it is asked for


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"environment": simulate.environment(machine={"name": "bigbox"})}, "machine: testbox against bigbox"),
        ({"spec": {**simulate.SPEC, "sizes": [784, 10]}}, "spec: 784-50-100-10 .* against 784-10 "),
        (
            {"data": {"name": "mnist", "rows": 1000, "sha256": "d" * 64, "source": "x"}},
            "data: name: digits against mnist",
        ),
        ({"weights": {"source": "trained", "sha256": "b" * 64}}, "weights: sha256: e+ against b+"),
    ],
)
def test_another_machine_network_data_or_weights_are_refused_unless_asked_for(tmp_path, changes, told):
    a, b = run(tmp_path, seed=1), run(tmp_path, seed=2, **changes)
    with pytest.raises(NothingComparable, match=f"^not comparable, {told}.*--anyway") as error:
        compare(a, b)
    assert "\n" not in str(error.value)
    assert len(compare(a, b, anyway=True).rows) == 4


def test_another_blas_is_named_and_compared_and_other_threads_are_refused_unless_asked_for(tmp_path):
    """The same code with another number of threads is another question."""
    a = run(tmp_path, seed=1)
    found = compare(a, run(tmp_path, seed=2, environment=simulate.environment(blas=[{"internal_api": "mkl"}])))
    assert len(found.rows) == 4
    assert any(line.startswith("blas: ") for line in found.differences)
    other = run(tmp_path, seed=3, environment=simulate.environment(threads=1))
    with pytest.raises(NothingComparable, match="not comparable, threads: 2 against 1"):
        compare(a, other)
    assert "threads: 2 against 1" in compare(a, other, anyway=True).differences


# -- the correction for the number of cases, and what an unclear case needs


# -- what is asked, and what every case can decide


def sides_of(folder, factor=1.0, **settings):
    """Return two runs of eight repeats, of which the second takes ``factor`` times as long."""
    steady = {"noise": 0.002, "repeats": 8, **settings}
    other = {case: value * factor for case, value in TIMES.items()}
    return run(folder, seed=1, **steady), run(folder, other, seed=2, **steady)


def test_without_a_question_every_case_says_what_it_can_decide(tmp_path):
    found = compare(*sides_of(tmp_path), level=STEADY)
    assert {row.verdict for row in found.rows} == {"not slower"}
    assert found.undecided == ()
    most = max(row.decides for row in found.rows)
    assert 0 < most < 0.01
    assert f" by more than {100 * most:.2g} %" in found.conclusion
    assert found.conclusion.endswith(" in all 4 cases.")
    for row in found.rows:
        assert 1 / row.speedup.low - 1 == pytest.approx(row.decides)


@pytest.mark.parametrize(("asked", "verdict"), [(0.008, "undecided"), (0.05, "not slower")])
def test_a_question_is_decided_or_not(tmp_path, asked, verdict):
    found = compare(*sides_of(tmp_path, 1.008), asked, level=STEADY)
    assert {row.verdict for row in found.rows} == {verdict}
    assert len(found.undecided) == (4 if verdict == "undecided" else 0)


@pytest.mark.parametrize(
    ("factor", "asked", "said"),
    [
        (0.5, None, "{new} is faster than {old} in all 4 cases: 2x."),
        (1.5, 0.05, "{new} is slower than {old} in all 4 cases: it takes 1.5x as long."),
        (1.0, 0.05, "{new} is not slower than {old} by more than 5 % in all 4 cases."),
    ],
)
def test_the_conclusion_is_a_sentence(tmp_path, factor, asked, said):
    one, other = sides_of(tmp_path, factor, noise=0.0)
    assert compare(one, other, asked, level=STEADY).conclusion == said.format(old=one.id, new=other.id)


def test_the_conclusion_names_every_kind_of_case_with_its_ends(tmp_path):
    """One case is slower, one faster, one the same, and one as slow as was asked about."""
    times = {case: TIMES[case] * factor for case, factor in zip(TIMES, (1.5, 0.5, 1.0, 1.02), strict=True)}
    steady = {"noise": 0.0, "repeats": 8}
    one, other = run(tmp_path, seed=1, **steady), run(tmp_path, times, seed=2, **steady)
    said = compare(one, other, 0.02, level=STEADY).conclusion
    assert said.startswith(
        f"{other.id} is slower than {one.id} in 1 of 4 cases: it takes 1.5x as long; faster in 1 of 4 cases: 2x; not "
        f"slower by more than 2 % in 1 of 4 cases; undecided in 1 of 4 cases. To decide the rest: "
    )
    unasked = compare(one, other, level=STEADY).conclusion
    assert unasked.endswith("; not slower by more than 2 % in 2 of 4 cases.")


@pytest.mark.parametrize(
    ("noise", "repeats", "wander", "said"),
    [
        (0.01, 1, STEADY, "more repeats."),
        (0.05, 3, STEADY, " repeats."),
        (0.002, 8, Wander(0.05, 4.0), "both sides in one run."),
    ],
)
def test_the_last_line_says_what_would_decide(tmp_path, noise, repeats, wander, said):
    found = compare(*sides_of(tmp_path, noise=noise, repeats=repeats), 0.05, level=wander)
    assert found.undecided
    assert "To decide the rest: " in found.conclusion
    assert found.conclusion.endswith(said)


def test_what_would_decide_is_told_in_minutes_where_files_say_how_long_a_repeat_takes(tmp_path):
    """Both kernels of both runs, 15 s each."""
    both = sides_of(tmp_path, noise=0.05, repeats=3, ran={"began_s": 1795521700.0, "took_s": 15.0})
    found = compare(*both, 0.05, level=STEADY)
    more = max(row.repeats_needed for row in found.undecided) - 3
    assert found.repeat_s == 60
    assert f"about {more:,} more minute" in found.conclusion


def test_an_undecided_case_says_how_many_repeats_would_tell(tmp_path):
    found = compare(*sides_of(tmp_path, noise=0.05, repeats=3), 0.05, level=STEADY)
    assert any(row.repeats_needed for row in found.undecided)
    assert all(row.repeats_needed is None or row.repeats_needed > 3 for row in found.undecided)
    assert all(row.repeats_needed is None for row in found.rows if row.verdict != "undecided")
    unasked = compare(*sides_of(tmp_path / "again", noise=0.05, repeats=3), level=STEADY)
    assert {row.repeats_needed for row in unasked.rows} == {None}


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


# -- what two runs differ by anyway


@pytest.mark.parametrize(("sd", "verdict"), [(0.006, "slower"), (0.03, "not slower")])
def test_what_whole_runs_wander_by_counts_between_runs(tmp_path, sd, verdict):
    found = compare(*sides_of(tmp_path, 1.05), level=Wander(sd, 8.0))
    assert ({row.verdict for row in found.rows}, found.wander) == ({verdict}, sd)


def test_kernels_of_one_run_share_what_wanders(tmp_path):
    both = run(tmp_path, seed=1, noise=0.002, repeats=8)
    found = compare(Side(both, "numpy"), Side(both, "numba"), level=Wander(0.5, 5.0))
    assert ({row.verdict for row in found.rows}, found.wander) == ({"faster"}, 0)
