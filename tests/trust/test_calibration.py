"""What `mlpbench calibrate` makes of its repeats, on simulated processes with known truth; and its file."""

import json

import numpy as np
import pytest

from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.calibration import CalibrationFile, CalibrationHead, SeenEntry, WanderEntry
from mlpbench.bench.record.write import write_atomically
from mlpbench.bench.trust import calibration
from mlpbench.bench.wings.calibrate.trials import Kind, Tally, evaluate, fitting, seen_slowdowns, wandered

CASES = [("per_sample", 100), ("batched", 10), ("batched", 100)]


def simulated(repeats, sd, slowdowns=(0.02, 0.05, 0.1), twins=4, seed=0, drift=0.0):
    """Times of equal kernels and of slowed ones; with ``drift``, every repeat has a load of its own for all."""
    rng = np.random.default_rng(seed)
    load = np.exp(rng.normal(0, drift, repeats))

    def times(factor):
        values = {case: factor * load * np.exp(rng.normal(0, sd, repeats)) for case in CASES}
        return {case: dict(enumerate(map(float, row))) for case, row in values.items()}

    return [times(1.0) for _ in range(twins)], {share: times(1 + share) for share in slowdowns}


def test_the_comparisons_are_counted():
    paired, unpaired = evaluate(*simulated(25, 0.01), repeats=8)
    assert paired.false.cases == 3 * 6 * 3, "blocks, pairs of four kernels, cases; the last repeat is left out"
    assert paired.disjoint.cases == 3 * 2
    assert {tally.cases for tally in paired.planted.values()} == {3 * 4 * 3}
    assert unpaired.false.cases == 3 * 16 * 3
    assert unpaired.disjoint.cases == 4, "the third block has no partner of its own"
    assert {tally.cases for tally in unpaired.planted.values()} == {3 * 4 * 3}


def test_quiet_repeats_find_five_per_cent_as_large_as_planted_and_raise_no_alarm():
    seen = seen_slowdowns(*simulated(40, 0.01))
    assert list(seen) == [0.02, 0.05, 0.1]
    assert list(seen.values()) == pytest.approx(list(seen), abs=0.006)
    for kind in evaluate(*simulated(40, 0.01), repeats=10):
        assert kind.false.hits == kind.disjoint.hits == 0
        assert kind.planted[0.02].rate < 0.3, "below the threshold it must not be found"
        assert kind.planted[0.05].rate > 0.95
        assert kind.planted[0.1].rate == 1
        assert kind.smallest == 0.05
        assert kind.scatter == pytest.approx(0.018, rel=0.3)


def test_noise_hides_small_slowdowns_and_a_load_that_all_kernels_share_those_between_runs_alone():
    noisy, _ = evaluate(*simulated(40, 0.05), repeats=10)
    assert (noisy.planted[0.05].rate < 0.5, noisy.smallest) == (True, None)
    assert noisy.false.rate <= 0.02
    paired, unpaired = evaluate(*simulated(40, 0.005, drift=0.1), repeats=10)
    assert paired.planted[0.05].rate > 0.95
    assert unpaired.planted[0.05].rate < 0.5
    assert unpaired.scatter > 5 * paired.scatter


def test_what_runs_wander_by_keeps_two_runs_from_being_called_different():
    same, slowed = simulated(40, 0.01)
    level = np.repeat([0.0, 0.05], 20)
    for times in (*same, *slowed.values()):
        for case in CASES:
            times[case] = {i: value * float(np.exp(level[i])) for i, value in times[case].items()}
    wander = wandered([*same, *slowed.values()], USUAL_WANDER)
    assert wander.degrees == USUAL_WANDER.degrees + 7
    seen = 7 * np.var(np.repeat([0, 0.05], 4), ddof=1) + USUAL_WANDER.degrees * USUAL_WANDER.sd**2
    assert wander.sd == pytest.approx(np.sqrt(seen / wander.degrees), rel=0.2)
    unaware, aware = evaluate(same, slowed, repeats=20), evaluate(same, slowed, repeats=20, wander=wander)
    assert unaware[1].false.hits == 48, "every comparison"
    assert aware[1].false.hits == 0
    assert aware[0] == unaware[0], "kernels of one run share it"


