"""What LLVM compiles for on this machine, and the register tile that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

#: Columns of a packed weight panel, and so of everything that a row loop writes at once.
PANEL = 64

#: Input rows that a tile multiplies at once, and so the times that each weight is used for one load.
TILE_ROWS = 4

#: LLVM unrolls a shorter inner loop into scalar code before it could turn it into vector code (its threshold of 300
#: instructions; measured: 8 and, with few rows, 16 and 32 columns come out scalar, and ten times slower).
_SHORTEST_LOOP = 16

#: Intel processors for which LLVM prefers 256-bit vectors though they have AVX-512 (``TuningPrefer256Bit``).
_PREFER_256 = ("skylake", "cascadelake", "cooperlake", "cannonlake", "icelake", "tigerlake", "rocketlake",
               "sapphirerapids", "emeraldrapids", "graniterapids")  # fmt: skip


@dataclass(frozen=True)
class Target:
    """An instruction set: the processor's name, bytes in a vector register, number of vector registers."""

    cpu: str
    vector_bytes: int
    registers: int

    @classmethod
    def parse(cls, triple: str, cpu: str, features: str) -> Target:
        """Read what LLVM is told: ``features`` is a comma-separated list such as ``+avx2,-avx512f``."""
        has = set(features.split(","))
        if "+avx512f" in has and "+avx512vl" in has:
            return cls(cpu, 32 if cpu.startswith(_PREFER_256) else 64, 32)
        if "+avx2" in has:
            return cls(cpu, 32, 16)
        return cls(cpu, 16, 32 if triple.startswith(("aarch64", "arm64")) else 16)

    def tile_columns(self, itemsize: int) -> int:
        """Return the columns of a tile of `TILE_ROWS` rows, a divisor of `PANEL`, for items of that many bytes.

        The accumulators of a tile should fill half of the vector registers: four vectors a row of 32 registers, two
        of 16. Where that makes a loop too short for LLVM, the whole panel is used: its accumulators then stay in
        the first-level cache, which costs half of the speed and not nine tenths.
        """
        columns = self.registers // (2 * TILE_ROWS) * self.vector_bytes // itemsize
        return min(columns, PANEL) if columns >= _SHORTEST_LOOP else PANEL


def host() -> Target:
    """Return the target of Numba's compiler: this machine, unless ``NUMBA_CPU_NAME`` or ``_FEATURES`` say otherwise."""
    from numba.core.registry import cpu_target

    return Target.parse(*cpu_target.target_context.codegen().magic_tuple())
