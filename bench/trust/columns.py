"""The columns that the block ``trust`` adds to `bench.analysis.frame`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlpbench.bench.trust.disturbance import best_spin_s, disturbances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.record.schema import Record, Timing
    from mlpbench.bench.record.trust import Start

__all__ = ["COLUMNS", "Columns"]

_PHASES = ("import_s", "construct_s", "compile_s", "first_call_s")
COLUMNS = {
    "disturbed": "boolean",
    "import_s": "float64",
    "compile_s": "float64",
    **{f"{cache}_{phase}": "float64" for cache in ("fresh", "filled") for phase in _PHASES},
    "peak_bytes": "float64",
    "pool_bytes": "float64",
}


class Columns:
    """Makes the columns of the rows of one run: whether a case was disturbed depends on all of its processes."""

    def __init__(self, records: Sequence[Record]) -> None:
        best = best_spin_s(record.trust for record in records)
        self._disturbed = {id(record): disturbances(record.trust, best) for record in records}

    def row(self, record: Record, case: Timing) -> dict[str, Any]:
        """Return the columns of one case of one process."""
        trust, at = record.trust, (case.mode, case.batch_size)
        known = any((window.mode, window.batch_size) == at for window in trust.windows)
        row: dict[str, Any] = {
            "disturbed": at in self._disturbed[id(record)] if known else None,
            "import_s": record.import_s,
            "compile_s": trust.compile_s,
            "pool_bytes": trust.pool_bytes,
        }
        for start in trust.starts:
            row |= _start(start, at)
        return row


def _start(start: Start, at: tuple[str, int]) -> dict[str, Any]:
    values = (start.import_s, start.construct_s, start.compile_s, start.first_calls_s.get(at))
    named = {f"{'fresh' if start.fresh else 'filled'}_{phase}": v for phase, v in zip(_PHASES, values, strict=True)}
    # With a filled cache nothing compiles: what is added is the kernel's own, and not the compiler's.
    return named if start.fresh else {**named, "peak_bytes": start.peak_bytes}
