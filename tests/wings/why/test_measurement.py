"""The two small networks: which they are, that they are timed as cases are, and what becomes of a failing kernel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.bench import clock as measure
from mlpbench.bench.wings.why import measurement as anatomy
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.processes import suite_by_hand


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(anatomy, "ROUNDS", 3)
    monkeypatch.setattr(anatomy, "ROUND_S", 1e-4)


def test_a_narrow_network_keeps_everything_but_the_sizes():
    found = anatomy.narrow(ForwardSpec((784, 50, 100, 10), "relu", "identity", "float64"), 1)
    assert found == ForwardSpec((1, 1, 1, 1), "relu", "identity", "float64")


def test_the_books_network_keeps_its_widths_in_l1():
    found = anatomy.in_l1(MNIST, 48 * 1024)
    assert found.sizes == (61, 50, 100, 10)
    assert found.weight_bytes() <= 0.75 * 48 * 1024


@given(
    sizes=st.lists(st.integers(1, 4000), min_size=2, max_size=6),
    l1=st.sampled_from([16384, 32768, 49152, 131072]),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=60, deadline=None)
def test_the_weights_always_fit(sizes, l1, dtype):
    spec = ForwardSpec(tuple(sizes), dtype=dtype)
    found = anatomy.in_l1(spec, l1)
    assert found.weight_bytes() <= l1
    assert found.n_layers == spec.n_layers
    assert all(small <= large for small, large in zip(found.sizes, spec.sizes, strict=True))
    if spec.weight_bytes() <= 0.75 * l1:
        assert found == spec


def test_the_cpus_cache_says_nothing_about_a_kernel_elsewhere(quick):
    class Elsewhere(NumpyKernel):
        device = "cuda"

    found = anatomy.measure(Elsewhere, MNIST)
    assert (found.in_l1, found.reason) == (None, None)
    assert found.two_neurons is not None


def test_all_networks_are_timed_with_all_their_rounds(quick):
    found = anatomy.measure(NumpyKernel, MNIST).as_dict()
    assert found["reason"] is None
    assert found["two_neurons"]["spec"]["sizes"] == [2, 2, 2, 2]
    for network in ("two_neurons", "in_l1"):
        cases = found[network]["cases"]
        assert [case["mode"] for case in cases] == ["per_sample", "batched"]
        assert all(len(case["data"]) == 3 and min(case["data"]) > 0 for case in cases)


def test_more_work_takes_longer_than_none(quick, monkeypatch):
    """Not how long: which of two. One round of many has the processor for itself."""
    monkeypatch.setattr(anatomy, "ROUNDS", 30)
    found = anatomy.measure(NumpyKernel, ForwardSpec((784, 400, 10))).as_dict()
    one, more = (np.min(found[network]["cases"][1]["data"]) for network in ("two_neurons", "in_l1"))
    assert more > one


class NotOnSmallNetworks(NumpyKernel):
    def __init__(self, spec, params):
        if spec.n_in == 2:
            raise MemoryError("tiles need 16 columns")
        super().__init__(spec, params)


class WrongOnSmallNetworks(NumpyKernel):
    def forward(self, x):
        return super().forward(x) * (0.5 if self.spec.n_in == 2 else 1)


@pytest.mark.parametrize(
    ("kernel", "reason"),
    [(NotOnSmallNetworks, "tiles need 16 columns"), (WrongOnSmallNetworks, "NonConforming")],
)
def test_a_network_that_a_kernel_cannot_do_has_a_reason_and_no_time(quick, kernel, reason):
    found = anatomy.measure(kernel, MNIST).as_dict()
    assert found["two_neurons"] is None
    assert found["in_l1"] is not None
    assert reason in found["reason"]
    assert found["reason"].startswith("2-2-2-2: ")


def test_short_rounds_count_calls():
    calls = []
    iterations, seconds = measure.short_rounds(lambda: calls.append(1), 4, 1e-4)
    assert len(seconds) == 4
    assert len(calls) >= 4 * iterations
    assert min(seconds) > 0


def test_short_rounds_wait_once_a_round_for_a_device():
    """While it warms, after each call: else the calls of a queue would be counted, and not the device's."""
    seen = []
    iterations, seconds = measure.short_rounds(lambda: seen.append("call"), 3, 1e-4, wait=lambda: seen.append("wait"))
    rounds = ["call"] * iterations + ["wait"]
    assert seen[-3 * len(rounds) :] == 3 * rounds
    assert seen[: -3 * len(rounds)] == ["call", "wait"] * ((len(seen) - 3 * len(rounds)) // 2)
    assert len(seconds) == 3


def test_short_rounds_stop_when_they_take_too_long():
    _, seconds = measure.short_rounds(lambda: None, 10_000, 1e-4, most_s=1e-9)
    assert len(seconds) == 1


def test_the_suite_writes_it_into_the_record(tmp_path):
    found = suite_by_hand(tmp_path / "record.json")["mlpbench"]["anatomy"]
    assert set(found) == {"two_neurons", "in_l1", "reason"}
    assert len(found["two_neurons"]["cases"][0]["data"]) == anatomy.ROUNDS


def test_as_many_repeats_have_it_as_make_an_interval(tmp_path):
    found = suite_by_hand(tmp_path / "record.json", f"--mlpbench-repeat={anatomy.REPEATS}")["mlpbench"]
    assert found["anatomy"] is None
