"""Kernels with a known slowdown: what they compute, how long they spin, and that no list shows them."""

import numpy as np
import pytest

from mlpbench.bench.wings.calibrate import planted
from mlpbench.bench.wings.calibrate.planted import SAME, SLOWED
from mlpbench.kernels import conformance, registry
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.terminal import refusal

SPEC = ForwardSpec((20, 10, 3))
planted.plant()


def test_they_are_known_by_name_and_in_no_list_and_agree_with_the_reference():
    names = [*SAME, *SLOWED]
    assert len(set(names)) == 11
    assert not set(names) & set(registry.names())
    assert {name: registry.load(name).share for name in names} == dict.fromkeys(SAME, 0.0) | SLOWED
    for name in ("planted-0-a", "planted-10"):
        assert registry.module(name) == planted.__name__
        assert conformance.check(registry.load(name), SPEC).max_error < 1e-5
    assert "planted-5" not in refusal(registry.load, "planted-4"), "a name nearby is not told"


class Clock:
    """A clock that moves on by ``LOOK`` nanoseconds with every look at it, and with every call of the kernel."""

    LOOK = 40
    now, call_ns = 0, 10_000

    def __call__(self):
        self.now += self.LOOK
        return self.now


@pytest.mark.parametrize("name", ["planted-2", "planted-10"])
@pytest.mark.parametrize("rows", [0, 7])
def test_a_call_is_slower_by_its_share_of_just_this_call(monkeypatch, name, rows):
    """Whatever the call takes: twice as long is twice the spin. The end of a spin is known to half a look."""
    clock, load = Clock(), registry.load

    class Base:
        def __init__(self, *_):
            pass

        def forward(self, x):
            clock.now += clock.call_ns
            return x

        forward_one = forward

    monkeypatch.setattr(planted, "perf_counter_ns", clock)
    monkeypatch.setattr(registry, "load", lambda name: Base if name == planted.BASE else load(name))
    same, slowed = (load(kernel)(SPEC, seeded(SPEC, 0)) for kernel in ("planted-0-a", name))
    x = np.ones((max(rows, 1), 20), np.float32)

    def lasts(kernel):
        began = clock.now
        kernel.forward(x) if rows else kernel.forward_one(x[0])
        return clock.now - began

    for clock.call_ns in (10_000, 20_000):
        assert lasts(slowed) - lasts(same) == pytest.approx(SLOWED[name] * clock.call_ns, abs=clock.LOOK)
