"""Settings: every combination once, names that are safe as a path and tell them apart, values as people write them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.cases import Setting, make_settings
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.untrusted import NAME, decode

MNIST = "784-50-100-10"


def test_every_combination_once_networks_outermost_named_by_the_axes_that_vary():
    found = make_settings([MNIST, "20-10", MNIST], [1, 2, 1], ["float32"])
    points = [(spec, threads, "float32", None) for spec in (MNIST, "20-10") for threads in (1, 2)]
    assert [setting.point for setting in found] == points
    assert {setting.varies for setting in found} == {("spec", "threads")}
    (only,) = make_settings([MNIST], [2, 2], ["float64"])
    assert (only.label, only.words) == ("", f"{MNIST}, 2 threads, float64")
    for specs, threads, dtypes, first in (
        ([MNIST], [1, 2], ["float32"], "threads-1: 1 thread"),
        ([MNIST], [1], ["float32", "float64"], "float32: float32"),
        (["20-10", "9-3"], [1], ["float32"], "20-10: 20-10"),
        ([MNIST], [2, 1], ["float32", "float64"], "threads-2_float32: 2 threads, float32"),
        (["20-10", "9-3"], [1, 2], ["float32"], "20-10_threads-1: 20-10, 1 thread"),
    ):
        setting, *_ = make_settings(specs, threads, dtypes)
        assert f"{setting.label}: {setting.words}" == first


sizes = st.lists(st.integers(1, 10**6), min_size=2, max_size=60).map(lambda layers: "-".join(map(str, layers)))


@given(
    specs=st.lists(sizes, min_size=1, max_size=4),
    threads=st.lists(st.integers(1, 4096), min_size=1, max_size=3),
    dtypes=st.sampled_from([["float32"], ["float32", "float64"]]),
)
def test_labels_tell_settings_apart_and_fit_behind_the_name_of_a_run(specs, threads, dtypes):
    found = make_settings(specs, threads, dtypes)
    labels = {setting.label for setting in found}
    assert len(labels) == len(found) == len({setting.point for setting in found})
    if len(found) > 1:
        assert all(NAME.fullmatch(f"20261124T120000Z-0123abcd.{label}") for label in labels)
        assert not any("/" in label or label.startswith(".") for label in labels)


def test_a_setting_is_read_back_and_a_damaged_one_is_refused_in_one_line():
    def read(content):
        return decode(json.dumps(content).encode(), Path("run.json"), Setting)

    for setting in make_settings([MNIST, "20-10"], [1, 2], ["float32", "float64"]):
        assert read(setting.as_dict()) == setting
    good = Setting(MNIST, 1, "float32", ("threads",)).as_dict()
    for change in (
        *({"threads": 0}, {"threads": "1"}, {"spec": "../.."}, {"env": "../x"}),
        *({"dtype": "float16"}, {"dtype": None}, {"varies": ["threads", "kernels"]}),
    ):
        with pytest.raises(UserError, match=r"^run\.json: .*$"):
            read({**good, **change})
