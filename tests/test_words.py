import json
import math

import numpy as np
import pytest

from mlpbench.bench import words
from mlpbench.bench.stats.estimates import Estimate, Ratio, estimate

UNCLEAR = "unclear (uncertain by a factor of"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.021, "±2.1 %"),
        (0.17, "±17 %"),
        (0.57, "±57 %"),
        (0.58, "wider than a factor of 3"),
        (1e9, "wider than a factor of 3"),
    ],
)
def test_half_a_width_is_told_up_to_a_factor_of_three(share, text):
    assert words.half_width(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.25, "1.25 s"),
        (0.269, "269 ms"),
        (18.27e-6, "18.3 µs"),
        (1.449e-6, "1.45 µs"),
        (9.996e-4, "1.00 ms"),  # rounds up into the next unit, not to 1000 µs
        (997e-9, "997 ns"),
        (0.25e-9, "0.250 ns"),
        (125.0, "125 s"),
        (math.nan, "not measured"),
    ],
)
def test_a_time_has_three_digits_and_its_unit(value, text):
    assert words.seconds(value) == text


def test_one_thing_has_no_plural():
    assert [words.things(n, "case") for n in (0, 1, 2, 1200)] == ["0 cases", "1 case", "2 cases", "1,200 cases"]
    assert [words.things(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]


def test_a_time_and_its_interval_share_unit_and_decimals_and_without_it_a_time_stands_alone():
    assert words.duration(estimate([2e-6])) == "2.00 µs"
    assert words.duration(Estimate(9.99e-7, 9.9e-7, 1.056e-6, 3)) == "999 ns (990 to 1056)"
    assert words.duration(Estimate(1.8e-5, 1.75e-5, 1.86e-5, 3)) == "18.0 µs (17.5 to 18.6)"


def test_a_ratio_has_its_interval_or_says_why_it_has_none():
    assert words.ratio(Ratio(12.94, 12.61, 13.14, 3, True)) == "12.9x (12.6 to 13.1)"
    assert words.ratio(Ratio(0.985, 0.876, 1.108, 3, True)) == "0.985x (0.876 to 1.108)"
    assert words.ratio(Ratio(1.04, 0.0013, 823.94, 2, True)) == f"{UNCLEAR} over 100 in 2 repeats)"
    assert words.ratio(Ratio(5.0, 3.0, 8.9, 3, True)) == "about 5.00x (3.00 to 8.90)"
    assert words.ratio(Ratio(5.0, 4.1, 6.1, 3, True)) == "5.00x (4.10 to 6.10)"
    assert words.ratio(Ratio(5.0, 3.0, 9.1, 3, True)) == f"{UNCLEAR} 3 in 3 repeats)"
    alone = Ratio(4.65, math.nan, math.nan, 1, True, "1 repeat: no interval")
    assert words.ratio(alone) == "4.65x (1 repeat: no interval)"


def test_a_time_is_said_plainly_about_or_not_at_all_by_how_wide_its_interval_is():
    times = [Estimate(2e-6, *ends, 3) for ends in ((1.7e-6, 2.5e-6), (1.5e-6, 3e-6), (1e-6, 4e-6))]
    assert list(map(words.time, times)) == ["2.00 µs", "about 2.00 µs", "unclear"]
    assert list(map(words.duration, times)) == [
        "2.00 µs (1.70 to 2.50)",
        "about 2.00 µs (1.50 to 3.00)",
        f"{UNCLEAR} 4 in 3 repeats)",
    ]


@pytest.mark.parametrize(
    ("share", "text"), [(0.042, "4.2 %"), (0.9, "90 %"), (1.5, "a factor of 2.5"), (500, "a factor of over 100")]
)
def test_a_slowdown_is_told_in_per_cent_and_beyond_twice_as_a_factor(share, text):
    assert words.slowdown(share) == text


def test_counts_and_sizes():
    assert words.count(687_843.2) == "688,000"
    assert words.count(10_000) == "10,000"
    assert words.count(math.nan) == "not measured"
    assert [words.data_size(n) for n in (512, 32768, 1048576, 24 * 2**30)] == ["512 B", "32 KiB", "1 MiB", "24 GiB"]


def test_what_rounds_to_nothing_has_no_sign():
    shares = (-0.001, 0.0, 0.004, -0.46, 1.24)
    assert [words.percent(share) for share in shares] == ["0 %", "0 %", "0 %", "-46 %", "124 %"]
    assert [words.signed(seconds) for seconds in (-4e-7, 0.0, 2e-6)] == ["-400 ns", "0.00 ns", "2.00 µs"]


def test_an_estimate_that_is_no_time_has_its_unit_and_interval():
    assert words.quantity(Estimate(12_345, 12_000, 13_000, 3), " rows") == "12,300 rows (12,000 to 13,000)"
    assert words.quantity(estimate([2.5]), "x") == "2.5x (1 repeat: no interval)"
    assert words.quantity(Estimate(12.0, -3.0, 40.0, 3), " rows") == "12 rows (unclear)"


def test_names_make_a_list():
    assert [words.listed(names) for names in (["a"], ["a", "b"], iter("abc"))] == ["a", "a and b", "a, b and c"]


def test_a_case_has_one_name():
    cases = [("per_sample", 100), ("batched", 1000), ("book", 100)]
    assert [words.case(*at) for at in cases] == ["one at a time", "batch 1,000", "book's cell 100"]


# -- for programs


def test_what_is_not_finite_is_null_however_deep():
    data = {"a": [math.nan, (math.inf, -math.inf)], "b": {"c": math.nan}, "d": 1.5}
    assert words.plain(data) == {"a": [None, [None, None]], "b": {"c": None}, "d": 1.5}
    json.dumps(words.plain(data), allow_nan=False)


def test_keys_are_texts_and_everything_else_stays():
    assert words.plain({1: (None, True, "nan", 0)}) == {"1": [None, True, "nan", 0]}
    assert words.plain(np.float64("nan")) is None, "NumPy's is a float"
