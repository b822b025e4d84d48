"""Device kernels that do arithmetic alone, copy or read alone, or nothing: their texts, and what they are given."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

#: As in ``peak.cu``.
CHAINS, STEPS, THREADS = 8, 16, 256
#: Bytes that a thread of ``bandwidth.cu`` loads at once: the widest load there is.
LOAD_BYTES = 16
#: What launches and does nothing.
NOTHING = "nothing"


@dataclass(frozen=True)
class Peak:
    """A device kernel that multiplies and adds in registers.

    ``arithmetic``: what products are computed in; ``how``: the instruction; ``flop``: of one thread in one turn;
    ``capability``: the least compute capability (80 is 8.0).
    """

    entry: str
    arithmetic: str
    how: str
    flop: int
    capability: int = 75

    def arguments(self, out: Any, turns: int) -> tuple[Any, ...]:
        """Return what a launch is given. ``out``: an array of one number for each thread."""
        real = np.float64 if self.arithmetic == "fp64" else np.float32
        factors = (real(1), real(1)) if self.entry == "multiply_adds" else (real(1),)
        return (out, *factors, np.int32(turns))


def peaks(dtype: str) -> tuple[Peak, ...]:
    """Return the kernels for a dtype: of float32 also those of tensor cores, a warp's product for 32 threads."""
    chains = CHAINS * STEPS
    if dtype == "float64":
        return (Peak("multiply_adds", "fp64", "DFMA in registers", 2 * chains),)
    return (
        Peak("multiply_adds", "fp32", "FFMA in registers", 2 * chains),
        Peak("tiles_tf32", "tf32", "mma.sync in registers", 2 * 16 * 8 * 8 // 32 * chains, 80),
        Peak("tiles_f16", "fp16", "mma.sync in registers", 2 * 16 * 8 * 16 // 32 * chains, 80),
    )


def source(dtype: str) -> str:
    """Return the text of all of them for a dtype, `NOTHING` included."""
    real = {"float32": "float", "float64": "double"}[dtype]
    return "\n".join((f"#define REAL {real}", _text("machine.cuh"), _text("peak.cu")))


def bandwidth_source() -> str:
    """Return the text of ``copy_all`` and ``read_all``, which go through arrays a number of times.

    ``__ldcg`` and ``__stcg`` pass by L1. Four loads are under way at once where the array is long enough, and the sum
    depends on each, so that none can be left out.
    """
    return _text("bandwidth.cu")


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
