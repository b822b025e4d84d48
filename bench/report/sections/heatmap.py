"""The heat map of kernels by batch size as a figure, with the same numbers as a table."""

from collections.abc import Sequence
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis import heatmap
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.heatmap import ONE, Cell, HeatMap
from mlpbench.bench.report import parts
from mlpbench.bench.report.document import Block, Figure, Fold, Table, columns, table_of_runs
from mlpbench.bench.report.parts import Findings, Part, interval
from mlpbench.bench.report.sections.times import finding_table

_ON_MACHINES = (
    "A cell is the kernel's time per sample in its best batch, divided by the fastest kernel's on that machine: 1.0x "
    "is the fastest, the darker the slower. A ~ means not told apart from the fastest."
)
_READING = (
    "A cell is the kernel's time per sample divided by the fastest kernel's there: 1.0x is the fastest, the "
    "darker the slower. A ~ means not told apart from the fastest: the interval reaches 1x. Kernels are in the order "
    "of their speed overall."
)


def of_machines(found: HeatMap | None, kernels: Sequence[KernelFinding]) -> tuple[Block, ...]:
    """Return the map of kernels by machine, and what each gains where; nothing without several machines."""
    if found is None:
        return ()
    made = columns(["kernel"], found.labels)
    rows = tuple(
        (words.marked(kernel, kernel in found.unchecked), *(_cell(found, kernel, at) for at in found.columns))
        for kernel in found.kernels
    )
    table = Table("Time per sample in the best batch, and how much slower than the fastest kernel there.", made, rows)
    figure = Figure(
        "heatmap-machines", "Time relative to the fastest kernel of the machine", _ON_MACHINES, table, [found]
    )
    return (figure, Fold("What each kernel gains where", (finding_table(kernels),)))


def _cell(found: HeatMap, kernel: str, at: int) -> str:
    cell = found.cells.get((kernel, at))
    return f"{words.seconds(cell.sample_s)} ({cell_text(cell)})" if cell else "not measured"


def figures(found: Sequence[HeatMap]) -> tuple[Figure, ...]:
    """Return one figure for all runs; none without any."""
    title = "Time relative to the fastest kernel"
    return (Figure("heatmap", title, _READING, _table(found), found),) if found else ()


def cell_text(cell: Cell) -> str:
    """Return the ratio in two digits: ``1.0x``, ``2.3x``, ``14x``, and ``~1.1x`` where the fastest is as fast."""
    value = max(cell.ratio.value, 1.0)  # three kernels may beat each other in turn, and each is at best the fastest
    as_fast = cell.kernel != cell.fastest and cell.ratio.low <= 1
    return f"{'~' if as_fast else ''}{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def column_text(batch_size: int, labels: Sequence[str] = ()) -> str:
    """Return a column's name: of machines, the one of ``labels`` that it is the number of."""
    if labels:
        return labels[batch_size]
    return words.case("per_sample" if batch_size == ONE else "batched", batch_size)


def _table(found: Sequence[HeatMap]) -> Table:
    at = sorted({batch_size for one in found for batch_size in one.columns})
    rows = (
        (
            one.run,
            words.marked(kernel, kernel in one.unchecked),
            *(cell_text(one.cells[kernel, b]) if (kernel, b) in one.cells else "" for b in at),
        )
        for one in found
        for kernel in one.kernels
    )
    caption = "Time per sample / the fastest kernel's at the same batch size, paired by repeat."
    return table_of_runs(caption, columns(["kernel"], map(column_text, at)), rows, several=len(found) > 1)


def _maps(found: Findings) -> tuple[HeatMap, ...]:
    return heatmap.find(found.cases)


def _as_data(found: HeatMap) -> dict[str, Any]:
    names = ("kernel", "batch_size", "fastest", "ratio")
    cells = [
        (cell.kernel, cell.batch_size or None, cell.fastest, interval(cell.ratio)) for cell in found.cells.values()
    ]
    return {
        "run": found.run,
        "kernels": list(found.kernels),
        "cells": [dict(zip(names, cell, strict=True)) for cell in cells],
    }


SECTIONS = (
    Part(
        50,
        "machines",
        "Which machine is good for what",
        lambda found: of_machines(heatmap.of_machines(found.by_run), found.of(parts.heading).kernels),
    ),
    Part(
        60,
        "heatmap",
        "Who is fastest where",
        lambda found: figures(found.of(_maps)),
        data={"relative": lambda found: list(map(_as_data, found.of(_maps)))},
    ),
)
