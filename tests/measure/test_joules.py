"""The energy of a sample: joules of known work come back, and where there are none a reason."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import joules as module
from mlpbench.kernels import registry
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

SPEC = ForwardSpec((7, 5, 3))


@pytest.fixture
def ready():
    """Return a kernel with a thousand rows, as `Contestant` has them."""
    kernel = registry.load("numpy")(SPEC, seeded(SPEC))
    return SimpleNamespace(kernel=kernel, inputs=np.ones((1000, 7), np.float32))


@pytest.mark.parametrize("case", [Case("per_sample", 100), Case("batched", 10)])
def test_joules_are_of_one_sample(ready, monkeypatch, case):
    drawn, prepare = [0.0], module.prepare

    def prepared(*arguments):
        made = prepare(*arguments)

        def call():
            drawn[0] += 1e-6 * case.batch_size
            return made.call()

        return SimpleNamespace(call=call)

    monkeypatch.setattr(module.energy, "drawn_j", lambda card: drawn[0])
    monkeypatch.setattr(module, "prepare", prepared)
    (found,) = module.joules(ready, case)
    assert found.joules == pytest.approx(1e-6)
    assert (found.samples % case.batch_size, found.no_joules) == (0, None)


def test_without_counters_nothing_runs_and_the_reason_is_there(ready, monkeypatch, tmp_path):
    monkeypatch.setattr(module.energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(module, "prepare", pytest.fail)
    (found,) = module.joules(ready, Case("batched", 10))
    assert (found.samples, found.no_joules) == (0, "the system shows no energy counter (powercap)")
    assert module.joules(ready, Case("book", 100)) == []


@pytest.mark.parametrize("last", [0.5, "lost"])
def test_a_counter_that_begins_again_or_stops_meanwhile_has_a_reason(ready, monkeypatch, last):
    answers = iter([1.0, 1.0, last])
    monkeypatch.setattr(module.energy, "drawn_j", lambda card: next(answers))
    (found,) = module.joules(ready, Case("batched", 10))
    assert (found.joules, found.no_joules) == (None, "an energy counter stopped, or began again, meanwhile")
