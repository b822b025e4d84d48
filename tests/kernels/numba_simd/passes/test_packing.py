"""How the vector kernels divide sums, and where their memory begins."""

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.passes import packing, parts


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
