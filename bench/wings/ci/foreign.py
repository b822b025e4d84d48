"""Anybody's pytest-benchmark files, judged as our own runs are: each file is one process, and so one repeat."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape, glob
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from msgspec import field

from mlpbench.bench.analysis.compare import Comparison, Pair, Unmatched, of_cases
from mlpbench.bench.analysis.summary import USUAL_WANDER
from mlpbench.bench.analysis.times import CaseTimes
from mlpbench.bench.cases import ITERATION
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import Block, Duration, Text
from mlpbench.kernels.registry import nearest

ADVICE = "run pytest three times or more: for i in 1 2 3; do pytest --benchmark-json=after$i.json; done"


class Statistics(Block, frozen=True, kw_only=True):
    """Of the rounds of one benchmark in one process, the fastest: what disturbs a round makes it slower."""

    min: Duration


class ForeignBenchmark(Block, frozen=True, kw_only=True):
    """One benchmark. ``fullname`` tells apart what files call by one name."""

    name: Text
    stats: Statistics
    fullname: Text | None = None


class ForeignFile(Block, frozen=True, kw_only=True):
    """A whole file: the benchmarks of one process, and the machine it ran on."""

    benchmarks: tuple[ForeignBenchmark, ...]
    machine_info: dict[Text, Any] = field(default_factory=dict)
    datetime: Text | None = None

    @property
    def machine(self) -> str:
        """The machine in words: its name and its processor."""
        processor = self.machine_info.get("cpu")
        brand = processor.get("brand_raw") if isinstance(processor, dict) else None
        words = [str(word) for word in (self.machine_info.get("node"), brand) if word]
        return untrusted.clean_text(", ".join(words)) or "unknown"


def _is_foreign(path: Path) -> bool:
    """Return whether a file is one of pytest-benchmark, and no record."""
    try:
        content = untrusted.read(path, dict[str, Any], untrusted.PYTESTS)
    except UserError:
        return False
    return "benchmarks" in content and "mlpbench" not in content


def compare(
    baseline: str, candidate: str, threshold: float | None = None, *, anyway: bool = False
) -> Comparison | None:
    """Compare benchmarks of one name, or two of the same files; None where neither side is of pytest-benchmark.

    A side is a file or a pattern such as ``before*.json``, with ``:NAME`` one benchmark of them. Sides that took turns
    are paired. Raises UserError for what cannot be read, and NothingComparable for two machines, unless ``anyway``.
    """
    (left, one), (right, other) = _side(baseline), _side(candidate)
    if not left and not right:
        return None
    if not (left and right):
        stranger = candidate if left else baseline
        raise UserError(f"nothing to compare: {stranger!r} is no file of pytest-benchmark, as the other side is")
    files = {path: untrusted.read(path, ForeignFile, untrusted.PYTESTS) for path in (*left, *right)}
    same = left == right
    if one == other if same else set(left) & set(right):
        raise UserError("nothing to compare: a file is on both sides")
    _check(files, anyway=anyway)
    sides = [sorted((files[path] for path in paths), key=lambda file: file.datetime or "") for paths in (left, right)]
    paired = same or _in_turns(*sides)
    short = all(len({item.name for item in file.benchmarks}) == len(file.benchmarks) for file in files.values())
    old, new = (_cases(side, short=short) for side in sides)
    if one or other:
        names = {_known(one or other or "", old): _known(other or one or "", new)}
    else:
        names = {name: name for name in old | new}
    pairs = [Pair(old[name], new[match]) for name, match in names.items() if name in old and match in new]
    pairs = [pair for pair in pairs if all(pair.sides(paired))]
    if not pairs:
        raise NothingComparable("nothing to compare: the files have no benchmark in common")
    pairs = [_undisturbed(pair) if paired else pair for pair in pairs]
    found = of_cases((baseline, candidate), pairs, threshold, paired, USUAL_WANDER, ADVICE)
    unmatched = [
        Unmatched(name, None, None, f"not in {baseline if match in new else candidate}")
        for name, match in names.items()
        if name not in old or match not in new
    ]
    return replace(found, unmatched=tuple(unmatched))


def _side(text: str) -> tuple[list[Path], str | None]:
    """Return the files that a side names, none where they are not of pytest-benchmark, and the benchmark."""
    files, colon, name = text.partition(".json:")
    files = f"{files}.json" if colon else files
    paths = [Path(path) for path in sorted(glob(escape(files)) or glob(files))]  # noqa: PTH207 - an absolute pattern too
    return paths if paths and _is_foreign(paths[0]) else [], name or None


def _check(files: Mapping[Path, ForeignFile], *, anyway: bool) -> None:
    known: list[ForeignFile] = []
    for path, file in files.items():
        if not file.benchmarks:
            raise UserError(f"{path}: no benchmark in it")
        if file in known:
            raise UserError(f"{path}: the same process as {list(files)[known.index(file)]}: name each file once")
        known.append(file)
    machines = sorted({file.machine for file in known})
    if len(machines) > 1 and not anyway:
        raise NothingComparable(
            f"not comparable, the machines are {' and '.join(machines)}: measure on one, or compare --anyway"
        )


def _in_turns(old: Sequence[ForeignFile], new: Sequence[ForeignFile]) -> bool:
    """Return whether both sides, each in order, were measured by turns: each pair is over before the next begins."""
    pairs = [sorted(file.datetime or "" for file in pair) for pair in zip(old, new, strict=False)]
    return len(old) == len(new) and all(before[1] < after[0] for before, after in pairwise(pairs))


def _undisturbed(pair: Pair) -> Pair:
    """Return a case without outliers: of a pair three standard deviations away, the slower side is taken as faster.

    What disturbs makes slower. The deviation is 1.4826 times the median absolute one (P. J. Huber, "Robust Statistics",
    1981); of fewer than five pairs nobody knows it.
    """
    old, new = dict(pair.baseline.every), dict(pair.candidate.every)
    logs = {at: math.log(old[at] / new[at]) for at in old.keys() & new.keys()}
    if len(logs) < 5:
        return pair
    middle = median(logs.values())
    most = 3 * 1.4826 * median(abs(log - middle) for log in logs.values())
    for at, log in logs.items():
        old[at] /= math.exp(max(log - middle - most, 0.0))
        new[at] /= math.exp(max(middle - log - most, 0.0))
    return Pair(replace(pair.baseline, every=old), replace(pair.candidate, every=new))


def _cases(files: Sequence[ForeignFile], *, short: bool) -> dict[str, CaseTimes]:
    """Return the benchmarks by name, or by full name where two have one name; seconds of an iteration by file."""
    every: dict[str, dict[int, float]] = {}
    for number, file in enumerate(files):
        for item in file.benchmarks:
            name = item.name if short else item.fullname or item.name
            every.setdefault(name, {})[number] = item.stats.min
    return {name: CaseTimes("", "", name, ITERATION, 1, times, ()) for name, times in every.items()}


def _known(name: str, cases: Mapping[str, CaseTimes]) -> str:
    if name not in cases:
        raise UserError(f"no benchmark {name!r}{nearest(name, list(cases))}; there are {', '.join(cases)}")
    return name
