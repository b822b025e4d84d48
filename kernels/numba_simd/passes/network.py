"""The forward pass of networks that fit the second-level cache: blocks of rows go through the layers."""

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, fetch_first, fetch_items
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, Variable, each, either, least, turns, when, where
from mlpbench.kernels.numba_simd.codegen.turned import finish_turned, multiply_turned, turn
from mlpbench.kernels.numba_simd.codegen.vector import Code, routine
from mlpbench.kernels.numba_simd.passes.nonzero import nonzero_rows
from mlpbench.kernels.numba_simd.passes.parts import Plan, forward_blocks, layer_of_bytes, layer_rows


def first_layer(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, layer: Plan, a: Scalar, a_step: Any,
                cold: Any, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of the first layer: of bytes, or without the inputs that are zero, where they are to be so."""
    if code.shape.int8:
        layer_of_bytes(code, z, z_step, rows, plan, layer, a, a_step, cold, far=far)
        return
    with either(plan.index != 0) as (yes, no):
        with yes:
            nonzero_rows(code, z, z_step, rows, plan, a, a_step)
        with no:
            layer_rows(code, z, z_step, rows, plan, layer, a, a_step, cold, far=far)


def forward_turned(code: Code, x: Scalar, vectors: Any, plan: Plan, thread: Any, out: Scalar, cold: Any) -> None:
    """Compute the outputs of ``vectors`` vectors of rows, behind the first layer with rows in the lanes: see `turned`.

    The first layer is multiplied tile by tile, or a few inputs of all tiles at a time, so that the weights of these
    inputs stay in the first-level cache. With two tiles a few inputs at a time cost as much as they gain.
    """
    weights, half = plan.weights.address_of(code.real), plan.scratch_items // 2
    rows, n_in, pitch, layer = vectors * plan.lanes, plan.inputs, plan.turned_pitch, Variable(code, plan.first_layer())
    scratch = plan.scratch.address_of(code.real) + thread * 2 * half

    def activations(number: Any) -> Any:
        return scratch + (number & 1) * half

    block = where((plan.index != 0) | (vectors == 1), plan.tile_rows, rows)
    with each(code, 0, rows, block) as i:
        n_rows = least(block, rows - i)
        cold_i, z_i, a_i = cold & (n_rows > plan.tile_rows), x + i * n_in, scratch + i * pitch
        first_layer(code, z_i, n_in, n_rows, plan, layer.now, a_i, pitch, cold_i)
    turn(code, scratch, pitch, vectors, layer.now.turned_columns, activations(1))
    with each(code, 1, plan.layers) as number:
        z, a = activations(number), activations(number + 1)
        activate(code, z, 0, 1, layer.now.turned_columns * rows, layer.now.activation)
        layer.now = layer.now.following()
        w, bias = weights + layer.now.turned_at, weights + layer.now.bias_at
        multiply_turned(code, w, layer.now.turned_inputs, layer.now.turned_columns, z, bias, a, vectors)
    finish_turned(code, activations(plan.layers), plan.outputs, vectors, layer.now.activation, out)


def fetch_few(code: Code, x: Scalar, rows: Any, plan: Plan) -> None:
    """Ask for the inputs of fewer rows than a tile has. The tile before a whole tile fetches its inputs."""
    with either(plan.index != 0) as (yes, no):
        with yes:
            fetch_items(code, x, rows * plan.inputs)
        with no, each(code, 0, rows) as row:
            fetch_first(code, x + row * plan.inputs, plan.inputs)


@routine
def forward_rows(code: Code, x: Scalar, rows: Scalar, plan: Scalar, thread: Scalar, out: Scalar) -> None:
    """Compute the outputs of some rows with the scratch memory of one thread."""
    plan, first = Plan(code.builder, plan.value), Variable(code, 0)
    with when(rows < plan.tile_rows):
        fetch_few(code, x, rows, plan)
    fewest = where(plan.turned_vectors != 0, plan.lanes, rows + 1)  # rows to turn
    with turns(code, lambda: rows - first.now >= fewest):
        begin, longest = first.now, plan.turned_vectors
        left = (rows - begin) // plan.lanes
        vectors = where(left > longest + 1, longest, where(left == longest + 1, (left + 1) // 2, left))
        x_rows, out_rows = x + begin * plan.inputs, out + begin * plan.outputs
        forward_turned(code, x_rows, vectors, plan, thread, out_rows, begin == 0)
        first.now = begin + vectors * plan.lanes
    x_rows, out_rows = x + first.now * plan.inputs, out + first.now * plan.outputs
    forward_blocks(code, x_rows, rows - first.now, plan, thread, out_rows, first_layer)


def forward_row(code: Code, x: Scalar, plan: Plan, out: Scalar) -> None:
    """Compute the outputs of one row."""
    fetch_few(code, x, 1, plan)
    forward_blocks(code, x, 1, plan, 0, out, first_layer)
