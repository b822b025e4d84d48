"""Which layers are divided by columns, and which columns each thread computes: see `columns`."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.numba_simd.passes.packing import COLUMN, COLUMNS, HEADER, LANES, LAYER, LENGTH, PART, PARTS, WIDTH

_Array = NDArray[Any]

#: Places in the line of a layer: whether it is divided, and behind it the share of each thread.
DIVIDED, SHARES_AT = range(2)
#: Places in a share: where in the plan its first part is, how many parts, first column, how many columns.
SHARE_PART, SHARE_PARTS, SHARE_COLUMN, SHARE_COLUMNS, SHARE = range(5)


def _layers(plan: _Array, n_layers: int) -> Iterator[tuple[int, int, _Array]]:
    """Yield for each layer its columns in whole vectors, the place of its parts in the plan, and its parts."""
    at = HEADER
    for _ in range(n_layers):
        first, end = at + LAYER, at + LAYER + plan[at + PARTS] * PART
        yield plan[at + COLUMNS], first, plan[first:end].reshape(-1, PART)
        at = end


def _cuts(parts: _Array, items: _Array, threads: int) -> list[int]:
    """Return the first part of each thread, and the end: shares of nearly as many ``items``, which count from 0.

    A cut is where columns begin that share no vector with the columns before them. Parts of one column add up their
    sums one after the other, and single columns lie in one vector: neither are cut.
    """
    fresh = (np.diff(parts[:, COLUMN]) != 0) & (parts[:-1, WIDTH] > 0)
    places = np.array([0, *(np.flatnonzero(fresh) + 1), len(parts)])
    even = items[-1] * np.arange(1, threads) / threads
    return [0, *(int(places[np.abs(items[places] - goal).argmin()]) for goal in even), len(parts)]


def shares(plan: _Array, n_layers: int, threads: int, least_items: int) -> _Array:
    """Return a line for each layer: 1 where it is divided, else 0, and what each thread computes then.

    A layer is divided where the busiest thread is spared ``least_items`` of the weights for each of the other threads:
    more threads take longer to start and join. A share is a run of whole tiles, so that results are those of one thread
    to the bit. Where there are more threads than tiles, some threads have none.
    """
    table = []
    for columns, first, parts in _layers(plan, n_layers):
        lanes = np.where(parts[:, WIDTH] > 0, plan[LANES], -1)
        items = np.append(0, np.cumsum(parts[:, WIDTH] * lanes * parts[:, LENGTH]))
        cuts = _cuts(parts, items, threads)
        starts = [*parts[:, COLUMN], columns]
        runs = [(first + i * PART, j - i, starts[i], starts[j] - starts[i]) for i, j in pairwise(cuts)]
        spared = items[-1] - np.diff(items[cuts]).max()
        table.append([spared >= (threads - 1) * least_items, *chain(*runs)])
    return np.array(table, np.int64)
