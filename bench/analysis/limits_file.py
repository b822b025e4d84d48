"""``<run>.limits.json``: what `bench.analysis.limits` found in a run, kept without it. A run with many peers has many megabytes.

It lies beside the run's folder, since everything in the folder is a record of the run or its plan.
`{"mlpbench": {...}}` with `schema` (1, a number of its own), `kind` ("limits"), `command`, and what the JSON report has
under `limits`. The file is derived: it can be made again from the run, and from nothing else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlpbench.bench.analysis.limits import Limits, Place, Row, Setting, Share
from mlpbench.bench.analysis.limits_targets import Target
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.schema import RETURNS
from mlpbench.bench.record.untrusted import Block, load
from mlpbench.bench.stats.estimates import Ratio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


SUFFIX = ".limits.json"
SCHEMA = 1


def content(found: Sequence[Limits], command: Sequence[str]) -> dict[str, Any]:
    """Return what the file holds."""
    limits = [one.as_dict() for one in found]
    return {"mlpbench": {"schema": SCHEMA, "kind": "limits", "command": list(command), "limits": limits}}


def path_of(run: Path) -> Path:
    """Return where the limits of a run, or sweep, lie."""
    return run.with_name(f"{run.name}{SUFFIX}")


def read(path: Path) -> tuple[tuple[Limits, ...], tuple[str, ...]]:
    """Return the limits and the command of a file. Raises UserError, one line with the path, for anything else."""
    block = Block(load(path), str(path)).block("mlpbench")
    if block.data.get("kind") != "limits" or block.integer("schema", 1) > SCHEMA:
        raise UserError(f"{path}: no limits that this version reads")
    return tuple(map(_limits, block.blocks("limits"))), tuple(block.texts("command"))


def _limits(block: Block) -> Limits:
    rows, shares = tuple(map(_row, block.blocks("rows"))), tuple(map(_share, block.blocks("shares")))
    return Limits(_setting(block.block("setting")), rows, shares, tuple(block.texts("missing")))


def _setting(block: Block) -> Setting:
    versions = block.block("versions")
    return Setting(
        run=block.name("run"),
        profile=block.name("profile", None),
        started=block.text("started", None),
        machine=block.text("machine"),
        spec=block.name("spec"),
        dtype=block.name("dtype"),
        data=block.name("data"),
        threads=block.integer("threads", 1),
        repeats=block.integer("repeats", 1),
        versions={name: versions.text(name) for name in versions.data},
    )


def _row(block: Block) -> Row:
    returns = block.name("returns")
    if returns not in RETURNS:
        block.refuse("returns", returns, f"one of {', '.join(RETURNS)}")
    places = tuple(map(_place, block.blocks("places")))
    return Row(block.name("kernel"), returns, block.integer("threads", 1, None), places)


def _place(block: Block) -> Place:
    return Place(
        batch_size=block.integer("batch_size", 1),
        sample_s=block.seconds("sample_s"),
        peer=block.name("peer"),
        peer_s=block.seconds("peer_s"),
        ratio=_ratio(block.block("ratio")),
        target=_target(block),
    )


def _share(block: Block) -> Share:
    return Share(
        kernel=block.name("kernel"),
        threads=block.integer("threads", 1),
        what=block.name("what"),
        batch_size=block.integer("batch_size", 1),
        ratio=_ratio(block.block("ratio")),
        target=_target(block),
        memory=block.name("memory", None),
        once=block.flag("once", True),
    )


def _ratio(block: Block) -> Ratio:
    low, high = (block.number(end, math.nan) for end in ("low", "high"))
    reason = block.text("reason", None)
    return Ratio(block.number("value"), low, high, block.integer("n", 1), block.flag("paired"), reason)


def _target(block: Block) -> Target | None:
    if "target" not in block:
        return None
    target = block.block("target")
    return Target(target.number("value"), target.flag("at_least"))
