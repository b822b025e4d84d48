"""The plan of a network and its packed weights: everything that depends on the specification, as data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.numba_simd.codegen.shape import BEHIND, DOT_COLUMNS, Shape
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: Places in the header of a plan. Addresses are those of NumPy's memory, which the kernel keeps. INDEX is the address
#: of the index of inputs that are not zero, or 0 where no inputs are to be skipped. The outputs go to OUT, which has
#: room for OUT_ROWS: an array that is handed over in every call takes 50 ns to unpack, at one row a twentieth of the
#: time. SHARES is the address of what `shares` returns, or 0 where columns are not divided. GROUP_ROWS skip together.
#: QUADS is the
#: address of rows that became bytes, QUAD_PITCH the items of each (`codegen.quads`). From CODE on come the addresses of
#: the functions of `program`.
(WEIGHTS, SCRATCH, SCRATCH_ITEMS, THREADS, LAYERS, INPUTS, OUTPUTS, PITCH, BLOCK_ROWS, TILE_ROWS, INDEX, LANES,
 TURNED_VECTORS, TURNED_PITCH, OUT, OUT_ROWS, SHARES, GROUP_ROWS, QUADS, QUAD_PITCH, CODE) = range(21)  # fmt: skip
#: The places of these functions: all rows, one row, a thread's rows, a thread's columns of a layer, the outputs.
ALL_ROWS, ONE_ROW, SOME_ROWS, SOME_COLUMNS, OUTPUTS_OF_BLOCK, HEADER = range(CODE, CODE + 6)
#: Places in the line of a layer, which its parts follow: columns in whole vectors, parts, activation, offset of b; and
#: columns, inputs and the offset of W.T for the layer turned. Of a layer of bytes that is the offset of its ends.
COLUMNS, PARTS, ACTIVATION, BIAS_AT, TURNED_COLUMNS, TURNED_INPUTS, TURNED_AT, LAYER = range(8)
#: Places in the line of a part: vectors (or, negative, single columns), first column, first k, how many k, offset of
#: its weights.
WIDTH, COLUMN, FIRST, LENGTH, WEIGHTS_AT, PART = range(6)

#: Bytes of weights up to which a network counts as narrow: they stay in the second-level cache beside everything else.
NARROW_BYTES = 384 * 1024
#: Bytes of weights from which on a network counts as larger than the second-level cache, and is read from beyond it in
#: every call: 2 MiB is the largest one that processors of servers have today.
FAR_BYTES = 2 * 1024 * 1024
#: Bytes of inputs or activations in a block of rows of a wide network, and its rows at most.
BLOCK_BYTES = 1024 * 1024
MOST_BLOCK_ROWS = 128

#: Inputs of a part, whose weights stay in the second-level cache.
LONGEST = 2048
#: Inputs that are added up one after the other at most. A longer sum rounds more, and more than OpenBLAS, which adds in
#: parts too. A multiple of the inputs in a cache line.
LONGEST_SUM = 320
#: Inputs that a block of several tiles of rows adds up at most. All tiles are multiplied by the weights of so many
#: inputs before the next inputs: for three vectors of columns 30 KB, which the first-level cache keeps between tiles.
BLOCK_SUM = 160

_CACHE_LINE_BYTES = 64
#: An array that fills a huge page consists of huge pages where Linux gives them to whoever asks; NumPy asks from 4 MiB.
_HUGE_PAGE_BYTES = 2 * 1024 * 1024


def aligned_zeros(items: int, dtype: np.dtype[Any]) -> _Array:
    """Return an array of zeros that starts with a cache line, or with a huge page where it fills one."""
    n_bytes = items * dtype.itemsize
    unit = _HUGE_PAGE_BYTES if n_bytes >= _HUGE_PAGE_BYTES else _CACHE_LINE_BYTES
    memory = np.zeros(up(n_bytes, unit) + unit, np.uint8)
    skip = -memory.ctypes.data % unit
    return memory[skip : skip + n_bytes].view(dtype)


def up(n: int, step: int) -> int:
    """Return n rounded up to whole steps."""
    return -(-n // step) * step


def dot_columns(n_in: int, n_out: int, lanes: int) -> int:
    """Return how many of the last columns are computed as dot products: all beside whole vectors, or none.

    A dot product of n items takes n / lanes multiply-adds, and about 8 more to add up its lanes. A vector of columns
    takes n, however few of its columns are needed.
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

    def run_with(self, addresses: list[int]) -> None:
        """Let the next calls run functions at these addresses: those of a `machine.Program`."""
        self.plan[CODE : CODE + len(addresses)] = addresses

    def write_to(self, out: _Array) -> None:
        """Let the next calls write their outputs to ``out``, (rows, n_out), which must live until the last of them."""
        self.plan[OUT], self.plan[OUT_ROWS] = out.ctypes.data, len(out)


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
    columns_at = [lanes * sum(groups[:i]) for i in range(len(groups))]
    widths = [*zip(columns_at, groups, strict=True)]
    widths += [(column, -min(DOT_COLUMNS, n_out - column)) for column in range(n_out - dots, n_out, DOT_COLUMNS)]
    places = [(first, *width) for width in widths for first in range(0, n_in, LONGEST)]
    if skip_zeros:
        places.sort(key=lambda place: place[0])  # one index serves all columns
    for first, column, width in places:
        rows = slice(first, first + LONGEST)
        piece = padded[rows, column : column + width * lanes] if width > 0 else W[rows, column : column - width].T
        parts.append([width, column, first, piece.shape[width < 0], packer.add(piece)])
    split = "+".join([str(vectors) for vectors in groups] + [f"dot({dots})"] * (dots > 0))
    return [columns, len(parts), 0, bias_at, n_out, n_in, 0], parts, split


