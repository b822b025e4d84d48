"""Kernels with a known slowdown: what they compute, how long they spin, and that no list shows them."""

import numpy as np
import pytest

from bench import planted
from bench.planted import SAME, SLOWED, WARM_CALLS
from kernels import conformance, registry
from kernels.errors import UnknownKernel
from kernels.params import seeded
from kernels.spec import ForwardSpec

SPEC = ForwardSpec((20, 10, 3))


@pytest.fixture
def spins(monkeypatch):
    """Replace spin and clock: a call takes a millisecond, TURNS turns take two. Return the turns of every spin."""
    turns, state = [], {"spun": False}

    def spin(n):
        state["spun"] = n == planted.TURNS
        if not state["spun"]:
            turns.append(n)

    class Elapsed:
        def __enter__(self):
            state["spun"] = False
            return self

        def __exit__(self, *_):
            self.seconds = 2e-3 if state["spun"] else 1e-3

    monkeypatch.setattr(planted, "spin", spin)
    monkeypatch.setattr(planted, "elapsed", Elapsed)
    return turns


def test_they_are_known_by_name_and_in_no_list():
    names = [*SAME, *SLOWED]
    assert len(set(names)) == 11
    assert not set(names) & set(registry.names())
    assert {name: registry.load(name).share for name in SLOWED} == SLOWED
    assert {registry.load(name).share for name in SAME} == {0.0}
    assert {registry.module(name) for name in names} == {"bench.planted"}


def test_a_name_nearby_is_not_told():
    with pytest.raises(UnknownKernel) as error:
        registry.load("planted-4")
    assert "planted-5" not in str(error.value)


@pytest.mark.parametrize("name", ["planted-0-a", "planted-10"])
def test_they_agree_with_the_reference(name):
    assert conformance.check(registry.load(name), SPEC).max_error < 1e-5


@pytest.mark.parametrize(("name", "share"), [("planted-5", 0.05), ("planted-10", 0.1), ("planted-0-a", 0.0)])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_they_spin_for_their_share_once_the_shape_is_warm(spins, name, share, rows):
    kernel = registry.load(name)(SPEC, seeded(SPEC, 0))
    x = np.ones((max(rows, 1), 20), np.float32)
    for _ in range(WARM_CALLS + 2):
        kernel.forward(x) if rows else kernel.forward_one(x[0])
    # A look calls once for each of the 3 inputs: 1 ms for 3 calls, and TURNS turns are 2 ms.
    turns = round(share * planted.TURNS / 2 / WARM_CALLS)
    assert spins == [0] * WARM_CALLS + [turns] * 2


def test_every_shape_has_a_spin_of_its_own(spins):
    kernel = registry.load("planted-10")(SPEC, seeded(SPEC, 0))
    for rows in (1, 5):
        for _ in range(WARM_CALLS):
            kernel.forward(np.ones((rows, 20), np.float32))
    assert spins == [0] * 6
    kernel.forward_one(np.ones(20, np.float32))
    assert spins[-1] == 0, "one sample is not a batch of one"


def test_the_spin_spins():
    planted.spin(0)
    planted.spin(1000)
