"""Numbers, cases and lists in words, one way in the terminal and in every report; and values as JSON can hold them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlpbench.bench.stats.estimates import Estimate, Ratio

#: An interval whose ends are further apart than this factor makes a number "unclear".
WIDE = 3.0
UNCLEAR = "unclear"
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds(value: float) -> str:
    """Return a time with three digits and its unit: ``18.3 µs``, ``-400 ns``; or that there is none."""
    if not math.isfinite(value):
        return "not measured"
    scale, unit = _time_unit(value)
    return f"{value / scale:,.{_decimals(value / scale)}f} {unit}"


def time(estimate: Estimate) -> str:
    """Return a time without its interval: ``18.3 µs``, ``about 18.3 µs`` or ``unclear``, by how wide that is."""
    if is_wide(estimate.low, estimate.high):
        return UNCLEAR
    return f"{_about(estimate)}{seconds(estimate.value)}"


def duration(estimate: Estimate) -> str:
    """Return a time with its interval in one unit, ``18.3 µs (18.1 to 18.6)``, or alone where there is none."""
    if math.isnan(estimate.low):
        return seconds(estimate.value)
    scale, unit = _time_unit(estimate.value)
    return quantity(estimate, f" {unit}", scale)


def ratio(ratio: Ratio) -> str:
    """Return a ratio with its interval, ``12.9x (12.6 to 13.1)``; ``about 12.9x`` of one repeat, which has none."""
    return quantity(ratio, "x")


def quantity(number: Estimate | Ratio, unit: str, scale: float = 1.0) -> str:
    """Return a number in a unit of ``scale`` with its interval: ``12.3 rows (11.9 to 13.0)``; or ``unclear``, and why.

    The value alone would be believed.
    """
    if is_wide(number.low, number.high):
        factor = number.high / number.low if number.low > 0 else math.inf
        most = f"{factor:.2g}" if factor < 100 else "over 100"
        return f"{UNCLEAR} (uncertain by a factor of {most} in {things(number.n, 'repeat')})"
    value, low, high = (end / scale for end in (number.value, number.low, number.high))
    decimals = _decimals(value)
    if math.isnan(low) and number.n == 1:
        return f"about {value:,.{decimals}f}{unit}"
    ends = number.reason if math.isnan(low) else f"{low:,.{decimals}f} to {high:,.{decimals}f}"
    return f"{_about(number)}{value:,.{decimals}f}{unit} ({ends})"


def _about(number: Estimate | Ratio) -> str:
    return "about " if number.high > 1.5 * number.low else ""


def slowdown(share: float) -> str:
    """Return by how much longer something may take: ``4.2 %``, and from twice as long on as a factor."""
    if share < 1:
        return f"{100 * share:.2g} %"
    return f"a factor of {f'{1 + share:.2g}' if share < 99 else 'over 100'}"


def percent(share: float) -> str:
    """Return a share in whole per cent; a share that rounds to 0 has no sign."""
    return f"{round(100 * share)} %"


def is_wide(low: float, high: float) -> bool:
    """Whether an interval is too wide to be told; not where there is none (NaN)."""
    return high > WIDE * max(low, 0.0)


def half_width(share: float) -> str:
    """Return half the width of an interval as a share of its value: ``±14 %``, unless it is wider than `WIDE`."""
    widest = (math.sqrt(WIDE) - 1 / math.sqrt(WIDE)) / 2
    return f"±{100 * share:.2g} %" if share <= widest else f"wider than a factor of {WIDE:g}"


def count(value: float) -> str:
    """Return a number of things: exact up to 10,000, above that three digits, with thousands separators."""
    if not math.isfinite(value):
        return "not measured"
    if abs(value) >= 10_000 and value != round(value):
        value = float(f"{value:.3g}")
    return f"{value:,.0f}"


#: Stands behind the name of a kernel that `UNCHECKED` is true of.
MARK = " †"
UNCHECKED = (
    "unchecked: it skips work, or mlpbench knows no roofs of its device or arithmetic, so nothing shows whether the "
    "machine can be this fast"
)


def marked(name: str, unchecked: bool) -> str:
    """Return the name of a kernel with the mark behind it where its times are unchecked."""
    return f"{name}{MARK}" if unchecked else name


def things(number: int, name: str, plural: str | None = None) -> str:
    """Return a number of things by their name: ``1 repeat``, ``2 repeats``; ``plural``: where an s does not make it."""
    return f"{number:,} {name if number == 1 else plural or f'{name}s'}"


def listed(items: Iterable[str]) -> str:
    """Return names as a list: ``a``, ``a and b``, ``a, b and c``."""
    *before, last = items
    return f"{', '.join(before)} and {last}" if before else last


def case(mode: str, batch_size: int) -> str:
    """Return a case by name: ``one at a time``, ``batch 1,000``, ``book's cell 100``, ``iteration``."""
    if mode == "batched":
        return f"batch {batch_size:,}"
    return {"per_sample": "one at a time", "book": f"book's cell {batch_size:,}"}.get(mode, mode)


def data_size(value: float) -> str:
    """Return bytes in binary units: ``32 KiB``, ``1 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} GiB"


def _time_unit(value: float) -> tuple[float, str]:
    for scale, unit in _TIMES:
        # 999.7 µs would be written as 1000 µs: it rounds up to the next unit.
        if float(f"{abs(value):.3g}") >= scale:
            return scale, unit
    return _TIMES[-1]


def _decimals(value: float) -> int:
    rounded = float(f"{abs(value):.3g}")
    return max(0, 2 - math.floor(math.log10(rounded))) if rounded > 0 else 2


def plain(value: Any) -> Any:
    """Return dictionaries with texts as keys, lists for tuples, and null for every number that is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
