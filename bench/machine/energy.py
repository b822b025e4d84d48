"""What the machine draws, where the system shows it, and never in the timed rounds.

Energy comes from the ``powercap`` files of the processors' packages, which is all that runs on them, and from NVML for
a card.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@dataclass
class Drawn:
    """The ``joules`` of the packages or of a card; None where they are not shown, and then ``reason`` says why."""

    joules: float | None = None
    reason: str | None = None


@contextmanager
def counting(card_mj: Callable[[], float | None] | None = None) -> Iterator[Drawn]:
    """Count what is drawn inside; the result is there at the end. ``card_mj``: millijoules that a card has drawn."""
    drawn = Drawn()
    before = _counters(card_mj, drawn)
    yield drawn
    after = _counters(card_mj, drawn) if before else {}
    if before and after:
        drawn.joules = sum(_grown(name, before[name], after.get(name, before[name])) for name in before)


def _counters(card_mj: Callable[[], float | None] | None, drawn: Drawn) -> dict[str, float]:
    """Return joules by who has drawn them: a card where one is given, else the processors' packages."""
    if card_mj is None:
        return _packages(drawn)
    if (millijoules := card_mj()) is None:
        drawn.reason = "NVML does not say what the card draws"
        return {}
    return {"card": millijoules / 1e3}


def _packages(drawn: Drawn) -> dict[str, float]:
    """Return what each package has drawn since some moment, by its folder; nothing, and why, where that is hidden."""
    counters: dict[str, float] = {}
    for path in (path for path in sorted(POWERCAP.glob("*:*")) if path.name.count(":") == 1):
        try:
            if (path / "name").read_text(encoding="ascii").startswith("package"):
                counters[path.name] = int((path / "energy_uj").read_text(encoding="ascii")) / 1e6
        except PermissionError:
            drawn.reason = f"not permitted: {path / 'energy_uj'} is for its owner alone"
            return {}
        except (OSError, ValueError) as error:
            drawn.reason = f"{path}: {error}"
            return {}
    if not counters:
        drawn.reason = "the system shows no energy counter (powercap)"
    return counters


def _grown(name: str, before: float, after: float) -> float:
    """Return by how much a counter grew, which begins again at the end of its range."""
    if after >= before:
        return after - before
    with suppress(OSError, ValueError):
        return after - before + int((POWERCAP / name / "max_energy_range_uj").read_text(encoding="ascii")) / 1e6
    return 0.0
