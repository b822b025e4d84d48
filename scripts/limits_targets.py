"""Hold a run of the profile `limits` to this project's own targets (docs/limits.md), and keep what it found.

    python scripts/limits_targets.py FOUND           say which targets are met, setting by setting
    python scripts/limits_targets.py --write RUN     write RUN.limits.json, the part of a run that is committed

FOUND is a run's folder, or a ``.limits.json``: ``{"mlpbench": {...}}`` with `schema` (1, a number of its own), `kind`
("limits"), `command`, and what the JSON report has under `limits`. It lies beside the run's folder and is derived: a
run with many peers has many megabytes. The targets that older files hold are not read.

Targets are for processors with AVX-512, for float32, and for the network of the book or a wide one; `numba-simd-sparse`
is held to its own on MNIST alone, since how much work it skips depends on the data.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench import words
from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.limits import BesidePeers, Conditions, Limits, LimitShare, PeerRatio
from mlpbench.bench.analysis.refused import settled
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.profiles import BOOK, WIDE, profile
from mlpbench.bench.record import runs as record
from mlpbench.bench.stats.estimates import Ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROFILE = "limits"
SUFFIX = ".limits.json"
SCHEMA = 1
BATCH_SIZES = profile(PROFILE).batch_sizes

_ONE_THREAD = (3.5, 3.4, 2.0, 1.6, 1.4, 1.4, 1.5)
#: Best peer's time / ours, at least, in the order of `BATCH_SIZES`; by kernel and threads given, on `BOOK`.
PEERS = {
    ("numba-simd", 1): _ONE_THREAD,
    ("numba-simd-new", 1): _ONE_THREAD,
    ("numba-simd-parallel", 2): (3.5, 3.4, 1.7, 1.6, 1.4, 1.5, 1.5),
    ("numba-simd-sparse", 1): (7.0, 6.0, 3.5, 2.8, 2.4, 2.3, 2.8),
}
#: Kernels whose results depend on how many inputs are zero, and the data that their targets are for.
_DATA = {"numba-simd-sparse": "mnist"}
#: On `WIDE`, at every batch size.
_ON_WIDE = {("numba-simd", 1), ("numba-simd-new", 1), ("numba-simd-parallel", 2)}
_NOT_SLOWER = 1.0
#: Share of the multiply-add peak, at least, in the largest batch on `BOOK`; these kernels are held to a product too.
_PEAK = {("numba-simd", 1): 0.93, ("numba-simd-parallel", 2): 0.92}
#: Time of one row, at most, as a multiple of its weights read from this cache and the cost of a call.
_FLOOR, _FLOOR_FROM = 1.15, "L2"


@dataclass(frozen=True)
class Goal:
    """A target, and the ratio that is held to it; ``name`` says what it is."""

    name: str
    ratio: Ratio
    target: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether the ratio's value is on the right side of the target, or on it."""
        return self.ratio.value >= self.target if self.at_least else self.ratio.value <= self.target

    @property
    def within_noise(self) -> bool:
        """Whether another run might well say the opposite: the interval holds the target. False without interval."""
        return self.ratio.low <= self.target <= self.ratio.high

    def sentence(self) -> str:
        """Return the goal as one line."""
        aim = f"at {'least' if self.at_least else 'most'} {self.target:g}"
        noise = ", within noise" if self.within_noise else ""
        return f"{self.name}: {words.ratio(self.ratio)}, {aim}: {'met' if self.met else 'missed'}{noise}"


def of_peers(where: Conditions, kernel: str, batch_size: int) -> float | None:
    """Return what best peer / kernel is to be at a batch size, at least; None where there is no target."""
    key = (kernel, where.threads)
    if not _holds(where) or where.data != _DATA.get(kernel, where.data):
        return None
    if where.spec == WIDE:
        return _NOT_SLOWER if key in _ON_WIDE else None
    if where.spec != BOOK or key not in PEERS or batch_size not in BATCH_SIZES:
        return None
    return PEERS[key][BATCH_SIZES.index(batch_size)]


def of_limit(where: Conditions, share: LimitShare) -> float | None:
    """Return what a share of a limit is to be: at most for "floor", at least for all others; None without a target."""
    key = (share.kernel, where.threads)
    if not _holds(where) or where.spec != BOOK or key not in _PEAK:
        return None
    if share.what == "floor":
        return _FLOOR if share.memory == _FLOOR_FROM else None
    if share.batch_size != BATCH_SIZES[-1]:
        return None
    return _PEAK[key] if share.what == "peak" else _NOT_SLOWER


def _holds(where: Conditions) -> bool:
    return where.profile == PROFILE and where.dtype == "float32"


