"""A program of LLVM as machine code is loaded for the same purpose alone; the roof's multiply-adds are all done."""

import ctypes

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.codegen import machine, peak
from mlpbench.kernels.numba_simd.codegen.shape import Shape, host_shape

SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)


def numbers(code, x, plan, rows, layer, thread):
    """Write the three integers into the plan."""
    for place, value in enumerate((rows, layer, thread)):
        code.builder.store(value.value, (plan + place).value)


FUNCTIONS = {"nothing": lambda *_: None, "numbers": numbers}


def test_code_that_is_kept_is_loaded_and_for_the_same_shape_width_and_activations_alone(monkeypatch):
    kept, made = {}, []

    def keep(kept_as, key, make):
        is_known = (kept_as, key) in kept
        if not is_known:
            made.append(key)
            kept[kept_as, key] = make()
        return kept[kept_as, key], is_known

    monkeypatch.setattr(machine, "kept_code", keep)
    first, again = (machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers) for _ in range(2))
    assert (first.compiled_before, again.compiled_before, first.code == again.code) == (False, True, True)
    plan = np.zeros(3, np.int64)
    SIGNATURE(again.addresses[1])(None, plan.ctypes.data, 1, 2, 3)
    assert plan.tolist() == [1, 2, 3], "loaded code runs"
    machine.Program(FUNCTIONS, host_shape(8), 64, kept_as=numbers)
    machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers, others=("tanh",))
    assert len(made) == 3
    assert all(machine.host() in key for key in made), "another processor has code of its own"


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
