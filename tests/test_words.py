import math

import pytest

from mlpbench.bench import words
from mlpbench.bench.stats.estimates import Estimate, Ratio, estimate


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


def test_a_time_and_its_interval_share_unit_and_decimals():
    assert words.duration(Estimate(9.99e-7, 9.9e-7, 1.056e-6, 3)) == "999 ns (990 to 1056)"
    assert words.duration(Estimate(1.8e-5, 1.75e-5, 1.86e-5, 3)) == "18.0 µs (17.5 to 18.6)"


def test_without_an_interval_a_time_stands_alone_and_a_ratio_says_why():
    assert words.duration(estimate([2e-6])) == "2.00 µs"
    assert (
        words.ratio(Ratio(4.65, math.nan, math.nan, 1, True, "1 repeat: no interval"))
        == "4.65x (1 repeat: no interval)"
    )


def test_a_ratio_has_its_interval():
    assert words.ratio(Ratio(12.94, 12.61, 13.14, 3, True)) == "12.9x (12.6 to 13.1)"
    assert words.ratio(Ratio(0.985, 0.876, 1.108, 3, True)) == "0.985x (0.876 to 1.108)"


def test_an_interval_over_decades_keeps_its_digits():
    assert words.ratio(Ratio(52.3, 4.5e-5, 6.1e7, 2, True)) == "52.3x (4.5e-05 to 6.1e+07)"


def test_counts_and_sizes():
    assert words.count(687_843.2) == "688,000"
    assert words.count(10_000) == "10,000"
    assert words.count(math.nan) == "not measured"
    assert [words.data_size(n) for n in (512, 32768, 1048576, 24 * 2**30)] == ["512 B", "32 KiB", "1 MiB", "24 GiB"]