def _in_bytes(W: _Array, b: _Array, lanes: int) -> tuple[_Array, _Array]:
    """Return weights with four bytes of inputs that follow each other as one item, and the ends of `dequantise`."""
    n_in, n_out = W.shape
    steps = np.abs(W).max(axis=0) / 127
    steps[steps == 0] = 1
    v = np.zeros((up(n_in, 4), n_out), np.int8)
    with np.errstate(invalid="ignore"):  # a step that is infinite or NaN makes sums NaN whatever the bytes are
        v[:n_in] = np.clip(np.rint(np.nan_to_num(W / steps)), -127, 127)
    ends = np.zeros((3, up(n_out, lanes)), W.dtype)
    ends[:, :n_out] = steps, v.sum(axis=0, dtype=W.dtype), b
    return np.ascontiguousarray(v.reshape(-1, 4, n_out).swapaxes(1, 2)).view(W.dtype)[:, :, 0], ends


def block_rows(spec: ForwardSpec, shape: Shape) -> int:
    """Return the rows that go through a layer together, a multiple of the rows of a tile.

    In a narrow network it is one tile: inputs and activations stay in the first-level cache from one layer to the next.
    In a wide network it is what the second-level cache holds, since each block reads all weights from further away.
    """
    if spec.weight_bytes() <= NARROW_BYTES:
        return shape.rows
    rows = min(BLOCK_BYTES // (max(spec.sizes) * spec.np_dtype.itemsize), MOST_BLOCK_ROWS)
    return max(rows // shape.rows, 1) * shape.rows


def turns(spec: ForwardSpec) -> bool:
    """Return whether the layers behind the first are computed with rows in the lanes, where there are enough rows."""
    if spec.n_layers == 1 or spec.weight_bytes() > NARROW_BYTES:
        return False
    return max(spec.sizes[1:]) <= LONGEST and max(spec.sizes[1:-1]) <= LONGEST_SUM


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
    turned = turns(spec)
    for W, b, activation in zip(params.weights, params.biases, activations, strict=True):
        of_bytes, is_turned = shape.int8 and not (lines and turned), bool(lines) and turned
        quads, ends = _in_bytes(W, b, shape.lanes) if of_bytes else (W, b)
        line, parts, split = _layer(packer, quads, np.zeros_like(b) if of_bytes else b, shape, skip_zeros=skip_zeros)
        line[ACTIVATION], line[TURNED_INPUTS] = activation, len(W)
        if of_bytes or is_turned:
            line[TURNED_AT] = packer.add(ends if of_bytes else W.T)
        lines += line + [place for part in parts for place in part]
        splits.append(split)
    weights = packer.packed()
    # One vector more than the widest layer: rows a power of two apart would share the sets of the first-level cache.
    pitch = up(max(spec.sizes[1:]), shape.lanes) + _CACHE_LINE_BYTES // spec.np_dtype.itemsize
    rows = block_rows(spec, shape)
    # Turned, the columns that are there are in whole blocks, and so many rows.
    half = max(rows, shape.vectors * shape.lanes * turned) * pitch
    quad_pitch = up(max(spec.sizes[:-1]), 64) // 4 + BEHIND
    quad_items = max(rows, shape.vectors * shape.lanes) * quad_pitch * shape.int8
    scratch = aligned_zeros(threads * 2 * half + quad_items, spec.np_dtype)
    header = [0] * HEADER
    header[WEIGHTS], header[SCRATCH], header[SCRATCH_ITEMS] = weights.ctypes.data, scratch.ctypes.data, 2 * half
    header[THREADS], header[LAYERS], header[INPUTS], header[OUTPUTS] = threads, spec.n_layers, spec.n_in, spec.n_out
    header[PITCH], header[BLOCK_ROWS] = pitch, rows
    header[TILE_ROWS], header[LANES], header[GROUP_ROWS] = shape.rows, shape.lanes, min(shape.group, shape.rows)
    header[QUADS] = scratch.ctypes.data + threads * 2 * half * spec.np_dtype.itemsize
    header[QUAD_PITCH] = quad_pitch
    header[TURNED_VECTORS] = shape.vectors if turned else 0
    header[TURNED_PITCH] = up(spec.sizes[1], shape.lanes) + _CACHE_LINE_BYTES // spec.np_dtype.itemsize
    index = aligned_zeros(spec.n_in + shape.lanes, np.dtype(np.int32)) if skip_zeros else None
    header[INDEX] = index.ctypes.data if index is not None else 0
    return Network(np.array(header + lines, np.int64), weights, scratch, index, tuple(splits))
