"""The memory that is said to be taken, against what a stand-in counts; batches without room are left out of a run."""

import tracemalloc

import pytest

from mlpbench.bench.api.run import Planned
from mlpbench.bench.cases import Case
from mlpbench.bench.cli import progress
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child
from mlpbench.bench.machine.card import Card
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.checks import Checks
from mlpbench.bench.plan import plan, probe, sweep
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.wings.gpu import measurement
from mlpbench.bench.wings.gpu.memory import peaks
from mlpbench.kernels import registry
from mlpbench.kernels.conformance import probe_inputs
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import fake_cupy, streams
from support.refusals import refusal

#: A batch, and what stands beside it in memory: weights, buffers of a row, Python's own.
CASE, SMALL = Case("batched", 8000), 3 * 2**20


@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((30, 60, 20))], ids=str)
def test_no_kernel_takes_more_than_is_said_and_together_they_take_most_of_it(monkeypatch, spec):
    monkeypatch.setattr(measurement, "WARM_S", 0.0)
    (host, card), params, of_all, of_card = peaks(spec, CASE.batch_size), seeded(spec), {}, {}
    for name in ("numpy", "cupy", "cupy-plain", "cupy-fused-u8", "cupy-fused-graph"):
        fake_cupy.install(monkeypatch, world=(world := streams.World()))
        kernel = registry.load(name)(spec, params)
        tracemalloc.start()
        x = kernel.nearest(probe_inputs(spec, CASE.batch_size, 0))
        tracemalloc.reset_peak()
        prepared = prepare(kernel, CASE, x)
        Checks(kernel, params, x).examine(CASE, prepared)
        if name != "numpy":
            measurement.measure_case(kernel, CASE, x, measurement.Sampler(lambda: False, 0.0))
        of_all[name], of_card[name] = tracemalloc.get_traced_memory()[1], world.peak_bytes
        tracemalloc.stop()
    assert of_all.pop("numpy") < host + SMALL
    assert 0.6 * card < max(of_card.values()) < card + SMALL
    assert 0.6 * (host + card) < max(of_all.values()) < host + card + SMALL


@pytest.mark.parametrize(
    ("host", "card", "why"),
    [(64, 80, ""), (12.7, 80, "of the host's memory"), (64, 15, "of the card's memory"), (None, None, "")],
)
def test_batches_without_room_are_left_out_with_one_line(monkeypatch, capsys, host, card, why):
    """In GB; in a notebook on a rented card, the host has less than the card."""
    monkeypatch.setattr(probe, "probe_all", lambda *_: [probe.Probed("cupy", "cupy", "cuda", "14", None)])
    monkeypatch.setattr(child, "memory_limit", lambda: host and host * 1e9)
    monkeypatch.setattr(Card, "memory_limit", lambda _: card and card * 1e9)
    request = sweep.Request(profile=plan.profile("gpu"), kernels=("cupy",), repeats=1)
    found = sweep.plan(request)
    assert found.plan.cases[-1].batch_size == found.parts[0].workload.rows == (100_000 if why else 1_000_000)
    progress.say_what_comes(Planned(found, Effort(found.plan)), verbose=False)
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert told == [f"batches of 1,000,000 are left out: {reason}" for _, reason in found.plan.no_room]
    assert (len(told), why in "".join(told)) == (bool(why), True)
    monkeypatch.setattr(child, "memory_limit", lambda: 1000)
    refusal(UserError, "batches of 1 are too large: they would take .* name smaller ones", sweep.plan, request)
    monkeypatch.setattr(probe, "probe_all", lambda *_: [probe.Probed("cupy", "cupy", "cpu", "14", None)])
    assert sweep.plan(request).plan.no_room == (), "without a card nobody asks"
