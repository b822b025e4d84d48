"""Joules of a case, counted beside its timed rounds."""

from pathlib import Path

from mlpbench.bench.cases import CUDA, Case
from mlpbench.bench.clock import times_s
from mlpbench.bench.machine.card import Card
from mlpbench.bench.measure.case import Contestant, prepare
from mlpbench.bench.measure.session import Suite

POWERCAP = Path("/sys/class/powercap")


def of_case(suite: Suite, contestant: Contestant, case: Case, _: object) -> None:
    """Note the energy of a case; the book's is mostly reading files."""
    if case.mode != "book":
        suite.beside[case] |= joules(contestant, case)


def joules(contestant: Contestant, case: Case) -> dict[str, float | str]:
    """Return the energy of a case as members of its ``extra_info``. Where the system shows none, nothing runs."""
    kernel = contestant.kernel
    card = Card.of(kernel.describe().device_uuid) if kernel.device == CUDA else None
    before = drawn_j(card)
    if isinstance(before, str):
        return {"no_joules": before}
    call = prepare(kernel, case, contestant.inputs).call
    calls = max(1, round(0.15 / min(times_s(call, 3))))  # the counters of processors move 1000 times a second
    before = drawn_j(card)
    for _ in range(calls):
        call()
    after = drawn_j(card)
    if isinstance(before, str) or isinstance(after, str) or after < before:
        return {"no_joules": "an energy counter stopped, or began again, meanwhile"}
    return {"joules": (after - before) / (calls * case.batch_size)}


def drawn_j(card: Card | None = None) -> float | str:
    """Return the joules that the processors' packages (powercap) or a card (NVML) have drawn, or why nobody knows."""
    if card is not None:
        millijoules = card.energy_mj()
        return "NVML does not say what the card draws" if millijoules is None else millijoules / 1e3
    counters = []
    for path in (path for path in sorted(POWERCAP.glob("*:*")) if path.name.count(":") == 1):
        try:
            if (path / "name").read_text(encoding="ascii").startswith("package"):
                counters.append(int((path / "energy_uj").read_text(encoding="ascii")) / 1e6)
        except (OSError, ValueError) as error:
            return f"cannot read {path / 'energy_uj'}: {getattr(error, 'strerror', None) or error}"
    return sum(counters) if counters else "the system shows no energy counter (powercap)"
