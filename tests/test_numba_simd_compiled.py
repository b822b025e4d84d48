"""What the vector kernels compile to: fused multiply-adds in registers, for this processor and others, kept on disk."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from kernels.mlp_numba_simd import NumbaSimdKernel
from kernels.numba_simd import cache, network
from kernels.numba_simd.shape import Shape, host_shape
from kernels.params import seeded
from kernels.spec import MNIST

ROOT = Path(__file__).resolve().parents[1]

#: Makes kernels and computes with them; says what was compiled, when, and what the kernels say of themselves.
SCRIPT = """
import json, sys
import numba
import numba.core.event as event
import numpy as np
from kernels.conformance import check
from kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from kernels.params import seeded
from kernels.spec import MNIST, ForwardSpec

x = np.random.default_rng(0).random((50, 784), np.float32)
with event.install_recorder("numba:compile") as made:
    classes = (NumbaSimdKernel, NumbaSimdSparseKernel, NumbaSimdParallelKernel)[: int(sys.argv[1])]
    kernels = [cls(MNIST, seeded(MNIST)) for cls in classes]
with event.install_recorder("numba:compile") as called:
    sums = [float(np.square(kernel.forward(x)).sum()) for kernel in kernels]
    sums += [float(np.square(kernel.forward_one(x[0])).sum()) for kernel in kernels]
ratios = [
    check(cls, ForwardSpec(sizes, hidden)).max_error_ratio
    for cls in classes for sizes in ((784, 50, 100, 10), (65, 37, 3)) for hidden in ("sigmoid", "relu", "step")
]
code = ""
if "assembly" in sys.argv:
    from kernels.numba_simd import network
    x_type = numba.types.Array(numba.float32, 2, "C", readonly=True)
    serial = numba.njit(**network._OPTIONS)(network._serial)
    serial.compile(numba.types.void(x_type, numba.int64))
    (code,) = serial.inspect_asm().values()
wide = {name: name in code for name in ("%zmm", "%ymm", "vfmadd", "scalef")}
print(json.dumps({"wide": wide, "made": len(made.buffer), "called": len(called.buffer), "sums": sums, "ratios": ratios,
                  "describe": [kernel.describe() for kernel in kernels]}))
"""


def start(kernels=2, also="", **environment):
    """Start the script in a fresh process."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **{name: str(value) for name, value in environment.items()}}
    command = [sys.executable, "-c", SCRIPT, str(kernels), also]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)


def finish(process):
    """Return what the script prints."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return json.loads(out)


def run(**settings):
    return finish(start(**settings))


def host_features():
    from numba.core.registry import cpu_target

    return set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that two processes filled at once, and what they said."""
    folder = tmp_path_factory.mktemp("cache")
    both = [start(kernels=3, NUMBA_CACHE_DIR=folder) for _ in range(2)]
    return folder, [finish(process) for process in both]


@pytest.fixture(scope="module")
def assembly():
    """The serial forward pass by dtype, compiled now: code from the cache cannot be inspected."""
    made = {}
    for dtype in ("float32", "float64"):
        item = numba.from_dtype(np.dtype(dtype))
        dispatcher = numba.njit(**network._OPTIONS)(network._serial)
        dispatcher.compile(numba.types.void(numba.types.Array(item, 2, "C", readonly=True), numba.int64))
        (made[dtype],) = dispatcher.inspect_asm().values()
    return made


def main_loop(code, name):
    """Return the instructions of the longest loop of a function that jumps back to its own start."""
    body = code.partition(f"\n{name}:\n")[2].partition("\n.Lfunc_end")[0]
    assert body, f"no function {name}"
    loops = []
    for block in re.split(r"^(?=\.LBB)", body, flags=re.MULTILINE):
        label, _, text = block.partition(":\n")
        inside, jump, _ = text.partition(f"\t{label}\n")
        if jump and not re.search(r"^\tj", inside.rpartition("\n")[0], flags=re.MULTILINE):
            loops.append([line.strip() for line in inside.splitlines()[:-1]])
    assert loops, f"no loop in {name}"
    return max(loops, key=len)


