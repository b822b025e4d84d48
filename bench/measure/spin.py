"""A fixed piece of work of known length. Whatever makes it slower than itself also disturbs what is timed beside it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Spin", "best_spin", "hashing_spin", "llvm_spin"]

#: About half a millisecond at 4 GHz: long against a look at the clock, short against a scheduler's time slice.
STEPS = 400_000
SEED = 88172645463325252  # Marsaglia's own
#: A derivation of a key with SHA-256, about as long.
HASHES = 3_000


@dataclass(frozen=True)
class Spin:
    """``run(n)`` does ``n`` times the work of one spin, on one thread, in registers.

    ``instructions``: dependent one-cycle instructions of one spin; None where they are not known.
    """

    name: str
    instructions: int | None
    run: Callable[[int], object]

    def facts(self) -> dict[str, Any]:
        """Return what a result file says about it."""
        return {"name": self.name, "instructions": self.instructions}


@cache
def best_spin() -> Spin:
    """Return LLVM's spin, or where LLVM is missing or cannot compile, the one of Python's own hashing."""
    try:
        return llvm_spin()
    except (ImportError, RuntimeError, OSError):  # the file names the spin that was used
        return hashing_spin()


def llvm_spin() -> Spin:
    """Return a chain of dependent integer instructions in machine code."""
    from mlpbench.bench.measure.llvm_spin import INSTRUCTIONS_PER_STEP, compiled

    chain = compiled()
    return Spin("llvm-xorshift64", STEPS * INSTRUCTIONS_PER_STEP, lambda n: chain(SEED, n * STEPS))


def hashing_spin() -> Spin:
    """Return a chain of SHA-256 in C: fixed work too, but how many instructions depends on the library's build."""
    return Spin("pbkdf2-sha256", None, lambda n: hashlib.pbkdf2_hmac("sha256", b"mlpbench", b"spin", n * HASHES))
