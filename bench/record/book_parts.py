"""The parts of the book's cell as result files hold them: loading, initialising, inferring, counting.

Each part is a list with one number for each round, in the order of the rounds: seconds for one call of the cell. What
they leave of a round, the rest, is freeing what was read, and the looks at the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.record.untrusted import Block


#: In the order of the cell: the data's files are read, the weights are read and the network made, every image is
#: inferred and its class picked, the hits are counted.
PARTS = ("load", "initialise", "infer", "count")
#: What they leave of a round.
REST = "rest"
#: What they add to `bench.analysis.frame`.
COLUMNS = {**{f"{name}_s": "float64" for name in (*PARTS, REST)}, "reads": "str"}


@dataclass(frozen=True)
class Parts:
    """The parts of one case in one process, by name: seconds for a call, one number for each round.

    ``reads``: what was loaded, in words; None where the file does not say.
    """

    seconds: dict[str, tuple[float, ...]]
    reads: str | None


def by_round(calls: Sequence[tuple[int, Sequence[float]]], rounds: int, iterations: int) -> dict[str, list[float]]:
    """Return the parts of the timed rounds from those of every call: the mean over the calls of each round.

    ``calls`` holds, for each call in the order of calling, how many rounds had ended when it began, and the seconds of
    `PARTS`. Before the first round has ended, the last calls are that round's: those before are the first call,
    pytest-benchmark's calibration and its warming. Calls that begin when all rounds have ended are of none.
    Raises ValueError where a round has fewer calls than ``iterations``.
    """
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for number in range(rounds):
        timed = [parts for ended, parts in calls if ended == number][-iterations:]
        if len(timed) < iterations:
            raise ValueError(f"round {number} has {len(timed)} calls, not {iterations}")
        for i, name in enumerate(PARTS):
            found[name].append(fmean(parts[i] for parts in timed))
    return found


def read_parts(info: Block, rounds: int) -> Parts | None:
    """Return the parts in the ``extra_info`` of a case with so many rounds; None where there are none.

    Raises UserError where a part is missing, or does not have one time for each round.
    """
    if "parts_s" not in info:
        return None
    block = info.block("parts_s")
    found = {name: block.durations(name) for name in PARTS}
    for name, values in found.items():
        if len(values) != rounds:
            block.refuse(name, len(values), f"one time for each of the {rounds} rounds")
    return Parts(found, info.text("reads", None))


def columns(parts: Parts | None, rounds_s: Sequence[float]) -> dict[str, float | str | None]:
    """Return the columns of one case of one process: what was read, and the median over rounds of each part.

    The rest is taken round by round: the medians of the parts do not add up to that of the rounds.
    """
    if parts is None:
        return {}
    rest = [whole - sum(found) for whole, *found in zip(rounds_s, *parts.seconds.values(), strict=True)]
    return {
        **{f"{name}_s": median(values) for name, values in parts.seconds.items()},
        f"{REST}_s": median(rest),
        "reads": parts.reads,
    }
