"""Comparisons in Python: what `mlpbench compare` says, as an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlpbench.bench import values
from mlpbench.bench.analysis import compare as analysis
from mlpbench.bench.analysis.sides import Side

if TYPE_CHECKING:
    import pandas as pd


class Comparison(analysis.Comparison):
    """Two sides, case by case."""

    def cases(self) -> pd.DataFrame:
        """Return a row for each case: both times, the speedup with its interval, and the verdict."""
        from mlpbench.bench.analysis import frame

        return frame.compared(self)

    def __repr__(self) -> str:
        return f"<mlpbench comparison: {self.candidate} against {self.baseline}: {self.conclusion}>"

    def _repr_markdown_(self) -> str:
        from mlpbench.bench.report.formats import markdown
        from mlpbench.bench.report.sections import compare as section

        return markdown.page("", section.blocks(self))


def decided(
    left: Sequence[Side], right: Sequence[Side], threshold: str | None, *, anyway: bool, by: str | None = None
) -> Comparison:
    """Return the comparison of two sides. Raises UserError and NothingComparable."""
    return Comparison(**vars(analysis.decide(left, right, share_of(threshold), anyway=anyway, by=by)))


def of_files(baseline: str, candidate: str, threshold: str | None, *, anyway: bool) -> Comparison | None:
    """Return the comparison of two sides of pytest-benchmark files; None where they are none."""
    found = analysis.of_files(baseline, candidate, share_of(threshold), anyway=anyway)
    return Comparison(**vars(found)) if found else None


def share_of(threshold: str | None) -> float | None:
    """Return a threshold such as "5%" as a share."""
    return None if threshold is None else values.parse_threshold(threshold)
