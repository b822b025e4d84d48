"""What the processor offers to vector code, and the register tile that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

#: Single columns that are computed together.
DOT_COLUMNS = 2
#: Items behind the bytes of a row, a cache line: the first two are its step and its zero (`quads`).
BEHIND = 16

#: Processors that compute a vector of 512 bits in two turns, as LLVM names them.
_TWO_TURNS = ("znver4",)


@dataclass(frozen=True)
class Shape:
    """A tile: ``rows`` inputs by ``vectors`` weight vectors of ``lanes`` columns, all its sums in registers.

    ``fma``: the processor multiplies and adds in one instruction. ``avx512``: it has AVX-512F and VL. ``registers``:
    how many vector registers there are. ``group``: the rows that skip zeros together. A smaller group skips more, and
    leaves less time to load weights. A processor that takes two turns for each vector has time for groups of half a
    tile. ``vnni``: it multiplies bytes and adds up four products at once; ``int8``: the program has it do so.
    """

    isa: str
    lanes: int
    rows: int
    vectors: int
    registers: int
    fma: bool
    avx512: bool
    group: int
    vnni: bool = False
    int8: bool = False

    @classmethod
    def parse(cls, triple: str, features: str, itemsize: int, cpu: str = "") -> Shape:
        """Read what LLVM gets: ``features`` is a comma-separated list such as ``+avx2,-avx512f``.

        Only what is listed is used. A CPU name that implies more than the list says gets the code of the list: slower
        than it could be, and never an instruction too many. The name decides nothing but ``group``.
        """
        has = set(features.split(","))
        if triple.startswith(("aarch64", "arm64")):
            return cls("neon", 16 // itemsize, 8, 3, 32, fma=True, avx512=False, group=8)
        if {"+avx512f", "+avx512vl"} <= has:
            group, vnni = 4 if cpu in _TWO_TURNS else 8, "+avx512vnni" in has
            return cls("avx512", 64 // itemsize, 8, 3, 32, fma=True, avx512=True, group=group, vnni=vnni)
        if {"+avx2", "+fma"} <= has:
            vnni = "+avxvnni" in has
            return cls("avx2", 32 // itemsize, 6, 2, 16, fma=True, avx512=False, group=6, vnni=vnni)
        isa = "sse2" if triple.startswith(("x86_64", "i686")) else "generic"
        return cls(isa, 16 // itemsize, 4, 2, 16, fma=False, avx512=False, group=4)

    @property
    def ladder(self) -> tuple[int, ...]:
        """Heights of the tiles, falling to 1: what a full tile leaves over is computed by smaller ones."""
        heights = [self.rows]
        while heights[-1] > 1:
            heights.append(heights[-1] // 2)
        return tuple(heights)

    @property
    def label(self) -> str:
        """Rows by columns, as `describe` shows it: ``8x48``."""
        return f"{self.rows}x{self.vectors * self.lanes}"


def host_shape(itemsize: int) -> Shape:
    """Return the shape for the target of Numba's compiler: this machine, unless ``NUMBA_CPU_*`` say otherwise."""
    from numba.core.registry import cpu_target

    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    return Shape.parse(triple, features, itemsize, cpu)
