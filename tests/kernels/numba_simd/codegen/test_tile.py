"""The code of the vector kernels for processors that are not here, as LLVM writes it. It is read, not run."""

import re

import pytest
from llvmlite import binding

from mlpbench.kernels.numba_simd.codegen import machine
from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.passes import far, network
from mlpbench.kernels.numba_simd.passes.program import functions as functions_of

pytestmark = pytest.mark.heavy  # seconds for each target

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
TARGETS = {
    "avx512": (X86, "skylake-avx512", "+avx512f,+avx512vl,+avx2,+fma"),
    "avx2": (X86, "haswell", "+avx2,+fma"),
    "sse2": (X86, "x86-64", ""),
    "neon": (ARM, "generic", ""),
}
#: A vector that goes from or to the stack.
SPILL = {X86: r"%[xyz]mm\d.*\(%rsp|\(%rsp.*%[xyz]mm\d", ARM: r"\b[vq]\d.*\[sp"}
#: LLVM orders the instructions of several turns of these loops anew, and stores one vector for a moment.
SPILL_ONE = {("avx2", "tile_3x1_f32"), ("avx2", "tile_3x1_f64")}
FUNCTION = re.compile(r"^([a-z]\w*):.*\n((?:.*\n)*?)\.Lfunc_end", re.MULTILINE)
#: What ends a block: a jump, of x86 or AArch64.
JUMP = re.compile(r"^\t(j|b\.|b\t|cb|tb)", re.MULTILINE)


def assembly(isa, bits):
    """Return all that the kernels generate for a target, compiled; skip the test where LLVM was built without it."""
    triple, cpu, features = TARGETS[isa]
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(triple)
    except RuntimeError as error:
        pytest.skip(f"LLVM cannot write for {triple}: {error}")
    ways = {f"{kind}_{name}": write for kind, way in (("near", network), ("far", far))
            for name, write in functions_of(way).items()}  # fmt: skip
    module = machine.written(ways, Shape.parse(triple, features, bits // 8), bits)
    compiler = target.create_target_machine(cpu=cpu, features=features, opt=3)
    return compiler.emit_assembly(machine.optimised(module, compiler))


def main_loop(body):
    """Return the instructions of the longest innermost loop: a block that jumps back to its own start."""
    found = []
    for block in re.split(r"^(?=\.LBB)", body, flags=re.MULTILINE):
        label, _, text = block.partition(":")
        inside, jump, _ = re.sub(r"[ \t]*[#/]+ .*", "", text).partition(f"{label}\n")
        if label.startswith(".LBB") and jump and not JUMP.search(inside.rpartition("\n")[0]):
            found.append([line.strip() for line in inside.splitlines() if re.match(r"\t[^.]", line)])
    return max(found, key=len)


@pytest.mark.parametrize(
    ("isa", "bits"), [("avx512", 32), ("avx512", 64), ("avx2", 32), ("avx2", 64), ("sse2", 32), ("neon", 32)]
)
def test_every_tile_multiplies_vectors_and_spills_none(isa, bits):
    """Large tiles and small ones, those that skip zeros, and single columns: where they spend their time."""
    code, item = assembly(isa, bits), {32: "s", 64: "d"}[bits]
    assert not re.search(r"call\w*\s+\S*(exp|round|fma)", code)
    tiles = {name: body for name, body in FUNCTION.findall(code) if re.search(r"tile_|dots_", name)}
    assert {f"tile_1x1_f{bits}", f"dots_1x1_f{bits}", f"sparse_tile_1x1_f{bits}"} <= tiles.keys()
    products = re.compile(rf"vfmadd\d+p{item}\t|fmla\tv\d+\.\d{item}, |v?mulp{item}\t")
    for name, body in tiles.items():
        loop, (rows, columns) = main_loop(body), map(int, re.search(r"(\d+)x(\d+)", name).groups())
        turns, over = divmod(sum(bool(products.match(line)) for line in loop), rows * columns)
        assert (turns > 0, over) == (True, 0), name
        spilled = [line for line in loop if re.search(SPILL[TARGETS[isa][0]], line)]
        assert len(spilled) <= 2 * ((isa, name) in SPILL_ONE), (name, spilled)
