"""The functions of a pass: each thread has rows of its own."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.scalar import I64, each
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.passes import packing, program

SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)
INPUTS, OUTPUTS = 7, 3


def _row_of(code, pointer, start, items):
    """Return the row that a pointer to reals of 4 bytes points at, of an array that starts at an address."""
    address = type(pointer)(code.builder, code.builder.ptrtoint(pointer.value, I64))
    return (address - start) // (items * 4)


def _count(code, x, rows, plan, thread, out):
    """Count each row that is computed and note whose it is, and where its outputs go: in place of a pass."""
    seen, places = plan.scratch.address_of(I64), plan.weights.address_of(I64)
    first, to = _row_of(code, x, plan.index, INPUTS), _row_of(code, out, plan.out, OUTPUTS)
    with each(code, 0, rows) as k:
        code.builder.store((seen[first + k] * 100 + thread + 1).value, (seen + first + k).value)
        code.builder.store((to + k).value, (places + first + k).value)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_row_of_a_batch_has_one_thread(nothing_kept, threads):
    way = SimpleNamespace(forward_rows=_count, forward_row=lambda *_: None)
    made = machine.Program(program.functions(way), host_shape(4), 32, kept_as=_count)
    some_rows = SIGNATURE(made.addresses[2])
    tile = 8
    for rows in (1, 3, 4, 5, 24, 31, 40):
        x, out = np.zeros((rows, INPUTS), np.float32), np.zeros((rows, OUTPUTS), np.float32)
        seen, places = np.zeros((2, rows + tile), np.int64)
        plan = np.zeros(packing.HEADER, np.int64)
        plan[[packing.THREADS, packing.TILE_ROWS]] = threads, tile
        plan[[packing.INPUTS, packing.OUTPUTS]] = INPUTS, OUTPUTS
        plan[[packing.SCRATCH, packing.INDEX]] = seen.ctypes.data, x.ctypes.data
        plan[[packing.WEIGHTS, packing.OUT]] = places.ctypes.data, out.ctypes.data
        for thread in range(threads):
            some_rows(x.ctypes.data, plan.ctypes.data, rows, 0, thread)
        assert seen[rows:].tolist() == [0] * tile, "none beyond the end"
        assert set(seen[:rows].tolist()) <= set(range(1, threads + 1)), "none twice, none left out"
        assert places[:rows].tolist() == list(range(rows)), "outputs go where their row is"
