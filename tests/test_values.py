"""What people type, and what is refused in one line."""

from functools import partial

import pytest

from mlpbench.bench import values
from mlpbench.bench.errors import UserError

SEED = partial(values.parse_whole, what="seed", least=0, most=10)

READ = [
    (values.parse_duration, {"5ms": 5e-3, "200us": 2e-4, "1.5 s": 1.5, "7µs": 7e-6, ".5ns": 5e-10}),
    (values.parse_budget, {"90s": 90, "2m": 120, " 1.5 h ": 5400, "90": 90, "2 min": 120, ".5m": 30, "1H": 3600}),
    (values.parse_threshold, {"5%": 0.05, "0.05": 0.05, " 5 % ": 0.05, "0": 0, "2.5%": 0.025, "99%": 0.99}),
    (values.parse_batch_size, {"1": 1, "100": 100, "all": 10_000, "1000000": 1_000_000}),
    (values.parse_threads, {"1,2": [1, 2], " 2 , all ": [2, 6]}),
    (SEED, {"7": 7, "0": 0}),
    (values.parse_dtypes, {"float32,float64": ["float32", "float64"], "float64": ["float64"]}),
]
NO_WHOLE = ["", "-1", "1.5", "ten", "1_0", "\u0661", "9" * 30, "0x2", "1e3", "nan"]
REFUSED = {
    "is not a duration: .* 5ms or 200us": (
        values.parse_duration,
        ["", "5", "ms", "-5ms", "0ms", "5 minutes", "nans", "1e3s", "\u0661s"],
    ),
    "cannot read the budget .*90s, 2m or 1h": (
        values.parse_budget,
        ["", "soon", "-5s", "0", "0s", "nan", "inf", "1e3", "5 parsecs", "9999h", "\u0661s", "2m30s"],
    ),
    r"cannot read the threshold .*5% or 0\.05": (
        values.parse_threshold,
        ["", "%", "five", "-5%", "-0.1", "nan", "inf", "100%", "5%%", "1e9%", "5", "0,05"],
    ),
    "5% if you meant per cent": (values.parse_threshold, ["5"]),
    "batch size .*from 1 to 1,000,000, or all": (values.parse_batch_size, [*NO_WHOLE, "0", "1000001", "All"]),
    "threads .*from 1 to 4,096 or all, several": (
        values.parse_threads,
        [*NO_WHOLE, "0", "4097", "1,", "1;2"],
    ),
    "seed .*from 0 to 10": (SEED, [*NO_WHOLE, "11"]),
    "dtype must be one of float32, float64; got ": (
        values.parse_dtypes,
        ["", "float16", "float32,", "f4"],
    ),
}


def test_a_value_as_people_write_it(monkeypatch):
    monkeypatch.setattr(values, "processors", lambda: 6)
    for parse, texts in READ:
        for text, value in texts.items():
            assert parse(text) == (pytest.approx(value) if isinstance(value, float) else value), text


@pytest.mark.parametrize("words", REFUSED)
def test_another_value_is_refused_in_one_line(words):
    parse, texts = REFUSED[words]
    for text in texts:
        with pytest.raises(UserError, match=words) as refusal:
            parse(text)
        assert "\n" not in str(refusal.value), text
