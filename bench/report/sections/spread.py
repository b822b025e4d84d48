"""How the rounds of each case spread, as a figure with a panel for each kernel, and in numbers kernel by kernel."""

from collections.abc import Sequence

import numpy as np

from mlpbench.bench.report.document import Block, Figure, Table, columns
from mlpbench.bench.trust.spread import Spread

_READING = (
    "Each mark stands for an equal share of the rounds of a case, in all repeats: their time as a multiple of that of "
    "the case in the same process. Grey rounds were left out of that time. Two heaps at a case are two states of the "
    "machine; the axis is logarithmic and ends at 4x."
)


def blocks(found: Sequence[Spread]) -> tuple[Block, ...]:
    """Return the section's content; nothing without rounds."""
    return (Figure("spread", "Time of a round / time of its case", _READING, _table(found), found),) if found else ()


def _table(found: Sequence[Spread]) -> Table:
    rows = []
    for kernel in dict.fromkeys(one.kernel for one in found):
        own = [one for one in found if one.kernel == kernel]
        rounds, used = sum(one.rounds for one in own), sum(one.n_used for one in own)
        every = [value for one in own for value in (*one.used, *one.left)]
        ends = (f"{end:.2f}x" for end in np.quantile(every, [0.05, 0.25, 0.75, 0.95]))
        rows.append((kernel, f"{rounds:,}", f"{used / rounds:.0%}", *ends))
    names = ("rounds", "used", "5 % are below", "25 % are below", "75 % are below", "95 % are below")
    caption = "Times of rounds as multiples of the time of their case, all cases of a kernel together."
    return Table(caption, columns(["kernel"], names), tuple(rows))
