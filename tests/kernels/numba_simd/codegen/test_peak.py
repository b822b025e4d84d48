"""The multiply-adds whose rate is the roof: all are done, in the widest vectors that there are."""

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.codegen import peak
from mlpbench.kernels.numba_simd.codegen.shape import Shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turns", [0, 1, 7])
def test_the_multiply_adds_are_really_done(dtype, turns):
    """The result depends on every one of them: a compiler that left some out would be found out."""
    memory = np.random.default_rng(1).uniform(0.5, 0.9, 64).astype(dtype)
    lanes = peak.host_shape(memory.itemsize).lanes
    sums = peak.flop_per_turn(dtype) // (2 * lanes)
    factor, values = memory[:lanes].copy(), np.array([memory[i : i + lanes] for i in range(sums)])
    for _ in range(turns):
        values = values * factor + factor
    peak.compiled_peak(dtype)(memory, turns)
    assert memory[:lanes] == pytest.approx(factor + values.sum(axis=0), rel=1e-5)


def test_the_widest_vectors_are_used_where_llvm_prefers_narrower_ones(monkeypatch):
    """As on Intel's processors with AVX-512: a peak of half the width would make right times impossible."""
    wide = Shape.parse("x86_64-unknown-linux-gnu", "+avx2,+fma,+avx512f,+avx512vl", 4)
    monkeypatch.setattr(peak, "host_shape", lambda _itemsize: wide)
    assert peak.flop_per_turn("float32") == 2 * 12 * 16