@pytest.mark.parametrize("kind", ["", "turned_", "sparse_"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_main_loop_multiplies_and_adds_in_registers_and_spills_nothing(assembly, dtype, kind):
    shape = host_shape(np.dtype(dtype).itemsize)
    if shape.isa not in ("avx512", "avx2"):
        pytest.skip("no x86 with FMA")
    bits, suffix = {"float32": (32, "ps"), "float64": (64, "pd")}[dtype]
    register = {"avx512": "%zmm", "avx2": "%ymm"}[shape.isa]
    loop = main_loop(assembly[dtype], f"{kind}tile_{shape.rows}x{shape.vectors}_f{bits}")
    fused = [line for line in loop if re.match(rf"vfmadd\d+{suffix}\t.*{register}\d+$", line)]
    assert len(fused) % (shape.rows * shape.vectors) == 0
    assert len(fused) >= shape.rows * shape.vectors
    vectors = [line for line in loop if register in line]
    assert not [line for line in vectors if re.search(r"%rsp", line)], "a vector is spilled"
    assert not [line for line in vectors if line.endswith(")")], "a vector is stored"
    loads = [line for line in vectors if "(" in line]
    assert len(loads) == len(fused) // (shape.rows * shape.vectors) * (shape.rows + shape.vectors)


def test_exp_calls_nothing(assembly):
    for code in assembly.values():
        assert not re.search(r"call\w*\s+\S*(exp|round|fma)", code)


def test_the_second_process_compiles_nothing(filled):
    folder, first = filled
    second = run(kernels=3, NUMBA_CACHE_DIR=folder)
    assert second["made"] == second["called"] == 0
    assert [described["compiled_before"] for described in second["describe"]] == [True, True, True]
    assert all(result["called"] == 0 for result in first), "no call compiles: it would be in the clock"
    assert first[0]["sums"] == first[1]["sums"] == second["sums"]
    assert not list(folder.rglob("*.tmp"))


def test_a_damaged_file_is_made_again(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def hits():
        return sum(network.compiled.__wrapped__("float64", "single").stats.cache_hits.values())

    assert hits() == 0
    assert hits() == 1
    (path,) = tmp_path.rglob("*.nbc")
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    for damaged in (bytes(changed), content[:1000], b""):
        path.write_bytes(damaged)
        assert hits() == 0, "damage was loaded"
    assert hits() == 1, "and the file that was made again is kept"


def test_the_key_covers_source_processor_and_versions(monkeypatch, tmp_path):
    file = cache.OneFile(str(tmp_path), "any")
    key = ("signature", ("triple", "cpu", "features"), "bytecode")
    paths = {file.path(key), file.path(("other", *key[1:])), file.path((key[0], ("triple", "other", ""), key[2]))}
    for name, value in (("numba.__version__", "9"), ("llvmlite.__version__", "9"), ("sys.version", "9")):
        with monkeypatch.context() as patch:
            patch.setattr(f"kernels.numba_simd.cache.{name}", value)
            paths.add(file.path(key))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "source_digest", lambda: "changed")
        paths.add(file.path(key))
    assert len(paths) == 7


def test_every_file_that_writes_code_is_part_of_the_key():
    names = {path.name for path in Path(cache.__file__).parent.glob("*.py")}
    assert {
        "tile.py",
        "vector.py",
        "functions.py",
        "layers.py",
        "network.py",
        "shape.py",
        "sparse.py",
        "turned.py",
    } <= names


def test_without_any_folder_it_compiles_all_the_same(monkeypatch):
    def fail(_self):
        raise RuntimeError("cannot cache function: no locator available for file")

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", fail)
    kernel = network.compiled.__wrapped__("float64", "single")
    assert kernel.stats.cache_hits == {}


@pytest.mark.parametrize(
    ("cpu", "features", "isa"),
    [("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,-avx512f", "avx2"), ("x86-64", "+sse,+sse2,-sse3,-avx,-avx512f", "sse2")],
)
def test_other_processors_of_the_family_get_the_same_result(tmp_path, cpu, features, isa):
    if "+avx2" not in host_features():
        pytest.skip("no x86 with AVX2")
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    result = run(also="assembly", NUMBA_CACHE_DIR=tmp_path, **target)
    vectors = isa == "avx2"
    assert result["wide"] == {"%zmm": False, "%ymm": vectors, "vfmadd": vectors, "scalef": False}
    assert [described["isa"] for described in result["describe"]] == [isa, isa]
    assert max(result["ratios"]) < 0.5
    x = np.random.default_rng(0).random((50, 784), np.float32)
    expected = np.square(NumbaSimdKernel(MNIST, seeded(MNIST)).forward(x)).sum()
    assert result["sums"][:2] == pytest.approx([expected] * 2, rel=1e-5)


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
