"""Joules of a case, beside its timed rounds: what more than time it costs."""

from mlpbench.bench.cases import CUDA, Case
from mlpbench.bench.clock import times_s
from mlpbench.bench.machine import energy
from mlpbench.bench.machine.card import Card
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.measure.session import Contestant
from mlpbench.bench.record.trust import Spent


def joules(contestant: Contestant, case: Case) -> list[Spent]:
    """Return the energy of a case; nothing of the book's cell, which is mostly reading files.

    Where the system shows no energy, nothing runs, and the reason is the result.
    """
    if case.mode == "book":
        return []
    kernel = contestant.kernel
    card = Card.of(kernel.describe().device_uuid) if kernel.device == CUDA else None
    before = energy.drawn_j(card)
    if isinstance(before, str):
        return [Spent(mode=case.mode, batch_size=case.batch_size, no_joules=before)]
    call = prepare(kernel, case, contestant.inputs).call
    calls = max(1, round(0.15 / min(times_s(call, 3))))  # the counters of processors move 1000 times a second
    before = energy.drawn_j(card)
    for _ in range(calls):
        call()
    after, samples = energy.drawn_j(card), calls * case.batch_size
    if isinstance(before, str) or isinstance(after, str) or after < before:
        reason = "an energy counter stopped, or began again, meanwhile"
        return [Spent(mode=case.mode, batch_size=case.batch_size, no_joules=reason)]
    return [Spent(mode=case.mode, batch_size=case.batch_size, samples=samples, joules=(after - before) / samples)]
