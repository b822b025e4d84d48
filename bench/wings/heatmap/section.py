"""The heat map of kernels by batch size as a figure, with the same numbers as a table."""

from collections.abc import Sequence
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.report.document import Block, Figure, Findings, table
from mlpbench.bench.report.parts import Part, interval
from mlpbench.bench.wings.heatmap import finding as heatmap
from mlpbench.bench.wings.heatmap.finding import ONE, Cell, HeatMap

_TIES = (
    "1.0x is the fastest, the darker the slower. A ~ means not told apart from the fastest: the interval reaches 1x."
)
_ON_MACHINES = f"A cell is the kernel's time per sample in its best batch / the fastest kernel's there: {_TIES}"
_READING = f"A cell is the kernel's time per sample / the fastest kernel's there: {_TIES} The fastest comes first."


def _machines(findings: Findings) -> tuple[Block, ...]:
    """Return the map of kernels by machine; nothing without several machines."""
    machines = heatmap.of_machines(findings.by_run)
    if machines is None:
        return ()
    rows = [
        (_name(machines, kernel), *(_time(machines.cells.get((kernel, at))) for at in machines.columns))
        for kernel in machines.kernels
    ]
    caption = "Time per sample in the best batch, and how much slower than the fastest kernel there."
    numbers = table(caption, ("kernel",), machines.labels, rows=rows)
    title = "Time relative to the fastest kernel of the machine"
    return (Figure("heatmap-machines", title, _ON_MACHINES, numbers, [machines]),)


def _name(one: HeatMap, kernel: str) -> str:
    return words.marked(kernel, kernel in one.unchecked)


def _time(cell: Cell | None) -> str:
    return f"{words.seconds(cell.sample_s)} ({cell_text(cell)})" if cell else "not measured"


def _batches(findings: Findings) -> tuple[Block, ...]:
    """Return one figure for all runs; none without any."""
    maps = findings.of(_maps)
    if not maps:
        return ()
    columns = sorted({at for one in maps for at in one.columns})
    rows = [
        (one.run, _name(one, kernel), *(cell_text(one.cells.get((kernel, at))) for at in columns))
        for one in maps
        for kernel in one.kernels
    ]
    caption = "Time per sample / the fastest kernel's at the same batch size, paired by repeat."
    numbers = table(caption, ("kernel",), map(column_text, columns), rows=rows, several=len(maps) > 1)
    return (Figure("heatmap", "Time relative to the fastest kernel", _READING, numbers, maps),)


def cell_text(cell: Cell | None) -> str:
    """Return the ratio in two digits: ``1.0x``, ``2.3x``, ``14x``, and ``~1.1x`` where the fastest is as fast."""
    if cell is None:
        return ""
    value = max(cell.ratio.value, 1.0)  # three kernels may beat each other in turn, and each is at best the fastest
    as_fast = cell.kernel != cell.fastest and cell.ratio.low <= 1
    return f"{'~' if as_fast else ''}{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def column_text(batch_size: int, labels: Sequence[str] = ()) -> str:
    """Return a column's name: of machines, the one of ``labels`` that it is the number of."""
    if labels:
        return labels[batch_size]
    return words.case("per_sample" if batch_size == ONE else "batched", batch_size)


def _maps(findings: Findings) -> tuple[HeatMap, ...]:
    return heatmap.find(findings.cases)


def _as_data(one: HeatMap) -> dict[str, Any]:
    names = ("kernel", "batch_size", "fastest", "ratio")
    cells = [(cell.kernel, cell.batch_size or None, cell.fastest, interval(cell.ratio)) for cell in one.cells.values()]
    return {
        "run": one.run,
        "kernels": list(one.kernels),
        "cells": [dict(zip(names, cell, strict=True)) for cell in cells],
    }


SECTIONS = (
    Part(50, "machines", "Which machine is good for what", _machines),
    Part(
        60,
        "heatmap",
        "Who is fastest where",
        _batches,
        data={"relative": lambda findings: list(map(_as_data, findings.of(_maps)))},
    ),
)
