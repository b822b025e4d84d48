"""A program of LLVM as machine code: its functions are where it says, and do what was written."""

import ctypes

import numpy as np
import pytest
from llvmlite import ir

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


@pytest.mark.parametrize(("bits", "real"), [(32, np.float32), (64, np.float64)])
def test_functions_are_at_their_addresses_in_their_order(nothing_kept, bits, real):
    program = machine.Program(FUNCTIONS, host_shape(bits // 8), bits, kept_as=numbers)
    assert not program.compiled_before
    first, second = (SIGNATURE(address) for address in program.addresses)
    x, plan = np.arange(10, dtype=real), np.zeros(3, np.int64)
    first(x.ctypes.data, plan.ctypes.data, 4, 5, 6)
    assert plan.tolist() == [4, 5, 6]
    second(x.ctypes.data, plan.ctypes.data, 7, 0, 0)
    assert x.tolist() == [0, 2, 4, 6, 8, 10, 12, 7, 8, 9]


def test_code_that_is_kept_is_loaded_and_for_the_same_shape_width_and_activations_alone(monkeypatch):
    kept, made = {}, []

    def keep(kept_as, key, make):
        if (kept_as, key) not in kept:
            made.append(key)
            kept[kept_as, key] = make()
            return kept[kept_as, key], False
        return kept[kept_as, key], True

    monkeypatch.setattr(machine, "kept_code", keep)
    first, again = (machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers) for _ in range(2))
    assert (first.compiled_before, again.compiled_before, first.code == again.code) == (False, True, True)
    plan = np.zeros(3, np.int64)
    SIGNATURE(again.addresses[0])(None, plan.ctypes.data, 1, 2, 3)
    assert plan.tolist() == [1, 2, 3], "loaded code runs"
    machine.Program(FUNCTIONS, host_shape(8), 64, kept_as=numbers)
    machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers, others=("tanh",))
    assert len(made) == 3
    assert all(machine.host() in key for key in made), "another processor has code of its own"


def test_llvm_optimises_and_makes_no_vectors_of_its_own():
    module = machine.written(FUNCTIONS, host_shape(4), 32)
    assert [function.name for function in module.functions] == list(FUNCTIONS)
    better = str(machine.optimised(module, machine.machine(*machine.host())))
    assert "alloca" in str(module)
    assert "alloca" not in better, "variables are in registers"
    assert " x float>" not in better


def test_every_function_takes_pointers_to_reals_and_to_the_plan_and_three_integers():
    kind = machine.function_type(ir.FloatType())
    assert [str(one) for one in kind.args] == ["float*", "i64*", "i64", "i64", "i64"]
    assert isinstance(kind.return_type, ir.VoidType)
