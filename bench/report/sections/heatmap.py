"""The heat map of kernels by batch size as a figure, with the same numbers as a table."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.heatmap import ONE, Cell, HeatMap
from mlpbench.bench.report.document import Figure, Table, columns

_READING = (
    "A cell is the kernel's time per sample divided by that of the fastest kernel at that batch size: 1.0x is the "
    "fastest, the darker the slower, on a logarithmic scale; the kernels are in order of their speed overall."
)


def figures(found: Sequence[HeatMap]) -> tuple[Figure, ...]:
    """Return one figure for each run."""
    return tuple(
        Figure(
            f"heatmap-{number}",
            f"Time relative to the fastest kernel{f': {one.run}' if len(found) > 1 else ''}",
            _READING if number == 0 else "Read as the one above.",
            _table(one),
            one,
        )
        for number, one in enumerate(found)
    )


def cell_text(cell: Cell) -> str:
    """Return the ratio in two digits: ``1.0x``, ``2.3x``, ``14x``."""
    value = cell.ratio.value
    return f"{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def column_text(batch_size: int) -> str:
    """Return a column's name."""
    return words.case("per_sample" if batch_size == ONE else "batched", batch_size)


def _table(found: HeatMap) -> Table:
    rows = tuple(
        (
            words.marked(kernel, kernel in found.unchecked),
            *(cell_text(found.cells[kernel, at]) if (kernel, at) in found.cells else "" for at in found.columns),
        )
        for kernel in found.kernels
    )
    caption = "Time per sample / that of the fastest kernel at the same batch size, paired by repeat."
    return Table(caption, columns(["kernel"], map(column_text, found.columns)), rows)
