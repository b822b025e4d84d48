"""The code of the vector kernels for processors that are not here, as LLVM writes it. It is read, not run.

Intel and AMD with AVX-512, with AVX2, with SSE2 alone, and AArch64: where LLVM can write for it.
"""

import re

import pytest
from llvmlite import binding

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.passes import far, network
from mlpbench.kernels.numba_simd.passes.program import functions as functions_of
from support.assembly import VECTOR, functions, main_loop, multiply_adds, spills

pytestmark = pytest.mark.heavy  # seconds for each target

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"

TARGETS = {
    "avx512": (X86, "skylake-avx512", "+avx512f,+avx512vl,+avx2,+fma"),
    "avx2": (X86, "haswell", "+avx2,+fma"),
    "sse2": (X86, "x86-64", ""),
    "neon": (ARM, "generic", ""),
}
#: LLVM orders the instructions of several turns of these loops anew, and stores one vector for a moment.
SPILL_ONE = {
    ("avx2", "tile_3x1_f32"),
    ("avx2", "tile_3x1_f64"),
}
everywhere = pytest.mark.parametrize(
    ("isa", "bits"), [("avx512", 32), ("avx512", 64), ("avx2", 32), ("avx2", 64), ("sse2", 32), ("neon", 32)]
)


def target_machine(isa):
    """Return LLVM's compiler for a target, or skip where LLVM was built without it."""
    triple, cpu, features = TARGETS[isa]
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"LLVM cannot write for {triple}: {error}")
    return target.create_target_machine(cpu=cpu, features=features, opt=3)


def everything(isa, bits):
    """Return a module with every function that the kernels generate for a target, and its `Shape`."""
    triple, _, features = TARGETS[isa]
    shape = Shape.parse(triple, features, bits // 8)
    ways = {f"{kind}_{name}": write for kind, way in (("near", network), ("far", far))
            for name, write in functions_of(way).items()}  # fmt: skip
    return machine.written(ways, shape, bits), shape


@pytest.fixture(scope="module")
def written():
    """Return a function that returns (assembly, LLVM's own language, `Shape`) of everything for a target, made once."""
    made = {}

    def write(isa, bits):
        if (isa, bits) not in made:
            compiler = target_machine(isa)
            module, shape = everything(isa, bits)
            made[isa, bits] = compiler.emit_assembly(machine.optimised(module, compiler)), str(module), shape
        return made[isa, bits]

    return write


def arch(isa):
    return TARGETS[isa][0].partition("-")[0]


@everywhere
def test_every_tile_multiplies_vectors_and_spills_none(written, isa, bits):
    """Large tiles and small ones, those that skip zeros, and single columns: where they spend their time."""
    code, _, shape = written(isa, bits)
    assert shape.isa == isa
    assert not re.search(r"call\w*\s+\S*(exp|round|fma)", code)
    tiles = [name for name in functions(code) if re.search(r"tile_|dots_", name)]
    assert {f"tile_1x1_f{bits}", f"dots_1x1_f{bits}", f"sparse_tile_1x1_f{bits}"} <= set(tiles)
    for name in tiles:
        loop = main_loop(code, name)
        rows, columns = map(int, re.search(r"(\d+)x(\d+)", name).groups())
        count = multiply_adds(loop, bits)
        assert count >= rows * columns
        assert count % (rows * columns) == 0, name
        spilled = spills(loop, arch(isa))
        assert len(spilled) <= 2 * ((isa, name) in SPILL_ONE), (name, spilled)


@everywhere
def test_there_is_no_instruction_that_the_target_lacks(written, isa, bits):
    """LLVM would refuse an intrinsic without its feature; what it makes of plain vectors is looked at here."""
    code, source, _ = written(isa, bits)
    lines = [line.strip() for body in functions(code).values() for line in body.splitlines()]
    registers = {name for line in lines for name in re.findall(VECTOR[arch(isa)], line)}
    kinds = {re.sub(r"\d", "", name) for name in registers}
    if isa == "neon":
        assert "llvm.x86" not in source
        assert kinds <= {"v", "q"}
    else:
        widest = {"avx512": "%zmm", "avx2": "%ymm", "sse2": "%xmm"}[isa]
        assert widest in kinds
        assert kinds <= {"avx512": {"%xmm", "%ymm", "%zmm"}, "avx2": {"%xmm", "%ymm"}, "sse2": {"%xmm"}}[isa]
    if isa == "avx2":
        assert not [name for name in registers if int(name[4:]) > 15]
        assert not [line for line in lines if re.search(r"%k\d", line)]
    if isa == "sse2":
        assert not [line for line in lines if line.startswith("v")]


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
@pytest.mark.parametrize("bits", [32, 64])
def test_tiles_of_far_weights_ask_for_them_once_a_cache_line(written, isa, bits):
    code, _, shape = written(isa, bits)
    for rows in shape.ladder:
        loop = main_loop(code, f"far_tile_{rows}x{shape.vectors}_f{bits}")
        steps = multiply_adds(loop, bits) // (rows * shape.vectors)
        asked = [line for line in loop if line.startswith("prefetch")]
        assert len(asked) == steps * shape.vectors * shape.lanes * bits // 8 // 64
