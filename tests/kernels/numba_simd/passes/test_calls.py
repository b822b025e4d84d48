"""What Numba compiles: it takes arrays apart, checks shapes, and calls the functions whose addresses the plan holds."""

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.scalar import I64
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.passes import calls, packing
from mlpbench.kernels.numba_simd.passes.shares import DIVIDED, SHARE, SHARES_AT

INPUTS, THREADS, LAYERS, MOST_ROWS = 5, 2, 2, 40
#: Of each call that a function gets: the first input, rows, layer, thread.
LINE = 4


def _note(function):
    """Return what notes the numbers of a call in a line of its own, by function, layer and thread."""

    def write(code, x, plan, rows, layer, thread):
        seen = plan[packing.SCRATCH].address_of(I64) + ((function * 100 + layer) * THREADS + thread) * LINE
        first = type(x)(code.builder, code.builder.fptosi(x[0].value, I64))
        for place, value in enumerate((first, rows, layer, thread)):
            code.builder.store(value.value if not isinstance(value, int) else I64(value), (seen + place).value)

    return write


NAMES = ("all_rows", "one_row", "some_rows", "some_columns", "outputs_of_block")


@pytest.fixture
def plan(nothing_kept):
    """Return a plan whose functions note who calls them, which layers are divided, what was noted, and the program."""
    made = machine.Program({name: _note(n) for n, name in enumerate(NAMES)}, host_shape(4), 32, kept_as=_note)
    seen = np.full((len(NAMES), 100, THREADS, LINE), -1)
    header, divided = np.zeros(packing.HEADER, np.int64), np.zeros((LAYERS, SHARES_AT + THREADS * SHARE), np.int64)
    header[[packing.INPUTS, packing.OUT_ROWS, packing.THREADS, packing.LAYERS]] = INPUTS, MOST_ROWS, THREADS, LAYERS
    header[[packing.BLOCK_ROWS, packing.SCRATCH]] = 16, seen.ctypes.data
    header[packing.SHARES] = divided.ctypes.data
    header[packing.CODE : packing.CODE + len(NAMES)] = made.addresses
    return header, divided, seen, made


def inputs(*shape):
    x = np.arange(float(np.prod(shape))).astype(np.float32).reshape(shape)
    x.flags.writeable = False
    return x


def called(seen, name):
    """Return the calls that a function got: first input, rows, layer, thread."""
    lines = seen[NAMES.index(name)].reshape(-1, LINE)
    return lines[lines[:, 1] >= 0].tolist()


def test_one_thread_gets_all_rows_and_one_row_has_a_function_of_its_own(plan):
    header, _, seen, _ = plan
    calls.compiled("float32", "serial")(inputs(7, INPUTS), header.ctypes.data)
    assert called(seen, "all_rows") == [[0, 7, 0, 0]]
    calls.compiled("float32", "single")(inputs(INPUTS), header.ctypes.data)
    assert called(seen, "one_row") == [[0, 1, 0, 0]]


def test_every_thread_is_called_with_all_rows(plan):
    header, _, seen, _ = plan
    calls.compiled("float32", "parallel")(inputs(9, INPUTS), header.ctypes.data)
    assert called(seen, "some_rows") == [[0, 9, 0, thread] for thread in range(THREADS)]


def test_columns_go_block_by_block_and_only_divided_layers_to_several_threads(plan):
    """Of 40 rows, the last block of 16 has 8, and begins with the 33rd row."""
    header, divided, seen, _ = plan
    divided[1, DIVIDED] = 1
    calls.compiled("float32", "columns")(inputs(MOST_ROWS, INPUTS), header.ctypes.data)
    assert called(seen, "some_columns") == [
        [32 * INPUTS, 8, layer, thread] for layer, thread in ((0, 0), (1, 0), (1, 1))
    ]
    assert [(rows, first) for _, rows, first, _ in called(seen, "outputs_of_block")] == [(16, 0), (16, 16), (8, 32)]


@pytest.mark.parametrize("variant", ["serial", "parallel", "columns"])
@pytest.mark.parametrize("shape", [(3, INPUTS - 1), (3, INPUTS + 1), (MOST_ROWS + 1, INPUTS)])
def test_what_does_not_fit_the_network_is_refused_and_reaches_no_function(plan, variant, shape):
    header, _, seen, _ = plan
    with pytest.raises(ValueError, match="does not have the shape that the network takes"):
        calls.compiled("float32", variant)(inputs(*shape), header.ctypes.data)
    assert (seen == -1).all()


def test_one_row_of_another_length_is_refused(plan):
    with pytest.raises(ValueError, match="does not have the shape that the network takes"):
        calls.compiled("float32", "single")(inputs(INPUTS + 1), plan[0].ctypes.data)
