"""What a sample costs besides time: counts of known work come back, and false counters are told."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.machine import spin
from mlpbench.bench.machine.counters import Counted
from mlpbench.bench.measure import spent as module
from mlpbench.kernels import registry
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

SPEC = ForwardSpec((7, 5, 3))


@pytest.fixture
def ready():
    """Return a kernel with a thousand rows, as `Contestant` has them."""
    kernel = registry.load("numpy")(SPEC, seeded(SPEC))
    return SimpleNamespace(kernel=kernel, inputs=np.ones((1000, 7), np.float32))


@pytest.fixture
def counted(monkeypatch):
    """Pretend counters; return how many instructions a call and a step of the spin have, and what was counted."""
    state = {"call": 1000.0, "step": 9.0, "now": 0.0, "joules": 0.0}
    chain = spin.llvm_spin()

    def eighths(n):
        state["now"] += n * spin.STEPS / 8 * state["step"]
        return 0

    pretended = spin.Spin(chain.name, chain.instructions, eighths)
    monkeypatch.setattr(module.spin, "best_spin", lambda: pretended)

    @contextmanager
    def counting(drawn=None):
        found, before = Counted(missing={"cycles": "busy"}), dict(state)
        yield found
        found.values = {"instructions": state["now"] - before["now"], "joules": state["joules"] - before["joules"]}

    monkeypatch.setattr(module.counters, "counting", counting)
    return state


@pytest.mark.parametrize("case", [Case("per_sample", 100), Case("batched", 10)])
def test_counts_are_of_one_sample(counted, ready, monkeypatch, case):
    prepare = module.prepare

    def prepared(*arguments):
        made = prepare(*arguments)

        class Counting:
            @staticmethod
            def call():
                counted["now"] += counted["call"] * case.batch_size
                counted["joules"] += 1e-6 * case.batch_size
                return made.call()

        return Counting

    monkeypatch.setattr(module, "prepare", prepared)
    (found,) = module.spent(ready, case)
    assert found.instructions == pytest.approx(1000)
    assert found.joules == pytest.approx(1e-6)
    assert (found.cycles, found.missing) == (None, {"cycles": "busy"})
    assert found.samples % case.batch_size == 0
    assert found.wall_s > 0


@pytest.mark.parametrize("step", [4.5, 9.3])
def test_a_counter_that_miscounts_known_work_is_not_believed(counted, ready, step):
    counted["step"] = step
    (found,) = module.spent(ready, Case("batched", 10))
    assert found.instructions is None
    assert "the counter is wrong" in found.missing["instructions"]
    assert found.joules is not None


def test_without_counters_nothing_runs_and_the_reasons_are_there(ready, monkeypatch):
    @contextmanager
    def nothing(drawn=None):
        yield Counted({"page_faults": 3.0}, {"instructions": "no", "joules": "no"})

    monkeypatch.setattr(module.counters, "counting", nothing)
    monkeypatch.setattr(module, "prepare", pytest.fail)
    (found,) = module.spent(ready, Case("batched", 10))
    assert (found.samples, found.missing) == (0, {"instructions": "no", "joules": "no"})
    assert module.spent(ready, Case("book", 100)) == []
