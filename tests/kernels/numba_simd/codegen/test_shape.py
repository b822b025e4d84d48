"""Compiled for other processors, the vector kernels use what those have, and no more, and give the same result."""

import pytest

from mlpbench.kernels.numba_simd.codegen.shape import Shape
from support.compiling import compiled, host_features

COMMON, RARE = ("sigmoid", "relu", "step"), ("tanh,gelu", "silu", "leaky-relu:0.2")
HASWELL = "haswell", "+avx,+avx2,+fma,+bmi,+bmi2,-avx512f", "avx2"
OLDEST = "x86-64", "+sse,+sse2,-sse3,-avx,-avx512f", "sse2"


@pytest.mark.parametrize(
    ("cpu", "features", "isa", "hidden"),
    [
        (*OLDEST, COMMON),
        *(pytest.param(*of, hidden, marks=pytest.mark.heavy) for of, hidden in ((HASWELL, COMMON), (OLDEST, RARE))),
    ],
)
def test_other_processors_of_the_family_get_the_right_result(tmp_path, cpu, features, isa, hidden):
    if "+avx2" not in host_features():
        pytest.skip("no x86 with AVX2")
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    result = compiled("numba-simd", "numba-simd-sparse", hidden=hidden, NUMBA_CACHE_DIR=tmp_path, **target)
    assert [described["isa"] for described in result["describe"]] == [isa, isa]
    assert max(result["ratios"]) < 0.5


@pytest.mark.parametrize(
    ("triple", "features", "isa", "tile"),
    [
        ("x86_64-unknown-linux-gnu", "+avx512f,+avx512vl,+avx2,+fma", "avx512", "8x48"),
        ("x86_64-unknown-linux-gnu", "+avx512f,-avx512vl,+avx2,+fma", "avx2", "6x16"),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,-fma", "sse2", "4x8"),
        ("x86_64-unknown-linux-gnu", "", "sse2", "4x8"),
        ("arm64-apple-darwin23.0.0", "+neon", "neon", "8x12"),
        ("powerpc64le-unknown-linux-gnu", "", "generic", "4x8"),
    ],
)
def test_the_tile_follows_from_what_the_processor_has(triple, features, isa, tile):
    shape = Shape.parse(triple, features, 4)
    assert (shape.isa, shape.label) == (isa, tile)
    assert Shape.parse(triple, features, 8).lanes == shape.lanes // 2
    assert shape.rows * shape.vectors + shape.vectors + 1 <= shape.registers, "sums, weights and an input"
    assert shape.ladder[-1] == 1
    assert shape.group == shape.rows