def held(found: Limits) -> Limits:
    """Return the same without the kernels that have no target."""
    rows = (row for row in found.rows if any(of_peers(found.setting, row.kernel, p.batch_size) for p in row.places))
    shares = (share for share in found.shares if of_limit(found.setting, share))
    return replace(found, rows=tuple(rows), shares=tuple(shares))


def goals(found: Limits) -> Iterator[Goal]:
    """Yield every target with the value that is held to it. A peak that was measured too low is none to be held to."""
    for row in found.rows:
        for place in row.places:
            target = of_peers(found.setting, row.kernel, place.batch_size)
            if target is not None:
                yield Goal(f"{row.kernel}, batch {place.batch_size:,}, beside {place.peer}", place.ratio, target)
    for share in found.shares:
        target = of_limit(found.setting, share)
        if target is not None and share.believed:
            yield Goal(f"{share.kernel}, {share.what}", share.ratio, target, at_least=share.what != "floor")


def sentences(found: Sequence[Limits]) -> list[str]:
    """Return how many targets are met, in all and in each setting, with every goal."""
    by_setting = [(one.setting, list(goals(one))) for one in found]
    every = [goal for _, own in by_setting for goal in own]
    if not every:
        return [f"No targets: they are for the profile {PROFILE} in float32."]
    near = sum(goal.within_noise for goal in every)
    said = [f"{sum(goal.met for goal in every)} of {len(every)} targets are met; {near} of all are within noise."]
    for where, own in by_setting:
        setting = f"{where.spec}, {words.things(where.threads, 'thread')}, {where.dtype}, {where.data}"
        said += [f"{setting}: {sum(goal.met for goal in own)} of {len(own)}"] if own else []
        said += [f"  {goal.sentence()}" for goal in own]
    return said


def find(folder: Path) -> tuple[list[Limits], tuple[str, ...]]:
    """Return the limits of a run or sweep, and the command that made it."""
    runs = list(map(settled, record.read_runs(folder)))
    found = [one for run in runs if (one := limits.find(run, summarize([run]))) is not None]
    return found, tuple(runs[0].plan.command) if runs[0].plan else ()


def uses_avx512(folder: Path) -> bool:
    """Return whether a kernel of ours says that it used AVX-512, which the targets are for."""
    records = (one for run in record.read_runs(folder) for one in run.records if one.peer is False)
    return any(one.describe.get("isa") == "avx512" for one in records)


def write(folder: Path) -> Path:
    """Write what the limits of a run are beside its folder; return the path."""
    found, command = find(folder)
    block = {
        "schema": SCHEMA,
        "kind": "limits",
        "command": list(command),
        "limits": [words.plain(asdict(one)) for one in found],
    }
    path = folder.with_name(f"{folder.name}{SUFFIX}")
    path.write_text(json.dumps({"mlpbench": block}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> tuple[list[Limits], tuple[str, ...]]:
    """Return the limits and the command of a file that `write` has written. Raises UserError for anything else."""
    try:
        block = json.loads(path.read_text(encoding="utf-8"))["mlpbench"]
        if (block["kind"], block["schema"]) != ("limits", SCHEMA):
            raise UserError(f"{path}: no limits that this version reads")
        return [_limits(one) for one in block["limits"]], tuple(block["command"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no limits, or damaged ones: {error!r}") from None


def _limits(data: dict[str, Any]) -> Limits:
    rows = (
        BesidePeers(**{**row, "places": tuple(PeerRatio(**_untargeted(place)) for place in row["places"])})
        for row in data["rows"]
    )
    shares = (LimitShare(**_untargeted(share)) for share in data["shares"])
    return Limits(Conditions(**data["setting"]), tuple(rows), tuple(shares), tuple(data["missing"]))


def _untargeted(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a ratio without its target; what has no value in the file has none, and is NaN."""
    ratio = {key: math.nan if value is None and key != "reason" else value for key, value in data["ratio"].items()}
    return {**{key: value for key, value in data.items() if key != "target"}, "ratio": Ratio(**ratio)}


def main() -> int:
    """Say what is met, or write; return the exit status: 1 where a target is missed."""
    path = Path(sys.argv[-1]).resolve()
    if "--write" in sys.argv[1:]:
        print(f"wrote {write(path)}; name it in results/reference.txt")
        return 0
    if path.is_dir() and not uses_avx512(path):
        print("No targets: they are for processors with AVX-512, which the kernels did not use.")
        return 0
    found, _ = find(path) if path.is_dir() else read(path)
    print("\n".join(sentences(found)))
    return 0 if all(goal.met for one in found for goal in goals(one)) else 1


if __name__ == "__main__":
    sys.exit(main())
