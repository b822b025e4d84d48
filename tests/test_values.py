"""What people type, and what is refused in one line."""

from functools import partial

import pytest

from mlpbench.bench import values
from mlpbench.bench.errors import UserError

SEED = partial(values.parse_whole, what="seed", least=0, most=10)
BUDGET = partial(values.parse_duration, no_unit=1.0)
NO_WHOLE = ["", "-1", "1.5", "ten", "1_0", "\u0661", "9" * 30, "0x2", "1e3", "nan"]
NO_TIME = ["", "ms", "-5ms", "0ms", "5 minutes", "nans", "1e3s", "\u0661s", "inf", "9999h", "2m30s"]

READ = [
    (values.parse_duration, {"5ms": 5e-3, "200us": 2e-4, "1.5 s": 1.5, "7µs": 7e-6, ".5ns": 5e-10, "1H": 3600}),
    (BUDGET, {"90s": 90, "2m": 120, " 1.5 h ": 5400, "90": 90, "2 min": 120}),
    (values.parse_threshold, {"5%": 0.05, "0.05": 0.05, " 5 % ": 0.05, "0": 0, "2.5%": 0.025, "99%": 0.99}),
    (values.parse_batch_size, {"1": 1, "100": 100, "all": 10_000, "1000000": 1_000_000}),
    (values.parse_threads, {"1,2": [1, 2], " 2 , all ": [2, 6]}),
    (SEED, {"7": 7, "0": 0}),
    (values.parse_dtypes, {"float32,float64": ["float32", "float64"], "float64": ["float64"]}),
]
REFUSED = [
    ("cannot read the time .*5ms, 90s or 2h", values.parse_duration, [*NO_TIME, "5"]),
    ("cannot read the time", BUDGET, [*NO_TIME, "0", "1e3"]),
    (
        r"cannot read the threshold .*5% or 0\.05",
        values.parse_threshold,
        ["", "%", "five", "-5%", "-0.1", "nan", "inf", "100%", "5%%", "1e9%", "5", "0,05"],
    ),
    ("5% if you meant per cent", values.parse_threshold, ["5"]),
    ("batch size .*from 1 to 1,000,000, or all", values.parse_batch_size, [*NO_WHOLE, "0", "1000001", "All"]),
    ("threads .*from 1 to 4,096 or all, several", values.parse_threads, [*NO_WHOLE, "0", "4097", "1,", "1;2"]),
    ("seed .*from 0 to 10", SEED, [*NO_WHOLE, "11"]),
    ("there are float32, float64", values.parse_dtypes, ["", "float16", "float32,", "f4"]),
]


def test_a_value_as_people_write_it(monkeypatch):
    monkeypatch.setattr(values, "processors", lambda: 6)
    for parse, texts in READ:
        for text, value in texts.items():
            assert parse(text) == (pytest.approx(value) if isinstance(value, float) else value), text


@pytest.mark.parametrize(("words", "parse", "texts"), REFUSED)
def test_another_value_is_refused_in_one_line(words, parse, texts):
    for text in texts:
        with pytest.raises(UserError, match=words) as refusal:
            parse(text)
        assert "\n" not in str(refusal.value), text
