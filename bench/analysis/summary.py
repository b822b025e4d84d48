"""The frame, one step on: for each case of a run its time and its speedup, with intervals from the repeats."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlpbench.bench.record.book_parts import PARTS, REST
from mlpbench.bench.stats import estimates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from mlpbench.bench.stats.estimates import Estimate, Ratio


@dataclass(frozen=True)
class CaseSummary:
    """One case of one run over its repeats. Times in seconds per sample; ``first_call_s`` of the whole call.

    ``speedup``: the time per sample of the same kernel one at a time / this case's, paired by repeat; None with
    ``no_speedup`` as the reason.
    """

    run: str
    kernel: str
    mode: str
    batch_size: int
    sample: Estimate
    speedup: Ratio | None
    no_speedup: str | None
    first_call_s: float
    rounds: int
    repeats: int
    accuracy: float | None
    repeated_rows: bool
    includes_loading: bool
    data: str
    by_repeat: dict[int, float]
    #: How many of all repeats were disturbed. They count only where too few others are left (`statistics.counted`).
    disturbed: int = 0
    #: As ``by_repeat``, of every repeat, those that do not count too.
    every: dict[int, float] = field(default_factory=dict, repr=False)
    #: Of the book's cell, by part (and the rest) and repeat: seconds per sample. Empty where they were not recorded.
    parts: dict[str, dict[int, float]] = field(default_factory=dict)
    #: What the book's cell loads, in words.
    reads: str | None = None

    @property
    def throughput(self) -> float:
        """Samples per second."""
        return 1 / self.sample.value

    @property
    def is_baseline(self) -> bool:
        """Whether this case is what the speedups of its kernel are measured against."""
        return self.mode == "per_sample" or (self.mode == "book" and self.batch_size == 1)


def summarize(frame: pd.DataFrame) -> list[CaseSummary]:
    """Return every case of the frame, by run, kernel, mode and batch size, in the frame's order of runs and kernels."""
    summaries: list[CaseSummary] = []
    machines = frame.groupby("run")["machine"].nunique()
    for (run, machine, _), rows in frame.groupby(["run", "machine", "kernel"], sort=False):
        # Two machines that started in the same second have runs of the same name.
        name = str(run) if machines[str(run)] == 1 else f"{machine}/{run}"
        cases = [_case(case, name) for _, case in rows.groupby(["mode", "batch_size"], sort=False)]
        cases.sort(key=lambda c: (("per_sample", "batched", "book").index(c.mode), c.batch_size))
        summaries += [_with_speedup(case, cases) for case in cases]
    return summaries


def one_at_a_time(cases: Sequence[CaseSummary], mode: str = "per_sample") -> CaseSummary | None:
    """Return the baseline among the cases of one kernel and run: the longest block of single calls, if there is one."""
    singles = [case for case in cases if case.mode == mode and case.is_baseline]
    return max(singles, key=lambda case: case.batch_size, default=None)


def batched(cases: Sequence[CaseSummary]) -> list[CaseSummary]:
    """Return the cases that are one call for a batch, inference alone, by batch size."""
    return sorted((case for case in cases if case.mode == "batched"), key=lambda case: case.batch_size)


def speedup(baseline: CaseSummary, candidate: CaseSummary) -> Ratio | None:
    """Return baseline time / candidate time per sample, paired by repeat; None if no repeat has both.

    Each side may have three undisturbed repeats and the two not one in common: where fewer than three pairs are left,
    disturbed ones count in a ratio as they do in a time.
    """
    pairs = baseline.by_repeat.keys() & candidate.by_repeat.keys()
    both = baseline.every.keys() & candidate.every.keys()
    if len(pairs) < min(estimates.LEAST_REPEATS, len(both)):
        a, b = ({repeat: side.every[repeat] for repeat in both} for side in (baseline, candidate))
        return estimates.ratio(a, b)
    return estimates.ratio(baseline.by_repeat, candidate.by_repeat) if pairs else None


def _case(rows: pd.DataFrame, run: str) -> CaseSummary:
    first = rows.iloc[0]
    every = {int(repeat): float(s) for repeat, s in zip(rows["repeat"], rows["sample_s"], strict=True)}
    disturbed = set(rows.loc[rows["disturbed"].fillna(False).astype(bool), "repeat"])
    by_repeat = estimates.counted(every, disturbed)
    accuracy = rows["accuracy"].dropna()
    return CaseSummary(
        run=run,
        kernel=str(first["kernel"]),
        mode=str(first["mode"]),
        batch_size=int(first["batch_size"]),
        sample=estimates.estimate(by_repeat),
        speedup=None,
        no_speedup=None,
        first_call_s=float(rows["first_call_s"].median()),
        rounds=int(rows["rounds"].min()),
        repeats=len(by_repeat),
        accuracy=None if accuracy.empty else float(accuracy.iloc[0]),
        repeated_rows=bool(rows["repeated_rows"].any()),
        includes_loading=bool(rows["includes_loading"].any()),
        data=str(first["data"]),
        by_repeat=by_repeat,
        disturbed=len(disturbed),
        every=every,
        parts=_parts(rows, by_repeat),
        reads=next(iter(rows["reads"].dropna().astype(str)), None),
    )


def _parts(rows: pd.DataFrame, by_repeat: dict[int, float]) -> dict[str, dict[int, float]]:
    """Return the parts of the book's cell in the repeats that count; nothing unless all are known in each of them."""
    counting = rows[rows["repeat"].isin(by_repeat)]
    names = (*PARTS, REST)
    if counting[[f"{name}_s" for name in names]].isna().any(axis=None):
        return {}
    scale = counting["sample_s"] / counting["call_s"]
    return {
        name: dict(zip(counting["repeat"].astype(int), (counting[f"{name}_s"] * scale).astype(float), strict=True))
        for name in names
    }


def _with_speedup(case: CaseSummary, siblings: list[CaseSummary]) -> CaseSummary:
    mode = "book" if case.mode == "book" else "per_sample"
    baseline = one_at_a_time(siblings, mode)
    if baseline is None:
        return replace(case, no_speedup="no case one at a time to compare with")
    if case.is_baseline:
        return replace(case, no_speedup="the baseline")
    found = speedup(baseline, case)
    return replace(case, speedup=found, no_speedup="no repeat has both sides" if found is None else None)
