"""`mlpbench compare` as people type it: what it prints, and how it ends."""

import itertools
import json

import pytest

from support import simulate, trusting
from support.terminal import called

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
#: One thread alone works on every case, and calibration spins stand beside it.
ONE_THREAD = trusting.block(trusting.window("per_sample"), trusting.window("batched"))
QUIET = {"noise": 0.002, "repeats": 8, "trust": ONE_THREAD}


def slower(factor):
    return {case: value * factor for case, value in TIMES.items()}


@pytest.fixture
def compare(tmp_path, capsys):
    """Return what compares two runs: write_run's keywords for either, then the words typed."""

    numbers = itertools.count()

    def typed(baseline, candidate, *words):
        folder = tmp_path / str(next(numbers))
        sides = [
            simulate.write_run(folder, **{"times": TIMES, **QUIET, **side}, seed=seed)
            for seed, side in enumerate((baseline, candidate))
        ]
        return called(capsys, "compare", *sides, *words)

    return typed


def test_the_same_twice_ends_well(compare):
    status, out, err = compare({}, {})
    assert (status, err) == (0, "")
    assert out.count(" same") == 2


def test_slower_fails(compare):
    status, out, _ = compare({}, {"times": slower(1.05)})
    assert status == 1
    assert out.count("slower") >= 2
    assert compare({"times": slower(1.2)}, {})[0] == 0, "faster is no failure"


def test_a_larger_threshold_lets_it_pass(compare):
    assert compare({}, {"times": slower(1.05)}, "--fail-if-slower", "10%")[0] == 0


def test_unclear_fails_only_where_asked(compare):
    noisy = {"noise": 0.05, "repeats": 3}
    status, out, _ = compare(noisy, noisy)
    assert status == 0
    assert "unclear (about " in out
    assert compare(noisy, noisy, "--strict")[0] == 1


def test_strict_passes_where_all_is_clear(compare):
    assert compare({}, {}, "--strict")[0] == 0


def test_strict_fails_where_a_case_is_gone(compare):
    one = {"times": {("numpy", "batched", 100): 2e-6}}
    assert compare({}, one)[0] == 0
    assert compare({}, one, "--strict")[0] == 1


def test_nothing_in_common_is_an_answer_of_its_own(compare):
    status, out, err = compare({}, {"times": {("numba", "batched", 100): 1e-6}})
    assert (status, out) == (3, "")
    assert err.startswith("mlpbench: nothing to compare: ")
    assert err.count("\n") == 1


def test_another_machine_is_refused_and_named(compare):
    other = {"environment": simulate.environment(machine={"name": "bigbox"})}
    status, out, err = compare({}, other)
    assert (status, out) == (3, "")
    assert "machine: testbox against bigbox" in err
    assert err.count("\n") == 1


def test_another_machine_is_compared_where_asked(compare):
    other = {"environment": simulate.environment(machine={"name": "bigbox"})}
    status, out, _ = compare({}, other, "--anyway")
    assert status == 0
    assert "not the same on both sides: machine: name: testbox against bigbox" in out


FALSE = trusting.block(self_test=trusting.self_test({4: 0.05}))


@pytest.mark.parametrize("sides", [({"trust": FALSE}, {}), ({}, {"trust": FALSE}), ({"trust": FALSE},) * 2])
def test_a_false_clock_is_no_evidence(compare, sides):
    status, out, err = compare(*sides)
    assert (status, out) == (3, "")
    assert "is refused as evidence: The clock is off by 5.0%" in err
    assert "--anyway" in err
    assert err.count("\n") == 1


def test_a_false_clock_is_compared_and_named_where_asked(compare):
    status, out, _ = compare({"trust": FALSE}, {}, "--anyway")
    assert status == 0
    assert "is refused as evidence: The clock is off by 5.0%" in " ".join(out.split())
    found = json.loads(compare({"trust": FALSE}, {}, "--anyway", "--json")[1])
    assert "is refused as evidence" in found["notes"][0]


def test_a_true_clock_and_none_at_all_are_compared(compare):
    status, _, err = compare({"trust": trusting.block()}, {})
    assert (status, err) == (0, "")


def test_json_has_the_p_values_and_the_repeats(compare):
    status, out, _ = compare({"noise": 0.05, "repeats": 3}, {"noise": 0.05, "repeats": 3}, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["false_discovery_rate"] == 0.01
    assert all(0 <= case["p"] <= case["p_adjusted"] <= 1 for case in found["cases"])
    assert any(case["repeats_needed"] for case in found["cases"])
    assert {case["drift"]["sd"] for case in found["cases"]} == {0.004}


@pytest.mark.parametrize("words", [("--fail-if-slower", "lots"), ("--fail-if-slower", "150%"), ("--strictly",)])
def test_bad_options_are_one_line(compare, words):
    status, out, err = compare({}, {}, *words)
    assert (status, out) == (2, "")
    assert err.startswith("mlpbench: ")
    assert err.count("\n") == 1
