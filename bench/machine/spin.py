"""A fixed piece of work of known length. Whatever makes it slower than itself also disturbs what is timed beside it."""

import ctypes
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

#: About half a millisecond at 4 GHz: long against a look at the clock, short against a scheduler's time slice.
STEPS = 400_000
SEED = 88172645463325252  # Marsaglia's own
#: A derivation of a key with SHA-256, about as long.
HASHES = 3_000


@dataclass(frozen=True)
class Spin:
    """``eighths(n)`` does ``n`` times an eighth of the work of one spin, on one thread, in registers.

    ``instructions``: dependent one-cycle instructions of one spin; None where they are not known.
    """

    name: str
    instructions: int | None
    eighths: Callable[[int], object]

    def run(self, n: int) -> object:
        """Do the work of ``n`` spins."""
        return self.eighths(8 * n)


@cache
def best_spin() -> Spin:
    """Return LLVM's spin, or where LLVM is missing or cannot compile, the one of Python's own hashing."""
    try:
        return llvm_spin()
    except (ImportError, RuntimeError, OSError):  # the file names the spin that was used
        return hashing_spin()


def llvm_spin() -> Spin:
    """Return a chain of dependent integer instructions in machine code."""
    chain = compiled()
    return Spin("llvm-xorshift64", STEPS * INSTRUCTIONS_PER_STEP, lambda n: chain(SEED, n * STEPS // 8))


def hashing_spin() -> Spin:
    """Return a chain of SHA-256 in C: fixed work too, but how many instructions depends on the library's build."""
    return Spin("pbkdf2-sha256", None, lambda n: hashlib.pbkdf2_hmac("sha256", b"mlpbench", b"spin", n * HASHES // 8))


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
    return ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64)(address(CODE, "chain"))


def address(code: str, name: str) -> int:
    """Return where a function of LLVM's assembly lies as machine code. Raises RuntimeError where it cannot."""
    found: int = _engine(code).get_function_address(name)
    return found


@cache  # the code lives as long as its engine
def _engine(code: str) -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(code)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine())
    engine.finalize_object()
    return engine


def machine() -> llvm.TargetMachine:
    """Return LLVM's description of this machine."""
    return llvm.Target.from_default_triple().create_target_machine(opt=2)
