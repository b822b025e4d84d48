"""How the vector kernels divide a network into tiles, and where every weight goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.passes import packing, parts
from mlpbench.kernels.reference import seeded
from support.contestants import specs


@settings(max_examples=25)
@given(specs(max_size=200), st.sampled_from(["+avx512f,+avx512vl", "+avx2,+fma", ""]))
def test_packing_keeps_every_weight_once_in_its_part(spec, features):
    params = seeded(spec)
    shape = Shape.parse("x86_64-unknown-linux-gnu", features, spec.np_dtype.itemsize)
    network = packing.build(spec, params, shape, [0] * spec.n_layers, 1)
    plan, at = network.plan, packing.HEADER
    for W, b in zip(params.weights, params.biases, strict=True):
        found = np.zeros(W.shape, bool)
        columns, parts, _, bias_at, n_out, n_in, turned_at = plan[at : at + packing.LAYER]
        assert (n_in, n_out) == W.shape
        if turned_at:
            np.testing.assert_array_equal(network.weights[turned_at : turned_at + W.size].reshape(n_out, n_in), W.T)
        assert bool(turned_at) == (at > packing.HEADER and bool(plan[packing.TURNED_VECTORS]))
        np.testing.assert_array_equal(network.weights[bias_at : bias_at + len(b)], b)
        assert not network.weights[bias_at + len(b) : bias_at + columns].any()
        at += packing.LAYER
        for _ in range(parts):
            width, column, first, n, offset = plan[at : at + packing.PART]
            at += packing.PART
            items = width * shape.lanes if width > 0 else -width
            piece = network.weights[offset : offset + n * items]
            assert piece.ctypes.data % 64 == 0
            piece = piece.reshape(n, items) if width > 0 else piece.reshape(items, n).T
            real = min(items, W.shape[1] - column)
            assert not found[first : first + n, column : column + real].any()
            found[first : first + n, column : column + real] = True
            np.testing.assert_array_equal(piece[:, :real], W[first : first + n, column : column + real])
            assert not piece[:, real:].any()
        assert found.all()
    assert at == len(plan)


@pytest.mark.parametrize(("rows", "longest"), [(1, 1280), (2, 640), (3, 320), (8, 320), (9, 160), (128, 160)])
def test_sums_are_divided_evenly_and_none_is_too_long(rows, longest):
    summed = parts.summed
    for n in (1, 16, 319, 320, 321, 784, 1000, 1281, 2048):
        at_once = summed(n, rows, 8)
        assert at_once % 16 == 0
        assert at_once <= longest
        assert -(-n // at_once) == -(-n // longest), "no more parts than needed"


@pytest.mark.parametrize(("n_bytes", "unit"), [(4, 64), (2**21 - 4, 64), (2**21, 2**21), (7_300_000, 2**21)])
def test_memory_begins_with_a_cache_line_and_large_memory_with_a_huge_page(n_bytes, unit):
    array = packing.aligned_zeros(n_bytes // 4, np.dtype(np.float32))
    assert (array.nbytes, array.ctypes.data % unit) == (n_bytes, 0)
    assert not array.any()
    room = array.base
    while room.base is not None:
        room = room.base
    assert array.ctypes.data + packing.up(n_bytes, unit) <= room.ctypes.data + room.nbytes, "the last page is whole"
