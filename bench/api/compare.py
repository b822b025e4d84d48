"""Comparisons in Python: what `mlpbench compare` says, as an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlpbench.bench import values
from mlpbench.bench.analysis import compare as analysis
from mlpbench.bench.analysis.sides import Side
from mlpbench.bench.wings.ci.exports import invocation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two sides, case by case. ``found`` is the comparison itself."""

    found: analysis.Comparison

    @property
    def smallest_slowdown(self) -> str | None:
        """What is found on this machine, in one sentence; None where it was not calibrated."""
        return self.found.smallest_slowdown

    @property
    def conclusion(self) -> str:
        """What all of it comes to, in one sentence, and where it is open what would decide it."""
        return self.found.conclusion()

    @property
    def slower(self) -> bool:
        """Whether the candidate is slower in any case: where `mlpbench compare` ends with exit status 1."""
        return bool(self.found.slower)

    def cases(self) -> pd.DataFrame:
        """Return a row for each case: both times, the speedup with its interval, and the verdict."""
        from mlpbench.bench.analysis import frame

        return frame.compared(self.found)

    def as_dict(self) -> dict[str, Any]:
        """Return what `mlpbench compare --json` prints."""
        return self.found.as_dict()

    def __repr__(self) -> str:
        return f"<mlpbench comparison: {self.found.candidate} against {self.found.baseline}: {self.conclusion}>"

    def _repr_html_(self) -> str:
        from mlpbench.bench.report.formats import notebook
        from mlpbench.bench.report.sections import compare as section

        return notebook.render(section.blocks(self.found))


def decided(
    left: Sequence[Side], right: Sequence[Side], threshold: str | None, *, anyway: bool, by: str | None = None
) -> Comparison:
    """Return the comparison of two sides; a calibration counts that lies beside the candidate's runs."""
    share = None if threshold is None else values.parse_threshold(threshold)
    results = invocation(right[0].run).parent.parent
    return Comparison(analysis.decide(left, right, share, results, anyway=anyway, by=by))
