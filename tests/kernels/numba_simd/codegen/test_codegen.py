"""Generated code: kept for one purpose alone, right on other processors, in vectors that do not spill, all done."""

import ctypes
import re

import numpy as np
import pytest
from llvmlite import binding

from mlpbench.kernels.numba_simd.codegen import machine, peak
from mlpbench.kernels.numba_simd.codegen.shape import Shape, host_shape
from mlpbench.kernels.numba_simd.passes import far, network
from mlpbench.kernels.numba_simd.passes.program import functions as functions_of
from support.compiling import compiled, host_features

SIGNATURE = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3)


def numbers(code, x, plan, rows, layer, thread):
    """Write the three integers into the plan."""
    for place, value in enumerate((rows, layer, thread)):
        code.builder.store(value.value, (plan + place).value)


FUNCTIONS = {"nothing": lambda *_: None, "numbers": numbers}


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
    plan = np.zeros(3, np.int64)
    SIGNATURE(again.addresses[1])(None, plan.ctypes.data, 1, 2, 3)
    assert plan.tolist() == [1, 2, 3], "loaded code runs"
    machine.Program(FUNCTIONS, host_shape(8), 64, kept_as=numbers)
    machine.Program(FUNCTIONS, host_shape(4), 32, kept_as=numbers, others=("tanh",))
    assert len(made) == 3
    assert all(machine.host() in key for key in made), "another processor has code of its own"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turns", [0, 1, 7])
def test_the_multiply_adds_are_really_done(dtype, turns):
    """The result depends on every one of them: a compiler that left some out would be found out."""
    memory = np.random.default_rng(1).uniform(0.5, 0.9, 64).astype(dtype)
    lanes = peak.host_shape(memory.itemsize).lanes
    sums = peak.flop_per_turn(dtype) // (2 * lanes)
    factor, values = memory[:lanes].copy(), np.array([memory[i : i + lanes] for i in range(sums)])
    for _ in range(turns):
        values = values * factor + factor
    peak.compiled_peak(dtype)(memory, turns)
    assert memory[:lanes] == pytest.approx(factor + values.sum(axis=0), rel=1e-5)


def test_the_widest_vectors_are_used_where_llvm_prefers_narrower_ones(monkeypatch):
    """As on Intel's processors with AVX-512: a peak of half the width would make right times impossible."""
    wide = Shape.parse("x86_64-unknown-linux-gnu", "+avx2,+fma,+avx512f,+avx512vl", 4)
    monkeypatch.setattr(peak, "host_shape", lambda _itemsize: wide)
    assert peak.flop_per_turn("float32") == 2 * 12 * 16


# Compiled for other processors: they use what those have, and no more, and give the same result

COMMON, RARE = ("sigmoid", "relu", "step"), ("tanh,gelu", "silu", "leaky-relu:0.2")
HASWELL = "haswell", "+avx,+avx2,+fma,+bmi,+bmi2,-avx512f", "avx2"
OLDEST = "x86-64", "+sse,+sse2,-sse3,-avx,-avx512f", "sse2"


@pytest.mark.parametrize(
    ("cpu", "features", "isa", "hidden"),
    [
        (*OLDEST, COMMON),
        *(pytest.param(*of, hidden, marks=pytest.mark.heavy) for of, hidden in ((HASWELL, COMMON), (OLDEST, RARE))),
    ],
)
def test_other_processors_of_the_family_get_the_right_result(tmp_path, cpu, features, isa, hidden):
    if "+avx2" not in host_features():
        pytest.skip("no x86 with AVX2")
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    result = compiled("numba-simd", "numba-simd-sparse", hidden=hidden, NUMBA_CACHE_DIR=tmp_path, **target)
    assert [described["isa"] for described in result["describe"]] == [isa, isa]
    assert max(result["ratios"]) < 0.5


@pytest.mark.parametrize(
    ("triple", "features", "isa", "tile"),
    [
        ("x86_64-unknown-linux-gnu", "+avx512f,+avx512vl,+avx2,+fma", "avx512", "8x48"),
        ("x86_64-unknown-linux-gnu", "+avx512f,-avx512vl,+avx2,+fma", "avx2", "6x16"),
        ("x86_64-unknown-linux-gnu", "+avx,+avx2,-fma", "sse2", "4x8"),
        ("x86_64-unknown-linux-gnu", "", "sse2", "4x8"),
        ("arm64-apple-darwin23.0.0", "+neon", "neon", "8x12"),
        ("powerpc64le-unknown-linux-gnu", "", "generic", "4x8"),
    ],
)
def test_the_tile_follows_from_what_the_processor_has(triple, features, isa, tile):
    shape = Shape.parse(triple, features, 4)
    assert (shape.isa, shape.label) == (isa, tile)
    assert Shape.parse(triple, features, 8).lanes == shape.lanes // 2
    assert shape.rows * shape.vectors + shape.vectors + 1 <= shape.registers, "sums, weights and an input"
    assert shape.ladder[-1] == 1
    assert shape.group == shape.rows


# As LLVM writes it for processors that are not here: it is read, not run

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


@pytest.mark.heavy  # seconds for each target
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
