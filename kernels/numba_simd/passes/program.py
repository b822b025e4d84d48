"""The functions of a forward pass, compiled together: of networks that fit the second-level cache, or of others."""

from functools import cache
from typing import Any

import numpy as np

from mlpbench.kernels.numba_simd.codegen.machine import Program
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, least
from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes import far, network
from mlpbench.kernels.numba_simd.passes.columns import outputs_of_block, some_columns
from mlpbench.kernels.numba_simd.passes.parts import Plan
from mlpbench.kernels.spec import Activation


def functions(way: Any) -> dict[str, Any]:
    """Return what `machine.written` takes, with the forward pass of `network` or `far`, whichever ``way`` is.

    They stand in the order of their places in the plan.
    """

    def all_rows(code: Code, x: Scalar, plan: Plan, rows: Scalar, _layer: Scalar, _thread: Scalar) -> None:
        way.forward_rows(code, x, rows, plan, 0, plan.out.address_of(code.real))

    def one_row(code: Code, x: Scalar, plan: Plan, _rows: Scalar, _layer: Scalar, _thread: Scalar) -> None:
        way.forward_row(code, x, plan, plan.out.address_of(code.real))

    def some_rows(code: Code, x: Scalar, plan: Plan, rows: Scalar, _layer: Scalar, thread: Scalar) -> None:
        """Compute a thread's rows of a batch, in halves of tiles."""
        threads, half = plan.threads, plan.tile_rows // 2
        share = (rows + threads * half - 1) // (threads * half) * half
        first = least(thread * share, rows)
        out = plan.out.address_of(code.real) + first * plan.outputs
        way.forward_rows(code, x + first * plan.inputs, least(share, rows - first), plan, thread, out)

    def with_plan(write: Any) -> Any:
        return lambda code, x, plan, *numbers: write(code, x, Plan(code.builder, plan.value), *numbers)

    found = [all_rows, one_row, some_rows, *([some_columns, outputs_of_block] if way is far else [])]
    return {write.__name__: with_plan(write) for write in found}


@cache
def compiled(dtype: str, others: tuple[Activation, ...], shape: Shape, *, is_far: bool) -> Program:
    """Return the program for "float32" or "float64" and any specification; without an index of zeros if ``is_far``.

    With products of bytes it has them in the first layer, or in all layers if ``is_far``. ``others``: the activations
    that it has besides those of every program, as `layers.others` returns them.
    """
    way = far if is_far else network
    return Program(functions(way), shape, np.dtype(dtype).itemsize * 8, kept_as=way.forward_row, others=others)
