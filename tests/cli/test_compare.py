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


NOISY = {"noise": 0.05, "repeats": 3}
ONE = {"times": {("numpy", "batched", 100): 2e-6}}
OTHER = {"environment": simulate.environment(machine={"name": "bigbox"})}


@pytest.mark.parametrize(
    ("baseline", "candidate", "words", "status", "said"),
    [
        ({}, {}, (), 0, " same"),
        ({"trust": trusting.block()}, {}, (), 0, ""),
        ({}, {}, ("--strict",), 0, " same"),
        ({}, {"times": slower(1.05)}, (), 1, " slower"),
        ({}, {"times": slower(1.05)}, ("--fail-if-slower", "10%"), 0, "threshold 10 %"),
        ({}, {"times": slower(1.02)}, (), 4, "threshold 2.5 %"),
        ({}, {"times": slower(1.02)}, ("--fail-if-slower", "1%"), 1, " slower"),
        ({"times": slower(1.02)}, {}, ("--fail-if-slower", "1%"), 0, " faster"),
        ({"times": slower(1.2)}, {}, (), 0, " faster"),
        (NOISY, NOISY, (), 4, "unclear (about "),
        (NOISY, NOISY, (), 4, "Nothing could be decided. What would decide whether 2 cases are slower: about "),
        ({}, {}, (), 0, "2 of 2 cases: not slower."),
        ({}, {"times": slower(1.2)}, (), 1, "2 of 2 cases are slower."),
        (NOISY, NOISY, ("--strict",), 1, "unclear (about "),
        ({}, ONE, (), 0, "1 case not compared: --details says why"),
        ({}, ONE, ("--details",), 0, "not compared: numpy per_sample 100: not in "),
        ({}, ONE, ("--strict",), 1, "1 case not compared"),
        ({}, OTHER, ("--anyway",), 4, "not the same on both sides: machine: name: testbox against bigbox"),
    ],
)
def test_how_it_ends_and_what_it_says(compare, baseline, candidate, words, status, said):
    ended, out, err = compare(baseline, candidate, *words)
    assert (ended, err) == (status, "")
    assert said in " ".join(out.split())


FALSE = {"trust": trusting.block(self_test=trusting.self_test({4: 0.05}))}
REFUSED = "is refused as evidence: The clock is off by 5.0%"


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ({}, {"times": {("numba", "batched", 100): 1e-6}}, ("mlpbench: nothing to compare: ",)),
        ({}, OTHER, ("machine: testbox against bigbox",)),
        *(
            (baseline, candidate, (REFUSED, "--anyway"))
            for baseline, candidate in ((FALSE, {}), ({}, FALSE), (FALSE, FALSE))
        ),
    ],
)
def test_nothing_comparable_or_a_false_clock_is_an_answer_of_its_own(compare, baseline, candidate, said):
    status, out, err = compare(baseline, candidate)
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert all(words in err for words in said)


def test_a_false_clock_is_compared_and_named_where_asked(compare):
    status, out, _ = compare(FALSE, {}, "--anyway")
    assert status == 0
    assert REFUSED in " ".join(out.split())
    found = json.loads(compare(FALSE, {}, "--anyway", "--json")[1])
    assert "is refused as evidence" in found["notes"][0]


def test_json_has_the_p_values_and_the_repeats(compare):
    status, out, _ = compare(NOISY, NOISY, "--json")
    found = json.loads(out)
    assert (status, found["conclusion"].partition(".")[0]) == (4, "Nothing could be decided")
    assert all(case["detectable"] > 0.05 for case in found["cases"])
    assert found["false_discovery_rate"] == 0.01
    assert all(0 <= case["p"] <= case["p_adjusted"] <= 1 for case in found["cases"])
    assert any(case["repeats_needed"] for case in found["cases"])
    assert {case["drift"]["sd"] for case in found["cases"]} == {0.004}
