"""Kernels with a known slowdown: what they compute, how long they spin, and that no list shows them."""

import numpy as np
import pytest

from mlpbench.bench.measure import instruments
from mlpbench.bench.measure.instruments import SAME, SLOWED
from mlpbench.kernels import conformance, registry
from mlpbench.kernels.errors import UnknownKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

SPEC = ForwardSpec((20, 10, 3))
instruments.plant()
#: Nanoseconds that a look at the simulated clock takes, and a call of the kernel within.
LOOK, CALL = 40, 10_000


class Clock:
    """A clock that moves on with every look at it, and with every call."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        self.now += LOOK
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock, and let a call of `BASE` take `CALL` on it."""
    found = Clock()
    monkeypatch.setattr(instruments, "perf_counter_ns", found)

    load = registry.load

    class Base:
        def __init__(self, *args):
            self.kernel = load(instruments.BASE)(*args)

        def forward(self, x):
            found.now += CALL
            return self.kernel.forward(x)

        def forward_one(self, x):
            found.now += CALL
            return self.kernel.forward_one(x)

    monkeypatch.setattr(instruments.registry, "load", lambda name: Base if name == instruments.BASE else load(name))
    return found


def test_they_are_known_by_name_and_in_no_list():
    names = [*SAME, *SLOWED]
    assert len(set(names)) == 11
    assert not set(names) & set(registry.names())
    assert {name: registry.load(name).share for name in SLOWED} == SLOWED
    assert {registry.load(name).share for name in SAME} == {0.0}
    assert {registry.module(name) for name in names} == {"mlpbench.bench.measure.instruments"}


def test_a_name_nearby_is_not_told():
    with pytest.raises(UnknownKernel) as error:
        registry.load("planted-4")
    assert "planted-5" not in str(error.value)


@pytest.mark.parametrize("name", ["planted-0-a", "planted-10"])
def test_they_agree_with_the_reference(name):
    assert conformance.check(registry.load(name), SPEC).max_error < 1e-5


@pytest.mark.parametrize(("name", "share"), [("planted-5", 0.05), ("planted-10", 0.1), ("planted-2", 0.02)])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_call_is_slower_by_its_share_of_just_this_call(clock, monkeypatch, name, share, rows):
    """Whatever the call takes: twice as long is twice the spin. The end of a spin is known to half a look."""
    times = {}
    for kernel_name in ("planted-0-a", name):
        kernel = registry.load(kernel_name)(SPEC, seeded(SPEC, 0))
        x = np.ones((max(rows, 1), 20), np.float32)
        for call in (CALL, 2 * CALL):
            monkeypatch.setitem(globals(), "CALL", call)
            began = clock.now
            kernel.forward(x) if rows else kernel.forward_one(x[0])
            times[kernel_name, call] = clock.now - began
        monkeypatch.setitem(globals(), "CALL", 10_000)
    for call in (CALL, 2 * CALL):
        assert times[name, call] - times["planted-0-a", call] == pytest.approx(share * call, abs=LOOK)
