"""The calibration spin in machine code. LLVM alone makes it: Numba would bring SciPy's BLAS and its threads along."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

import llvmlite.binding as llvm

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INSTRUCTIONS_PER_STEP", "compiled"]

#: Three shifts and three exclusive ors, each of which needs the result of the one before: nothing can overlap them.
INSTRUCTIONS_PER_STEP = 6

#: Marsaglia's xorshift64, ``steps`` times from ``seed``. It has no closed form, and no optimisation is asked for. G.
#: Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (2003).
CODE = """
define i64 @chain(i64 %seed, i64 %steps) {
start:
  br label %test
test:
  %done = phi i64 [0, %start], [%done.next, %step]
  %x = phi i64 [%seed, %start], [%f, %step]
  %more = icmp ult i64 %done, %steps
  br i1 %more, label %step, label %end
step:
  %a = shl i64 %x, 13
  %b = xor i64 %x, %a
  %c = lshr i64 %b, 7
  %d = xor i64 %b, %c
  %e = shl i64 %d, 17
  %f = xor i64 %d, %e
  %done.next = add i64 %done, 1
  br label %test
end:
  ret i64 %x
}
"""


@cache
def compiled() -> Callable[[int, int], int]:
    """Return the function of (seed, steps) that computes the state after that many steps."""
    return ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64)(_engine().get_function_address("chain"))


@cache  # the code lives as long as its engine
def _engine() -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(CODE)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine())
    engine.finalize_object()
    return engine


def machine() -> llvm.TargetMachine:
    """Return LLVM's description of this machine."""
    return llvm.Target.from_default_triple().create_target_machine(opt=2)
