"""The two small networks: which they are, that they are timed as cases are, and what becomes of a failing kernel."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.bench import clock
from mlpbench.bench.wings.why import measurement
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(measurement, "ROUNDS", 3)
    monkeypatch.setattr(measurement, "ROUND_S", 1e-4)
    monkeypatch.setitem(measurement.environment.machine().caches, "L1d", 48 * 1024)  # whatever this processor has


@given(
    sizes=st.lists(st.integers(1, 4000), min_size=2, max_size=6),
    l1=st.sampled_from([16384, 32768, 49152, 131072]),
    dtype=st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=60, deadline=None)
def test_the_weights_always_fit(sizes, l1, dtype):
    spec = ForwardSpec(tuple(sizes), dtype=dtype)
    found = measurement.in_l1(spec, l1)
    assert found.weight_bytes() <= l1
    assert found.n_layers == spec.n_layers
    assert all(small <= large for small, large in zip(found.sizes, spec.sizes, strict=True))
    if spec.weight_bytes() <= 0.75 * l1:
        assert found == spec


def test_all_networks_are_timed_with_all_their_rounds_in_so_many_repeats(quick):
    suite = SimpleNamespace(repeat=1, workload=SimpleNamespace(spec=MNIST))
    contestant = SimpleNamespace(kernel=NumpyKernel(MNIST, seeded(MNIST)))
    small = measurement.of_kernel(suite, contestant, None)["anatomy"]
    suite.repeat = measurement.REPEATS
    assert measurement.of_kernel(suite, contestant, None) == {}
    assert (small.reason, small.two_neurons.network.sizes) == (None, [2, 2, 2, 2])
    assert small.in_l1.network.sizes[1:] == [50, 100, 10], "only the inputs shrink where that is enough"
    for network in (small.two_neurons, small.in_l1):
        assert all(len(rounds) == 3 and min(rounds) > 0 for rounds in (network.one_s, network.batch_s))
    elsewhere = measurement.measure(type("Elsewhere", (NumpyKernel,), {"device": "cuda"}), MNIST)
    assert (elsewhere.in_l1, elsewhere.reason) == (None, None), "the CPU's cache says nothing about it"
    assert elsewhere.two_neurons is not None


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
    found = measurement.measure(kernel, MNIST).as_dict()
    assert found["two_neurons"] is None
    assert found["in_l1"] is not None
    assert reason in found["reason"]
    assert found["reason"].startswith("2-2-2-2: ")


def test_short_rounds_wait_once_a_round_for_a_device():
    """While it warms, after each call: else the calls of a queue would be counted, and not the device's."""
    seen = []
    iterations, seconds = clock.short_rounds(lambda: seen.append("call"), 3, 1e-4, wait=lambda: seen.append("wait"))
    rounds = ["call"] * iterations + ["wait"]
    assert seen[-3 * len(rounds) :] == 3 * rounds
    assert seen[: -3 * len(rounds)] == ["call", "wait"] * ((len(seen) - 3 * len(rounds)) // 2)
    assert (len(seconds), min(seconds) > 0) == (3, True)
    assert len(clock.short_rounds(lambda: None, 10_000, 1e-4, most_s=1e-9)[1]) == 1, "it takes too long"


def test_the_null_kernel_goes_the_way_of_every_other(monkeypatch):
    calls = {"forward": [], "forward_one": []}
    for name, shapes in calls.items():
        monkeypatch.setattr(measurement.NullKernel, name, lambda self, x, shapes=shapes: shapes.append(x.shape))
    costs_s = measurement.harness_s()
    assert list(costs_s) == ["per_sample", "batched"]
    assert (set(calls["forward"]), set(calls["forward_one"])) == ({(100, 1)}, {(1,)})
    assert len(calls["forward_one"]) % 100 == 0
    assert min(costs_s.values()) > 0
