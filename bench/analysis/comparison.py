"""What came out of a comparison, case by case: rows with their verdicts, what could not be compared, what differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlpbench.bench.stats.estimates import NO_DRIFT, Drift
from mlpbench.bench.words import plain

if TYPE_CHECKING:
    import pandas as pd

    from mlpbench.bench.cases import Setting
    from mlpbench.bench.stats.estimates import Estimate, Ratio, Verdict


def shared_setting(one: Setting | None, other: Setting | None) -> str | None:
    """Return which setting of a sweep both are, in words; None where there was no choice, or they are different."""
    if one is None or other is None or one.point != other.point:
        return None
    swept = max(one, other, key=lambda setting: len(setting.varies))
    return swept.words if swept.varies else None


@dataclass(frozen=True)
class Row:
    """One case on both sides, in seconds per sample; ``speedup`` is baseline / candidate: above 1 is faster.

    ``p_adjusted`` is corrected for the number of cases; ``repeats_needed``, of an unclear case, is how many would tell.
    """

    baseline_kernel: str
    candidate_kernel: str
    mode: str
    batch_size: int
    baseline: Estimate
    candidate: Estimate
    speedup: Ratio
    p: float
    p_adjusted: float
    verdict: Verdict
    repeats_needed: int | None
    #: What repeats do not tell; none of sides that ran together.
    drift: Drift = NO_DRIFT
    #: Network, threads and dtype of each side, where the files say them.
    baseline_setting: Setting | None = None
    candidate_setting: Setting | None = None

    @property
    def kernels(self) -> str:
        """The kernel, or both."""
        if self.baseline_kernel == self.candidate_kernel:
            return self.baseline_kernel
        return f"{self.candidate_kernel} against {self.baseline_kernel}"

    @property
    def setting(self) -> str | None:
        """Which setting of a sweep both sides are, in words; None where there was no choice, or they are different."""
        return shared_setting(self.baseline_setting, self.candidate_setting)

    @property
    def label(self) -> str:
        """What the row is about: kernels, and the setting if there is a choice."""
        return f"{self.kernels}, {self.setting}" if self.setting else self.kernels


@dataclass(frozen=True)
class Unmatched:
    """A case that could not be compared, and why; ``mode`` and ``batch_size`` are None for a whole kernel.

    ``setting``: of a sweep, in words; ``kernel`` is None for a whole setting.
    """

    kernel: str | None
    mode: str | None
    batch_size: int | None
    reason: str
    setting: str | None = None

    def __str__(self) -> str:
        case = None if self.mode is None else f"{self.mode} {self.batch_size}"
        what = " ".join(word for word in (self.kernel, case) if word)
        return f"{', '.join(word for word in (what, self.setting) if word)}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What came out. ``differences`` says what else differs between the sides, ``notes`` what weakens the result.

    ``pace_s``: seconds for a calibration spin at the pace of all times; None where they are as measured.
    """

    baseline: str
    candidate: str
    threshold: float
    false_discovery_rate: float
    paired: bool
    pace_s: float | None
    rows: tuple[Row, ...]
    unmatched: tuple[Unmatched, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def slower(self) -> tuple[Row, ...]:
        """The cases in which the candidate is slower, worst first."""
        return tuple(sorted((row for row in self.rows if row.verdict == "slower"), key=lambda r: r.speedup.value))

    @property
    def unclear(self) -> tuple[Row, ...]:
        """The cases in which the data cannot tell."""
        return tuple(row for row in self.rows if row.verdict == "unclear")

    @property
    def worst(self) -> Row | None:
        """The case in which the candidate is slowest against the baseline, if it is slower in any."""
        return next(iter(self.slower), None)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each case: times in seconds per sample, speedup, its interval, n, p, verdict."""
        import pandas as pd

        columns = ["baseline_kernel", "candidate_kernel", "mode", "batch_size", "baseline_s", "candidate_s"]
        columns += ["speedup", "speedup_low", "speedup_high", "n", "p", "p_adjusted", "verdict", "repeats_needed"]
        columns += ["setting"]
        values = []
        for row in self.rows:
            case = (row.baseline_kernel, row.candidate_kernel, row.mode, row.batch_size)
            ratio = (row.speedup.value, row.speedup.low, row.speedup.high, row.speedup.n)
            judged = (row.p, row.p_adjusted, row.verdict, row.repeats_needed)
            values.append((*case, row.baseline.value, row.candidate.value, *ratio, *judged, row.setting))
        return pd.DataFrame(values, columns=columns)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it.

        ``cases`` hold ``baseline_s`` and ``candidate_s`` (seconds per sample) and ``speedup``, each with ``value``,
        ``low``, ``high``, ``n``; an interval that does not exist is null, with its ``reason``.
        """
        whole = asdict(self)
        cases = [
            {{"baseline": "baseline_s", "candidate": "candidate_s"}.get(key, key): value for key, value in row.items()}
            for row in whole.pop("rows")
        ]
        for case, row in zip(cases, self.rows, strict=True):
            settings = {"baseline_setting": row.baseline_setting, "candidate_setting": row.candidate_setting}
            case |= {side: setting and setting.as_dict() for side, setting in settings.items()}
        result: dict[str, Any] = plain({**whole, "cases": cases})
        return result
