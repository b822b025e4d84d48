"""The heat map of kernels by batch size as a figure, with the same numbers as a table."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.heatmap import ONE, Cell, HeatMap
from mlpbench.bench.report.document import Figure, Table, columns, table_of_runs

_READING = (
    "A cell is the kernel's time per sample divided by the fastest kernel's there: 1.0x is the fastest, the "
    "darker the slower. A ~ means not told apart from the fastest: the interval reaches 1x. Kernels are in the order "
    "of their speed overall."
)


def figures(found: Sequence[HeatMap]) -> tuple[Figure, ...]:
    """Return one figure for all runs; none without any."""
    title = "Time relative to the fastest kernel"
    return (Figure("heatmap", title, _READING, _table(found), found),) if found else ()


def cell_text(cell: Cell) -> str:
    """Return the ratio in two digits: ``1.0x``, ``2.3x``, ``14x``, and ``~1.1x`` where the fastest is as fast."""
    value = max(cell.ratio.value, 1.0)  # three kernels may beat each other in turn, and each is at best the fastest
    as_fast = cell.kernel != cell.fastest and cell.ratio.low <= 1
    return f"{'~' if as_fast else ''}{value:.1f}x" if value < 9.95 else f"{value:.0f}x"


def column_text(batch_size: int) -> str:
    """Return a column's name."""
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
