"""The forward pass of networks whose weights exceed the second-level cache: weights are asked for before they are used.

A processor fetches ahead by itself, as far as the end of a page (4 KiB), and begins anew on the next page. A tile of
few rows has used a page of weights up before the next page begins to arrive. So tiles ask for what lies a page ahead:
`tile.AHEAD`. Where weights lie in the second-level cache, to ask takes time and gains none, so that small networks go
through `network`. Both give the same results to the bit.
"""

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import fetch_items
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, when
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes.parts import Plan, forward_blocks


def forward_rows(code: Code, x: Scalar, rows: Any, plan: Plan, thread: Any, out: Scalar) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    with when(plan.tile_rows > rows):
        fetch_items(code, x, rows * plan.inputs)
    forward_blocks(code, x, rows, plan, thread, out, far=True)


def forward_row(code: Code, x: Scalar, plan: Plan, out: Scalar) -> None:
    """Compute the outputs of one row."""
    forward_rows(code, x, 1, plan, 0, out)
