"""What the machine draws, where the system shows it, and never in the timed rounds."""

from pathlib import Path

from mlpbench.bench.machine.card import Card

POWERCAP = Path("/sys/class/powercap")


def drawn_j(card: Card | None = None) -> float | str:
    """Return the joules that the processors' packages, or a card, have drawn since some moment, or why nobody knows.

    A package is all that runs on a processor: the ``powercap`` files count it, of a card NVML does.
    """
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
