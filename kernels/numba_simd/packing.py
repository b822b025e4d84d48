"""The plan of a network and its packed weights: everything that depends on the specification, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kernels.numba_simd.shape import Shape
    from kernels.params import Params
    from kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: Places in the header of a plan. Addresses are those of NumPy's memory, which the kernel keeps. The index is that of
#: the inputs that are not zero; its address is 0 where none are to be skipped.
WEIGHTS, SCRATCH, SCRATCH_ITEMS, THREADS, LAYERS, INPUTS, OUTPUTS, PITCH, BLOCK_ROWS, TILE_ROWS, INDEX, HEADER = range(
    12
)
#: Places in the line of a layer, which its parts follow: columns in whole vectors, parts, activation, offset of b.
COLUMNS, PARTS, ACTIVATION, BIAS_AT, LAYER = range(5)
#: Places in the line of a part: vectors (or, negative, single columns), first column, first k, how many k, offset of
#: its weights.
WIDTH, COLUMN, FIRST, LENGTH, WEIGHTS_AT, PART = range(6)

#: Bytes of weights up to which a network counts as narrow: they stay in the second-level cache beside everything else.
NARROW_BYTES = 384 * 1024
#: Bytes of inputs or activations in a block of rows of a wide network, and its rows at most.
BLOCK_BYTES = 1024 * 1024
MOST_BLOCK_ROWS = 128

#: Inputs that a part multiplies at most, in one sum each: a longer sum rounds more, and more than OpenBLAS, which
#: has parts too.
LONGEST_SUM = 320
#: The same where a vector runs along the inputs, and every lane has a sum. Its weights stay in the second-level cache.
LONGEST = 2048

#: Single columns that are computed together.
DOT_COLUMNS = 2

_CACHE_LINE_BYTES = 64


def aligned_zeros(items: int, dtype: np.dtype[Any]) -> _Array:
    """Return an array of zeros that starts with a cache line."""
    n_bytes = items * dtype.itemsize
    memory = np.zeros(n_bytes + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    return memory[skip : skip + n_bytes].view(dtype)


def up(n: int, step: int) -> int:
    """Return n rounded up to whole steps."""
    return -(-n // step) * step


def dot_columns(n_in: int, n_out: int, lanes: int) -> int:
    """Return how many of the last columns are computed as dot products: all beside whole vectors, or none.

    A dot product of n items takes n / lanes multiply-adds, and about 8 more to add up its lanes; a vector of columns
    takes n, however few of them are needed.
    """
    left = n_out % lanes
    return left if left * (n_in / lanes + 8) < 0.75 * n_in else 0


def vector_groups(vectors: int, most: int) -> list[int]:
    """Return the widths of tiles for so many vectors: as wide as can be, and the last two alike rather than m + 1."""
    groups = [most] * (vectors // most)
    left = vectors % most
    if left and groups and left + most <= 2 * (most - 1):
        both = groups.pop() + left
        return [*groups, both - both // 2, both // 2]
    return groups + [left] * (left > 0)


@dataclass(frozen=True)
class Network:
    """A network as compiled code takes it: ``plan`` (int64) holds the addresses of the other arrays.

    ``splits`` says, layer by layer, how its columns are divided: "3+dot(2)" is a tile of three vectors, and two single
    columns.
    """

    plan: _Array
    weights: _Array
    scratch: _Array
    index: _Array | None
    splits: tuple[str, ...]

    @property
    def address(self) -> int:
        """Where the plan lies: the one argument that compiled code needs to find everything."""
        return int(self.plan.ctypes.data)


class _Packer:
    """Collects the packed weights, each piece from the start of a cache line, and says where it lies."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.pieces: list[_Array] = []
        self.items = 0

    def add(self, piece: _Array) -> int:
        """Take ``piece``; return its offset in items."""
        offset = self.items
        size = up(piece.size, _CACHE_LINE_BYTES // self.dtype.itemsize)
        self.pieces.append(np.zeros(size, self.dtype))
        self.pieces[-1][: piece.size] = piece.ravel()
        self.items += size
        return offset

    def packed(self) -> _Array:
        """Return all pieces in one array."""
        weights = aligned_zeros(self.items, self.dtype)
        np.concatenate(self.pieces, out=weights)
        return weights


def _layer(
    packer: _Packer, W: _Array, b: _Array, shape: Shape, *, skip_zeros: bool
) -> tuple[list[int], list[list[int]], str]:
    """Pack a layer. Return its line without the activation, the lines of its parts, and its split for `Network`."""
    n_in, n_out = W.shape
    lanes = shape.lanes
    dots = dot_columns(n_in, n_out, lanes)
    columns = up(n_out, lanes)
    padded = np.zeros((n_in, columns), W.dtype)
    padded[:, :n_out] = W
    groups = vector_groups((n_out - dots) // lanes if dots else columns // lanes, shape.vectors)
    bias = np.zeros(columns, b.dtype)
    bias[:n_out] = b
    bias_at = packer.add(bias)
    parts: list[list[int]] = []
    length = -(-n_in // -(-n_in // LONGEST_SUM))  # parts of one length
    columns_at = [lanes * sum(groups[:i]) for i in range(len(groups))]
    places = [(first, *group) for group in zip(columns_at, groups, strict=True) for first in range(0, n_in, length)]
    if skip_zeros:
        places.sort(key=lambda place: place[0])  # one index serves all columns; else sums are still in the cache
    for first, column, vectors in places:
        piece = padded[first : first + length, column : column + vectors * lanes]
        parts.append([vectors, column, first, len(piece), packer.add(piece)])
    for first in range(0, n_in, LONGEST):
        for column in range(n_out - dots, n_out, DOT_COLUMNS):
            piece = W[first : first + LONGEST, column : min(column + DOT_COLUMNS, n_out)].T
            parts.append([-len(piece), column, first, piece.shape[1], packer.add(piece)])
    split = "+".join([str(vectors) for vectors in groups] + [f"dot({dots})"] * (dots > 0))
    return [columns, len(parts), 0, bias_at], parts, split


def block_rows(spec: ForwardSpec, shape: Shape) -> int:
    """Return the rows that go through a layer together, a multiple of the tile's.

    In a narrow network, a tile's: its inputs and activations stay in the first-level cache from one layer to the next.
    In a wide one as many as the second-level cache holds, since each block reads all weights from further away.
    """
    if spec.weight_bytes() <= NARROW_BYTES:
        return shape.rows
    rows = min(BLOCK_BYTES // (max(spec.sizes) * spec.np_dtype.itemsize), MOST_BLOCK_ROWS)
    return max(rows // shape.rows, 1) * shape.rows


def build(
    spec: ForwardSpec,
    params: Params,
    shape: Shape,
    activations: list[int],
    threads: int,
    *,
    skip_zeros: bool = False,
) -> Network:
    """Pack the weights of ``params`` (in the spec's dtype) and plan the pass, one activation code for each layer."""
    packer = _Packer(spec.np_dtype)
    lines: list[int] = []
    splits = []
    for W, b, activation in zip(params.weights, params.biases, activations, strict=True):
        line, parts, split = _layer(packer, W, b, shape, skip_zeros=skip_zeros)
        line[ACTIVATION] = activation
        lines += line + [place for part in parts for place in part]
        splits.append(split)
    weights = packer.packed()
    # One vector more than the widest layer: rows a power of two apart would share the sets of the first-level cache.
    pitch = up(max(spec.sizes[1:]), shape.lanes) + _CACHE_LINE_BYTES // spec.np_dtype.itemsize
    rows = block_rows(spec, shape)
    scratch = aligned_zeros(threads * 2 * rows * pitch, spec.np_dtype)
    header = [0] * HEADER
    header[WEIGHTS], header[SCRATCH], header[SCRATCH_ITEMS] = weights.ctypes.data, scratch.ctypes.data, 2 * rows * pitch
    header[THREADS], header[LAYERS], header[INPUTS], header[OUTPUTS] = threads, spec.n_layers, spec.n_in, spec.n_out
    header[PITCH], header[BLOCK_ROWS] = pitch, rows
    header[TILE_ROWS] = shape.rows
    index = aligned_zeros(spec.n_in + shape.lanes, np.dtype(np.int32)) if skip_zeros else None
    header[INDEX] = index.ctypes.data if index is not None else 0
    return Network(np.array(header + lines, np.int64), weights, scratch, index, tuple(splits))
