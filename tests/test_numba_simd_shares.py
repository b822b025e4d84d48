"""Which columns each thread computes, and for how many rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import specs

from kernels.numba_simd import packing
from kernels.numba_simd.shape import Shape
from kernels.numba_simd.shares import (
    DIVIDED_FROM,
    NEVER,
    SHARE,
    SHARE_COLUMN,
    SHARE_COLUMNS,
    SHARE_PART,
    SHARE_PARTS,
    SHARES_AT,
    shares,
)
from kernels.params import seeded
from kernels.spec import ForwardSpec

AVX512 = Shape.parse("x86_64-unknown-linux-gnu", "+avx512f,+avx512vl", 4)


def planned(spec, threads, shape=AVX512, least_flop=600_000, least_bytes=2**18):
    """Return the plan of a network, and a table of the shares: (layers, threads, `SHARE`), and the rows."""
    plan = packing.build(spec, seeded(spec), shape, [0] * spec.n_layers, threads).plan
    lines = shares(plan, spec.n_layers, threads, spec.np_dtype.itemsize, least_flop, least_bytes)
    return plan, lines[:, SHARES_AT:].reshape(spec.n_layers, threads, SHARE), list(lines[:, DIVIDED_FROM])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(specs(max_size=300), st.integers(1, 9), st.sampled_from(["+avx512f,+avx512vl", "+avx2,+fma", ""]))
def test_every_part_belongs_to_one_thread_and_no_two_write_to_one_vector(spec, threads, features):
    shape = Shape.parse("x86_64-unknown-linux-gnu", features, spec.np_dtype.itemsize)
    plan, table, _ = planned(spec, threads, shape)
    at = packing.HEADER
    for layer in table:
        column, place = 0, at + packing.LAYER
        for share in layer:
            assert (share[SHARE_PART], share[SHARE_COLUMN]) == (place, column)
            assert share[SHARE_COLUMN] % shape.lanes == 0
            place += share[SHARE_PARTS] * packing.PART
            column += share[SHARE_COLUMNS]
            parts = plan[share[SHARE_PART] : place].reshape(-1, packing.PART)
            assert all(share[SHARE_COLUMN] <= part[packing.COLUMN] < column for part in parts)
        assert column == plan[at + packing.COLUMNS]
        at += packing.LAYER + plan[at + packing.PARTS] * packing.PART
        assert place == at
