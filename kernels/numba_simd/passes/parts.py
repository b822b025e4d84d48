"""Loops that all passes share: over the parts of a layer, which the plan lists, and over blocks of rows."""

from __future__ import annotations

from typing import Any

from mlpbench.kernels.numba_simd.codegen.layers import activate, finish, multiply
from mlpbench.kernels.numba_simd.codegen.quads import QuadCode, dequantise, quantise
from mlpbench.kernels.numba_simd.codegen.scalar import Scalar, Variable, each, least, most, where
from mlpbench.kernels.numba_simd.codegen.shape import BEHIND
from mlpbench.kernels.numba_simd.codegen.vector import Code
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.numba_simd.passes.packing import BLOCK_SUM, HEADER, LAYER, LONGEST_SUM, PART


class Plan(Scalar):
    """A pointer into the plan: to its header, or to the line of a layer or of a part, as `packing` lays it out.

    Names are places: ``part.width`` is what stands at `packing.WIDTH`.
    """

    def __getattr__(self, name: str) -> Scalar:
        return self[getattr(packing, name.upper())]

    def first_layer(self) -> Plan:
        """Return the first layer of the plan that this is."""
        return self + HEADER

    def first_part(self) -> Plan:
        """Return the first part of the layer that this is."""
        return self + LAYER

    def following(self) -> Plan:
        """Return the layer behind the layer that this is."""
        return self + LAYER + self.parts * PART


def summed(n: Any, rows: Any, tile: Any) -> Any:
    """Return how many of n inputs to add up at once: parts of nearly one length, in whole cache lines.

    One row has four sums for each result, and two rows have two at least (`tile`). So they may add up more inputs.
    """
    few = where(rows == 1, LONGEST_SUM * 4, where(rows == 2, LONGEST_SUM * 2, LONGEST_SUM))
    longest = where(rows > tile, BLOCK_SUM, few)
    parts = most((n + longest - 1) // longest, 1)
    return ((n + parts - 1) // parts + 15) // 16 * 16


def places(part: Plan, weights: Scalar, bias: Scalar, a: Scalar, a_step: Any) -> tuple[Any, ...]:
    """Return for a part w, start, start_step, a, a_step, as `multiply` takes them.

    It starts from the bias or, where it is not the first part of its columns, from the sums over the inputs before.
    """
    sums, later = a + part.column, part.first != 0
    return weights + part.weights_at, where(later, sums, bias + part.column), where(later, a_step, 0), sums, a_step


def add_part(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, part: Plan, at: Any, cold: Any = 0,
             *, far: bool = False) -> None:  # fmt: skip
    """Compute a = start + z @ w for a part, whose places are ``at``, over not too many inputs at once.

    ``cold``: no block before this one has asked for its rows.
    """
    (w, start, start_step, a, a_step), n, width = at, part.length, part.width
    step = where(width > 0, summed(n, rows, plan.tile_rows), n)
    with each(code, 0, n, step) as k:
        begins, w_k, n_k = k == 0, w + k * width * plan.lanes, least(step, n - k)
        before, before_step = where(begins, start, a), where(begins, start_step, a_step)
        z_k = z + part.first + k
        multiply(code, z_k, z_step, rows, n_k, w_k, before, before_step, a, a_step, width, cold, far=far)


def some_parts(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, layer: Plan, begin: Plan, parts: Any,
               a: Scalar, a_step: Any, cold: Any = 0, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of so many parts of a layer, from the part ``begin`` on."""
    weights = plan.weights.address_of(code.real)
    with each(code, 0, parts) as i:
        part = begin + i * PART
        at = places(part, weights, weights + layer.bias_at, a, a_step)
        add_part(code, z, z_step, rows, plan, part, at, cold, far=far)


def layer_rows(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, layer: Plan, a: Scalar, a_step: Any,
               cold: Any = 0, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of a layer, z @ W + b, into ``a``, part by part."""
    some_parts(code, z, z_step, rows, plan, layer, layer.first_part(), layer.parts, a, a_step, cold, far=far)


def layer_of_bytes(code: Code, z: Scalar, z_step: Any, rows: Any, plan: Plan, layer: Plan, a: Scalar, a_step: Any,
                   cold: Any = 0, *, far: bool = False) -> None:  # fmt: skip
    """Compute the sums of a layer as `layer_rows` does, from products of bytes."""
    q, q_step, weights = plan.quads.address_of(code.real), plan.quad_pitch, plan.weights.address_of(code.real)
    quantise(code, z, z_step, rows, layer.turned_inputs, q, q_step)
    in_bytes = QuadCode(code.builder, code.shape, code.real)
    layer_rows(in_bytes, q, q_step, rows, plan, layer, a, a_step, cold, far=far)
    behind, ends = q + (q_step - BEHIND), weights + layer.turned_at
    dequantise(code, a, a_step, rows, layer.columns, behind, q_step, ends)


def forward_blocks(code: Code, x: Scalar, rows: Any, plan: Plan, thread: Any, out: Scalar,
                   first_layer: Any = None, *, far: bool = False) -> None:  # fmt: skip
    """Compute the outputs of some rows, block by block and layer by layer, with columns in the lanes."""
    every_layer = layer_of_bytes if far and code.shape.int8 else layer_rows
    first_layer = first_layer or every_layer
    n_in, n_out, pitch, block = plan.inputs, plan.outputs, plan.pitch, plan.block_rows
    scratch = plan.scratch.address_of(code.real) + thread * plan.scratch_items

    def activations(number: Any) -> Any:
        return scratch + (number & 1) * block * pitch

    with each(code, 0, rows, block) as first:
        n_rows, layer = least(block, rows - first), Variable(code, plan.first_layer())
        cold = (first == 0) & (n_rows > plan.tile_rows)
        first_layer(code, x + first * n_in, n_in, n_rows, plan, layer.now, scratch, pitch, cold, far=far)
        activate(code, scratch, pitch, n_rows, layer.now.columns, layer.now.activation)
        with each(code, 1, plan.layers) as number:
            layer.now = layer.now.following()
            z, a = activations(number - 1), activations(number)
            every_layer(code, z, pitch, n_rows, plan, layer.now, a, pitch, far=far)
            activate(code, a, pitch, n_rows, layer.now.columns, layer.now.activation)
        a = activations(plan.layers - 1)
        finish(code, a, pitch, n_rows, n_out, layer.now.activation, out + first * n_out)