def test_false_verdicts_are_counted():
    same, slowed = simulated(20, 0.005)
    for case in CASES:
        same[0][case] = {repeat: 1.3 * value for repeat, value in same[0][case].items()}
    paired, unpaired = evaluate(same, slowed, repeats=10)
    assert paired.false.hits == 2 * 3 * 3, "three of the six pairs"
    assert paired.disjoint.hits == 2
    assert unpaired.false.hits == 6 * 3
    assert paired.planted[0.1].rate == 0.75, "one of the four baselines is slower still"


@pytest.mark.parametrize(
    ("repeats", "asked", "block"),
    [
        (40, 20, 20),
        (39, 20, 19),
        (24, 20, 12),
        (23, 20, 20),
        (80, 20, 20),
        (30, 12, 12),
        (15, 20, 15),
        (11, 20, 12),
        (3, 2, 2),
    ],
)
def test_blocks_are_shorter_where_that_makes_two_of_them_or_one_at_all(repeats, asked, block):
    same, slowed = simulated(repeats, 0.01)
    assert fitting([*same, *slowed.values()], asked) == block


def test_too_few_repeats_have_no_kind_and_do_not_tell_what_runs_wander_by():
    assert wandered([*simulated(9, 0.01)[0]], USUAL_WANDER) == USUAL_WANDER
    assert evaluate(*simulated(9, 0.01), repeats=10) == (None, None)
    paired, unpaired = evaluate(*simulated(10, 0.01), repeats=10)
    assert (paired is None, unpaired) == (False, None)


def test_a_disturbed_case_costs_no_other_case_its_repeat():
    same, slowed = simulated(10, 0.01)
    for repeat in range(10):  # each kernel and case lacks another repeat
        del same[repeat % 4][CASES[repeat % 3]][repeat]
    paired, _ = evaluate(same, slowed, repeats=10)
    assert paired.false.cases == 18
    assert paired.planted[0.1].rate == 1
    for case in CASES:  # a whole process was disturbed: the others are compared where both sides ran undisturbed
        slowed[0.05][case].pop(3, None)
        same[1][case].pop(5, None)
    paired, _ = evaluate(same, slowed, repeats=10)
    assert (paired.false.cases, paired.planted[0.1].rate) == (18, 1)
    same, slowed = simulated(10, 0.01)  # a case with too few repeats that count is not found
    slowed[0.1][CASES[0]] = {4: slowed[0.1][CASES[0]][4]}
    paired, _ = evaluate(same, slowed, repeats=10)
    assert paired.planted[0.1].rate == pytest.approx(2 / 3)


# -- rates and what is said of them


def test_the_bound_of_no_false_verdict_in_two_hundred():
    low, high = Tally(0, 200).bounds()
    assert (low, high) == (0, pytest.approx(1 - 0.025 ** (1 / 200), abs=1e-4))
    assert Tally(200, 200).bounds() == (pytest.approx(1 - high, abs=1e-4), 1)
    assert Tally(0, 0).bounds() == (0, 1)


def found(rates):
    planted = {share: Tally(round(100 * rate), 100) for share, rate in rates.items()}
    return Kind(Tally(1, 300), Tally(0, 6), planted, 0.02)


@pytest.mark.parametrize(
    ("rates", "smallest"),
    [
        ({0.02: 0.1, 0.05: 0.95, 0.1: 1.0}, 0.05),
        ({0.02: 0.96, 0.05: 0.97, 0.1: 0.99}, 0.02),
        ({0.02: 0.99, 0.05: 0.9, 0.1: 1.0}, 0.1),
        ({0.02: 0.99, 0.05: 0.99, 0.1: 0.9}, None),
        ({}, None),
    ],
)
def test_the_smallest_slowdown_is_found_and_so_are_all_larger_ones(rates, smallest):
    assert found(rates).smallest == smallest


def made(paired=None, unpaired=None, wander=0.012, degrees=8):
    facts = {"machine": "testbox", "run": "calibration/x", "kernel": "numpy", "threads": 2}
    facts |= {"ended": "2026-11-24T12:00:00+00:00", "repeats": 10, "threshold": 0.025, "false_discovery_rate": 0.01}
    kinds = {"paired": paired or found({0.02: 0.1, 0.05: 0.98, 0.1: 1.0}), "unpaired": unpaired}
    return CalibrationHead(
        kind="calibration",
        **facts,
        **{name: calibration.entry_of(kind) for name, kind in kinds.items()},
        seen=(SeenEntry(0.05, 0.048),),
        wander=WanderEntry(wander, degrees),
    )


