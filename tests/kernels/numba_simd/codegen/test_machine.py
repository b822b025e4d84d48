"""A program of LLVM as machine code: what is kept is loaded for the same purpose alone, and LLVM makes no vectors."""

import ctypes

import numpy as np

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.scalar import each
from mlpbench.kernels.numba_simd.codegen.shape import host_shape

SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)


def numbers(code, x, plan, rows, layer, thread):
    """Write the three integers into the plan."""
    for place, value in enumerate((rows, layer, thread)):
        code.builder.store(value.value, (plan + place).value)


def doubled(code, x, plan, rows, layer, thread):
    """Double so many reals, in a loop that a compiler could make vectors of."""
    with each(code, 0, rows) as k:
        code.builder.store(code.builder.fadd(x[k].value, x[k].value), (x + k).value)


FUNCTIONS = {"numbers": numbers, "doubled": doubled}


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
    plan, x = np.zeros(3, np.int64), np.arange(4, dtype=np.float32)
    called, doubles = map(SIGNATURE, again.addresses)
    called(None, plan.ctypes.data, 1, 2, 3)
    doubles(x.ctypes.data, plan.ctypes.data, 3, 0, 0)
    assert (plan.tolist(), x.tolist()) == ([1, 2, 3], [0, 2, 4, 3]), "loaded code runs"
    machine.Program(FUNCTIONS, host_shape(8), 64, kept_as=numbers)
    machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers, others=("tanh",))
    assert len(made) == 3
    assert all(machine.host() in key for key in made), "another processor has code of its own"
