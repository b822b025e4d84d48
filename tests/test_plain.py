import json
import math

import numpy as np

from mlpbench.bench.words import plain


def test_what_is_not_finite_is_null_however_deep():
    data = {"a": [math.nan, (math.inf, -math.inf)], "b": {"c": math.nan}, "d": 1.5}
    assert plain(data) == {"a": [None, [None, None]], "b": {"c": None}, "d": 1.5}
    json.dumps(plain(data), allow_nan=False)


def test_keys_are_texts_and_everything_else_stays():
    assert plain({1: (None, True, "nan", 0)}) == {"1": [None, True, "nan", 0]}
    assert plain(np.float64("nan")) is None, "NumPy's is a float"