def sentence(n, *, paired, **settings):
    return calibration.sentence(made(**settings), n, paired=paired)


def test_what_compare_says():
    assert sentence(10, paired=True) == (
        "smallest slowdown found in 95% of cases on this machine: 5 %, "
        "between two kernels of one run with 10 repeats (2026-11-24)"
    )
    assert "with the 3 repeats of this comparison: about 16 %" in sentence(3, paired=True)
    restless = made(paired=Kind(Tally(0, 1), Tally(0, 1), {}, 1.0))
    assert "more than 100 %" in calibration.sentence(restless, 3, paired=True)
    assert "was not measured" in sentence(10, paired=False)
    assert "none up to 10 %" in sentence(10, paired=False, unpaired=found({0.05: 0.1, 0.1: 0.5}))
    assert "of this comparison" not in sentence(1, paired=True)


def test_what_a_run_wanders_by_is_the_least_that_is_found_between_runs():
    steady, restless = (
        calibration.sentence(made(unpaired=found({0.1: 1.0}), wander=sd, degrees=8), 99, paired=False)
        for sd in (0.0, 0.02)
    )
    assert "with the 99 repeats of this comparison: about 2.8 %" in steady
    assert "about 16 %" in restless, "(3.36 + 1.86) * sqrt(2) * 2 %, with the quantiles of 8 degrees of freedom"


def test_a_rate_of_false_verdicts_that_is_too_high_is_told():
    wrong = Kind(Tally(27, 240), Tally(3, 4), {0.05: Tally(46, 60), 0.1: Tally(59, 60)}, 0.06)
    told = "27 of 240 equal cases were called different there"
    both = made(paired=wrong, unpaired=wrong)
    assert calibration.sentence(both, 10, paired=False).endswith(f"; {told}: measure both sides in one run to be sure")
    assert calibration.sentence(both, 10, paired=True).endswith(told)
    assert "equal cases" not in sentence(10, paired=False, unpaired=found({0.05: 1.0}))


# -- the file


def written(tmp_path, change=lambda block: None):
    content = CalibrationFile(made()).as_dict()
    change(content["mlpbench"])
    path = tmp_path / calibration.FILE
    write_atomically(path, content, replace=True)
    return path


def test_it_is_plain_json_and_read_back(tmp_path):
    path = written(tmp_path)
    block = json.loads(path.read_text())["mlpbench"]
    assert (block["kind"], block["unpaired"]) == ("calibration", None)
    assert block["paired"]["planted"][1] == {"slowdown": 0.05, "hits": 98, "cases": 100}
    assert calibration.read(path) == made()
    older = written(tmp_path, lambda block: block.pop("wander"))
    assert calibration.read(older).wander is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda block: block.update(kind="plan"), "no calibration; `mlpbench calibrate` writes one"),
        (lambda block: block.update(schema=3), "written in schema 3; this version reads up to 2: upgrade"),
        (lambda block: block.update(repeats=1), "repeats: Expected `int` >= 2"),
        (lambda block: block.update(threshold=25), "threshold: Expected `float` < 1.0"),
        (lambda block: block["paired"]["false"].update(hits=301), "hits: expected at most the cases, 300"),
        (lambda block: block["paired"]["planted"][0].update(slowdown=0), "slowdown: Expected `float` > 0.0"),
        (lambda block: block["wander"].update(degrees=0), "wander.degrees: Expected `float` >= 1.0"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, change, told):
    path = written(tmp_path, change)
    with pytest.raises(UserError, match=r"^[^\n]+$") as error:
        calibration.read(path)
    assert str(error.value).startswith(f"{path}")
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"mlpbench": []}'])
def test_what_is_no_calibration_at_all(tmp_path, text):
    (tmp_path / calibration.FILE).write_text(text)
    with pytest.raises(UserError, match=r"^[^\n]+$"):
        calibration.read(tmp_path / calibration.FILE)
