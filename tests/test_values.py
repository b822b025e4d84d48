"""What people type, and what is refused in one line."""

import pytest

from mlpbench.bench import values
from mlpbench.bench.errors import UserError

NO_DURATION = "is not a duration: write a number above 0 and its unit"
NO_BUDGET = r"cannot read the budget .*90s, 2m or 1h"
NO_THRESHOLD = r"cannot read the threshold .*write a share such as 5% or 0\.05"
NO_NUMBER = r"is not a whole number: give rows per call, or all$"
OUT_OF_RANGE = r"is out of range: give 1 to 1000000 rows"

READ = [
    (values.parse_duration, {"5ms": 5e-3, "200us": 2e-4, "1.5 s": 1.5, "7µs": 7e-6, ".5ns": 5e-10}),
    (values.parse_budget, {"90s": 90, "2m": 120, " 1.5 h ": 5400, "90": 90, "2 min": 120, ".5m": 30, "1H": 3600}),
    (values.parse_threshold, {"5%": 0.05, "0.05": 0.05, " 5 % ": 0.05, "0": 0, "2.5%": 0.025, "99%": 0.99}),
    (values.parse_batch_size, {"1": 1, "100": 100, "all": 10_000, "1000000": 1_000_000}),
]
REFUSED = [
    (values.parse_duration, NO_DURATION, ["", "5", "ms", "-5ms", "0ms", "5 minutes", "nans", "1e3s", "\u0661s"]),
    (values.parse_budget, NO_BUDGET, ["", "soon", "-5s", "0", "0s", "nan", "inf", "1e3", "5 parsecs", "9999h"]),
    (values.parse_budget, NO_BUDGET, ["\u0661s", "2m30s"]),
    (values.parse_threshold, NO_THRESHOLD, ["", "%", "five", "-5%", "-0.1", "nan", "inf", "100%", "5%%", "1e9%"]),
    (values.parse_threshold, NO_THRESHOLD, ["5", "0,05"]),
    (values.parse_batch_size, NO_NUMBER, ["", "ten", "1.5", "1e3", "nan", "0x10", "10 rows", "All"]),
    (values.parse_batch_size, OUT_OF_RANGE, ["0", "-1", "-100", "1000001", "99999999999999999999"]),
]


@pytest.mark.parametrize(
    ("parse", "text", "value"), [(parse, text, value) for parse, told in READ for text, value in told.items()]
)
def test_a_value_as_people_write_it(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "words", "text"), [(parse, words, text) for parse, words, texts in REFUSED for text in texts]
)
def test_another_value_is_refused_in_one_line(parse, words, text):
    with pytest.raises(UserError, match=words) as refusal:
        parse(text)
    assert "\n" not in str(refusal.value)


def test_a_share_that_was_meant_in_per_cent_is_suggested():
    with pytest.raises(UserError, match="5% if you meant per cent"):
        values.parse_threshold("5")


def test_a_whole_number():
    assert values.parse_whole("7", "seed", 0, 10) == 7
    for text in ("", "-1", "11", "1.5", "many", "1_0", "\u0661", "9" * 30):
        with pytest.raises(UserError, match=r"cannot read the seed .*: give a whole number from 0 to 10"):
            values.parse_whole(text, "seed", 0, 10)


def test_threads(monkeypatch):
    monkeypatch.setattr(values, "processors", lambda: 6)
    assert values.parse_threads(["1,2", "4"]) == [1, 2, 4]
    assert values.parse_threads([" 2 , all "]) == [2, 6]
    assert values.parse_threads([1, "all"]) == [1, 6]


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1,", "two", "4097", "1;2", "\uff11", "1_0", "9" * 30, "0x2"])
def test_bad_threads(text):
    with pytest.raises(UserError, match=r"cannot read the threads .*: give 1 to 4096 or all, several as 1,2"):
        values.parse_threads([text])


def test_dtypes():
    assert values.parse_dtypes(["float32,float64"]) == ["float32", "float64"]
    assert values.parse_dtypes(["float64", "float32"]) == ["float64", "float32"]
    for text in ("", "float16", "float32,", "f4"):
        with pytest.raises(UserError, match="dtype must be one of float32, float64; got "):
            values.parse_dtypes([text])
