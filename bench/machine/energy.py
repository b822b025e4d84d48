"""What the machine draws, where the system shows it, and never in the timed rounds.

Energy comes from the ``powercap`` files of the processors' packages, which is all that runs on them, and from NVML for
a card.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    count_mj = card_mj or (lambda: _packages_mj(drawn))
    before = count_mj()
    yield drawn
    after = None if before is None else count_mj()
    if before is None or after is None:
        drawn.reason = drawn.reason or "NVML does not say what the card draws"
    elif after < before:
        drawn.reason = "an energy counter came to its end meanwhile, and began again"
    else:
        drawn.joules = (after - before) / 1e3


def _packages_mj(drawn: Drawn) -> float | None:
    """Return the millijoules that all packages have drawn since some moment; None, and why, where that is hidden."""
    counters = []
    for path in (path for path in sorted(POWERCAP.glob("*:*")) if path.name.count(":") == 1):
        try:
            if (path / "name").read_text(encoding="ascii").startswith("package"):
                counters.append(int((path / "energy_uj").read_text(encoding="ascii")) / 1e3)
        except (OSError, ValueError) as error:
            drawn.reason = f"cannot read {path / 'energy_uj'}: {getattr(error, 'strerror', None) or error}"
            return None
    if not counters:
        drawn.reason = "the system shows no energy counter (powercap)"
        return None
    return sum(counters)
