"""How numbers, cases and lists are written; and values as JSON can hold them."""

import json
import math

import numpy as np
import pytest

from mlpbench.bench import words
from mlpbench.bench.stats.estimates import Estimate, Ratio, estimate

UNCLEAR = "unclear (uncertain by a factor of"
NONE = "1 repeat: no interval"


def ratio(value, low, high, n=3):
    return Ratio(value, low, high, n, NONE if n == 1 else None)


@pytest.mark.parametrize(
    ("written", "value", "text"),
    [
        (words.seconds, 1.25, "1.25 s"),
        (words.seconds, 0.269, "269 ms"),
        (words.seconds, 18.27e-6, "18.3 µs"),
        (words.seconds, 1.449e-6, "1.45 µs"),
        (words.seconds, 9.996e-4, "1.00 ms"),  # rounds up into the next unit, not to 1000 µs
        (words.seconds, 997e-9, "997 ns"),
        (words.seconds, 0.25e-9, "0.250 ns"),
        (words.seconds, 125.0, "125 s"),
        (words.seconds, math.nan, "not measured"),
        (words.seconds, -4e-7, "-400 ns"),
        (words.seconds, 0.0, "0.00 ns"),
        # A time and its interval share unit and decimals, and without it a time stands alone.
        (words.duration, estimate([2e-6]), "2.00 µs"),
        (words.duration, Estimate(9.99e-7, 9.9e-7, 1.056e-6, 3), "999 ns (990 to 1,056)"),
        (words.duration, Estimate(1.8e-5, 1.75e-5, 1.86e-5, 3), "18.0 µs (17.5 to 18.6)"),
        # It is said plainly, about or not at all by how wide its interval is.
        (words.duration, Estimate(2e-6, 1.7e-6, 2.5e-6, 3), "2.00 µs (1.70 to 2.50)"),
        (words.duration, Estimate(2e-6, 1.5e-6, 3e-6, 3), "about 2.00 µs (1.50 to 3.00)"),
        (words.duration, Estimate(2e-6, 1e-6, 4e-6, 3), f"{UNCLEAR} 4 in 3 repeats)"),
        (words.time, Estimate(2e-6, 1.7e-6, 2.5e-6, 3), "2.00 µs"),
        (words.time, Estimate(2e-6, 1.5e-6, 3e-6, 3), "about 2.00 µs"),
        (words.time, Estimate(2e-6, 1e-6, 4e-6, 3), "unclear"),
        (words.ratio, ratio(12.94, 12.61, 13.14), "12.9x (12.6 to 13.1)"),
        (words.ratio, ratio(0.985, 0.876, 1.108), "0.985x (0.876 to 1.108)"),
        (words.ratio, ratio(1.04, 0.0013, 823.94, 2), f"{UNCLEAR} over 100 in 2 repeats)"),
        (words.ratio, ratio(5.0, 3.0, 8.9), "about 5.00x (3.00 to 8.90)"),
        (words.ratio, ratio(5.0, 4.1, 6.1), "5.00x (4.10 to 6.10)"),
        (words.ratio, ratio(5.0, 3.0, 9.1), f"{UNCLEAR} 3 in 3 repeats)"),
        (words.ratio, ratio(4.65, math.nan, math.nan, 1), "about 4.65x"),
        (words.half_width, 0.021, "±2.1 %"),
        (words.half_width, 0.57, "±57 %"),
        (words.half_width, 0.58, "wider than a factor of 3"),
        (words.half_width, 1e9, "wider than a factor of 3"),
        (words.slowdown, 0.042, "4.2 %"),
        (words.slowdown, 0.9, "90 %"),
        (words.slowdown, 1.5, "a factor of 2.5"),
        (words.slowdown, 500, "a factor of over 100"),
        (words.percent, -0.001, "0 %"),  # what rounds to nothing has no sign
        (words.percent, -0.46, "-46 %"),
        (words.percent, 1.24, "124 %"),
        (words.count, 687_843.2, "688,000"),
        (words.count, 10_000, "10,000"),
        (words.count, math.nan, "not measured"),
        (words.data_size, 512, "512 B"),
        (words.data_size, 32768, "32 KiB"),
        (words.data_size, 24 * 2**30, "24 GiB"),
        (words.listed, ["a"], "a"),
        (words.listed, ["a", "b"], "a and b"),
        (words.listed, iter("abc"), "a, b and c"),
    ],
)
def test_a_value_is_written_one_way(written, value, text):
    assert written(value) == text


def test_other_estimates_have_their_unit_and_interval_and_things_and_cases_one_name():
    assert words.quantity(Estimate(12_345, 12_000, 13_000, 3), " rows") == "12,345 rows (12,000 to 13,000)"
    assert words.quantity(estimate([2.5]), "x") == "about 2.50x"
    assert words.quantity(Estimate(12.0, -3.0, 40.0, 3), " rows") == f"{UNCLEAR} over 100 in 3 repeats)"
    assert [words.things(n, "case") for n in (0, 1, 1200)] == ["0 cases", "1 case", "1,200 cases"]
    assert [words.things(n, "process", "processes") for n in (1, 2)] == ["1 process", "2 processes"]
    cases = [("per_sample", 100), ("batched", 1000), ("book", 100)]
    assert [words.case(*at) for at in cases] == ["one at a time", "batch 1,000", "book's cell 100"]


def test_what_is_not_finite_is_null_however_deep_and_keys_are_texts():
    data = {"a": [math.nan, (math.inf, -math.inf)], 1: {"c": math.nan}, "d": (1.5, None, True, "nan", 0)}
    plain = {"a": [None, [None, None]], "1": {"c": None}, "d": [1.5, None, True, "nan", 0]}
    assert json.loads(json.dumps(words.plain(data), allow_nan=False)) == plain
    assert words.plain(np.float64("nan")) is None, "NumPy's is a float"
