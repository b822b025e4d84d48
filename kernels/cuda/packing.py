"""Weights as the fused programs read them: one array for a network, packed once, before anything is computed.

Weights and biases that fill up a tile, a lane or a step are zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: The most columns that one thread sums, in programs without tensor cores.
MOST_EACH = 16


@dataclass(frozen=True)
class Layout:
    """Where the weights and the biases of each layer begin, in items of the packed array."""

    weights_at: tuple[int, ...]
    biases_at: tuple[int, ...]


def _lay_out(counts: Iterable[tuple[int, int]]) -> Layout:
    """Return the layout of layers of (weights, biases) items, each at a multiple of 16 items."""
    at, places = 0, []
    for count in (count for layer in counts for count in layer):
        places.append(at)
        at += -(-count // 16) * 16
    return Layout(tuple(places[::2]), tuple(places[1::2]))


def _joined(arrays: Iterable[_Array]) -> _Array:
    """Return the arrays' items one after the other, each array filled up to a multiple of 16 items."""
    flat = [np.pad(array.ravel(), (0, -array.size % 16)) for array in arrays]
    return np.concatenate(flat)


def _filled(array: _Array, *shape: int) -> _Array:
    """Return ``array`` with zeros behind it, up to ``shape``."""
    return np.pad(array, [(0, wanted - n) for n, wanted in zip(array.shape, shape, strict=True)])


def odd_quads(n: int) -> int:
    """Return the next multiple of four above ``n`` that is an odd one: rows so long share no bank of shared memory."""
    return (-(-n // 4) | 1) * 4


@dataclass(frozen=True)
class Columns:
    """How the columns of a layer lie among ``groups`` of threads: in passes, each thread with a few."""

    groups: int

    def passes(self, n: int) -> int:
        """Return how often the threads go over ``n`` columns."""
        return -(-n // (MOST_EACH * self.groups))

    def each(self, n: int) -> int:
        """Return the columns of one thread in one pass."""
        return -(-n // (self.passes(n) * self.groups))

    def stride(self, n: int) -> int:
        """Return the items between the columns of two groups."""
        return odd_quads(self.each(n))

    def padded(self, n: int) -> int:
        """Return the columns of all passes, those that fill them up too."""
        return self.passes(n) * self.groups * self.each(n)


def by_groups(
    spec: ForwardSpec, columns: Columns, step: int, *, whole: bool
) -> tuple[Layout, Callable[[Params], _Array]]:
    """Return layout and packing for `ffma.cu`: [pass][input][group][stride], inputs in multiples of ``step``.

    ``whole``: a row of weights of the outputs is not shared out among groups.
    """
    inputs = [-(-spec.n_in // step) * step, *(columns.padded(n) for n in spec.sizes[1:-1])]
    shared_out = [*[columns] * (spec.n_layers - 1), Columns(1) if whole else columns]

    def pack(params: Params) -> _Array:
        packed = []
        for k, among, W, b in zip(inputs, shared_out, params.weights, params.biases, strict=True):
            n, padded = len(b), among.padded(len(b))
            shape = (k, among.passes(n), among.groups, among.each(n))
            grouped = _filled(W, k, padded).reshape(shape).transpose(1, 0, 2, 3)
            packed += [_filled(grouped, *grouped.shape[:3], among.stride(n)), _filled(b, padded)]
        return _joined(packed).astype(np.float32)

    counts = [
        (k * among.passes(n) * among.groups * among.stride(n), among.padded(n))
        for k, among, n in zip(inputs, shared_out, spec.sizes[1:], strict=True)
    ]
    return _lay_out(counts), pack


def lane_stride(n: int) -> int:
    """Return the items of a row of ``n`` weights, with those that fill up the last lane's one, two or four."""
    per_lane = 1 if n <= 32 else 2 if n <= 64 else 4
    return -(-n // per_lane) * per_lane


def by_lanes(spec: ForwardSpec) -> tuple[Layout, Callable[[Params], _Array]]:
    """Return layout and packing for `ffma_few.cu`: [input][stride], inputs in multiples of four."""
    shapes = [(-(-k // 4) * 4, lane_stride(n)) for k, n in spec.layers]

    def pack(params: Params) -> _Array:
        weights = (_filled(W, *shape) for W, shape in zip(params.weights, shapes, strict=True))
        pairs = zip(weights, params.biases, strict=True)
        return _joined(array for pair in pairs for array in pair).astype(np.float32)

    return _lay_out((k * n, len_b) for (k, n), len_b in zip(shapes, spec.sizes[1:], strict=True)), pack


def to_tf32(array: _Array) -> _Array:
    """Return float32 values rounded to 11 significant bits, ties away from zero, as ``cvt.rna.tf32.f32`` does."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    finite = (bits & 0x7F800000) != 0x7F800000
    return np.where(finite, (bits + 0x1000) & 0xFFFFE000, bits).astype(np.uint32).view(np.float32)


def by_fragments(spec: ForwardSpec, *, halves: bool, rounded: bool) -> tuple[Layout, Callable[[Params], _Array]]:
    """Return layout and packing for `mma.cu` and `mma_few.cu`: [step][tile][lane], four weights of each lane.

    ``halves``: weights are float16. ``rounded``: they are `to_tf32`. Offsets are in bytes.
    """
    tiles = [0, *(-(-n // 8) for n in spec.sizes[1:])]
    steps = [-(-spec.n_in // 16), *(-(-n // 2) for n in tiles[1:-1])]
    lane = np.arange(32)
    q, g = lane % 4, lane // 4
    first = 4 * q[:, None] + np.arange(4)
    above = 2 * q[:, None] + np.array([0, 1, 8, 9])

    def fragments(W: _Array, layer: int) -> _Array:
        full = _filled(W, 16 * steps[layer], 8 * tiles[layer + 1])
        inner = 16 * np.arange(steps[layer])[:, None, None, None] + (above if layer else first)
        column = 8 * np.arange(tiles[layer + 1])[:, None, None] + g[:, None]
        found: _Array = full[inner, column]  # (steps, tiles, 32, 4)
        return found.astype(np.float16) if halves else to_tf32(found) if rounded else found.astype(np.float32)

    def pack(params: Params) -> _Array:
        packed = []
        for layer, (W, b) in enumerate(zip(params.weights, params.biases, strict=True)):
            packed += [fragments(W, layer), _filled(b, 8 * tiles[layer + 1]).astype(np.float32)]
        return _joined(np.frombuffer(array.tobytes(), np.uint8) for array in packed)

    item = 2 if halves else 4
    counts = [(s * t * 128 * item, 8 * t * 4) for s, t in zip(steps, tiles[1:], strict=True)]
    return _lay_out(counts), pack
