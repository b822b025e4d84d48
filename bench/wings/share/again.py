"""What a shared file says, once more: which versions that takes, and whether the times came out again."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.machine.environment import LIBRARIES, collect
from mlpbench.bench.registered import modules
from mlpbench.bench.stats.estimates import Ratio
from mlpbench.bench.stats.verdicts import THRESHOLD
from mlpbench.bench.wings.share.shared import SharedHead, facts
from mlpbench.kernels import registry


@dataclass(frozen=True)
class Again:
    """A case: the time in the file / the time here, above 1 where it is faster here."""

    kernel: str
    mode: str
    batch_size: int
    ratio: Ratio

    def __str__(self) -> str:
        return f"{self.kernel} {self.mode} {self.batch_size}: {words.ratio(self.ratio)}"


@dataclass(frozen=True)
class Verdict:
    """All cases, and what else differs between there and here."""

    cases: tuple[Again, ...]
    differences: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status, as `mlpbench compare` has them: 1 slower, 4 undecided, else 0."""
        if any(case.ratio.high < 1 / (1 + THRESHOLD) for case in self.cases):
            return 1
        return 0 if self.known else 4

    @property
    def known(self) -> list[Ratio]:
        """The ratios that say something: their interval is there, and not wider than a factor of 3."""
        return [
            one.ratio for one in self.cases if one.ratio.claims and not words.is_wide(one.ratio.low, one.ratio.high)
        ]

    @property
    def sentence(self) -> str:
        """What it comes to."""
        if not (known := self.known):
            return "Undecided: no case has an interval that says something; run more repeats."
        if all(one.low <= 1 + THRESHOLD and one.high >= 1 / (1 + THRESHOLD) for one in known):
            wide = words.percent(math.sqrt(max(one.high / one.low for one in known)) - 1)
            shown = f"{len(known)} of {words.things(len(self.cases), 'case')}"
            return f"Reproduced, in {shown}; the widest interval is ±{wide}."
        what = "; ".join(self.differences) or "nothing that is known"
        return f"{median(one.value for one in known):.2g}x, the median case; what differs: {what}."


def choose(head: SharedHead, named: Sequence[str]) -> list[str]:
    """Return the kernels to time. A file names none that is a file. Raises UserError, and NothingComparable."""
    for name in named:
        registry.one_of("kernel of this file", name, head.kernels)
    kernels = list(named or head.kernels)
    if unknown := [name for name in kernels if name not in registry.names()]:
        raise NothingComparable(f"cannot reproduce: this mlpbench has no kernel {unknown[0]}")
    return kernels


def requirements(head: SharedHead, kernels: Collection[str]) -> list[Requirement]:
    """Return the packages of kernels in the versions of the file; none where they are the ones here.

    A file cannot name other packages, nor an address. Raises UserError.
    """
    packages = dict.fromkeys(["numpy", *(name for kernel in kernels for name in registry.load(kernel).distributions)])
    wanted = {name: head.versions[name] for name in packages if name in LIBRARIES and name in head.versions}
    try:
        wanted = {name: str(Version(version)) for name, version in wanted.items()}
    except InvalidVersion as error:
        raise UserError(f"versions: {error}") from None
    if wanted.items() <= collect().libraries.items():
        return []
    return [Requirement(f"{name}=={version}") for name, version in wanted.items()]


def environment(folder: Path, wanted: Sequence[Requirement]) -> Any:
    """Make an environment with these packages, which lasts as a block does. Raises UserError where that fails."""
    if not (found := modules("environments")):
        raise UserError("other versions need mlpbench's folder bench/wings/versions, and it is not there")
    first, *more = wanted
    return found[0].made(folder, found[0].Version(str(first), first), [str(one) for one in more])


def options(head: SharedHead, kernels: Sequence[str], repeats: int | None) -> dict[str, Any]:
    """Return the options of `mlpbench run` that make the run of a file again."""
    return {
        "kernels": list(kernels),
        "spec": [head.spec],
        "dtype": [head.dtype],
        "threads": [head.threads],
        "profile": head.profile,
        "batch_size": [str(size) for size in head.batch_sizes] or None,
        "repeats": repeats or max(case.repeats for case in head.cases),
    }


def judge(head: SharedHead, run: Judged) -> Verdict:
    """Compare a run with a file, case by case. Raises NothingComparable where they have none in common."""
    here = {(case.kernel, case.mode, case.batch_size): case.sample for case in summarize([run])}
    cases = []
    for there in head.cases:
        if (found := here.get((there.kernel, there.mode, there.batch_size))) is None:
            continue
        value, half = there.sample_s / found.value, math.nan
        if there.interval_s and found.claims:
            half = math.hypot(*(math.log(high / low) / 2 for low, high in (there.interval_s, (found.low, found.high))))
        ratio = Ratio(value, value * math.exp(-half), value * math.exp(half), min(there.repeats, found.n))
        cases.append(Again(there.kernel, there.mode, there.batch_size, ratio))
    if not cases:
        why = next((f": {one.kernel}: {one.why}" for one in run.failures), "")
        raise NothingComparable(f"cannot reproduce: no case of the file has a time here{why}")
    machine, versions = facts(run.measured_in)
    before, after = {**head.machine, **head.versions}, {**machine, **versions}
    different = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return Verdict(
        tuple(cases), tuple(f"{name} {before.get(name)} there, {after.get(name)} here" for name in different)
    )
