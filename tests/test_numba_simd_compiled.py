"""What the vector kernels compile to: fused multiply-adds in registers, for this processor and others, kept on disk."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from assembly import compiled, require_registers

from kernels.mlp_numba_simd import NumbaSimdKernel
from kernels.numba_simd.shape import Shape, host_shape
from kernels.params import seeded
from kernels.spec import MNIST

ROOT = Path(__file__).resolve().parents[1]
EVERY_VARIANT = {"kernels": 3, "dtypes": ("float32", "float64")}

#: Makes kernels and computes with them; says what was compiled, when, and what the kernels say of themselves.
SCRIPT = """
import json, sys
import numba
import numba.core.event as event
import numpy as np
from assembly import compiled
from kernels.conformance import check
from kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from kernels.params import seeded
from kernels.spec import MNIST, ForwardSpec

x = np.random.default_rng(0).random((50, 784), np.float32)
count, dtypes, shown = json.loads(sys.argv[1])
classes = (NumbaSimdKernel, NumbaSimdSparseKernel, NumbaSimdParallelKernel)[:count]
specs = [ForwardSpec(MNIST.sizes, dtype=dtype) for dtype in dtypes]
with event.install_recorder("numba:compile") as made:
    kernels = [cls(spec, seeded(spec)) for spec in specs for cls in classes]
with event.install_recorder("numba:compile") as called:
    sums = [float(np.square(kernel.forward(x.astype(kernel.spec.dtype))).sum()) for kernel in kernels]
    sums += [float(np.square(kernel.forward_one(x[0].astype(kernel.spec.dtype))).sum()) for kernel in kernels]
compiler = "numba.np.linalg" in sys.modules
later = float(numba.njit(lambda a: (a @ a).sum())(np.eye(3)))
ratios = [
    check(cls, ForwardSpec(sizes, hidden)).max_error_ratio
    for cls in classes for sizes in ((784, 50, 100, 10), (65, 37, 3)) for hidden in ("sigmoid", "relu", "step")
]
print(json.dumps({"made": len(made.buffer), "called": len(called.buffer), "sums": sums, "ratios": ratios,
                  "compiler": compiler, "later": later,
                  "describe": [kernel.describe() for kernel in kernels],
                  "code": {dtype: compiled(dtype) for dtype in shown}}))
"""


def start(kernels=2, dtypes=("float32",), shown=(), **environment):
    """Start the script in a fresh process, for so many of the kernels; ``shown`` are dtypes whose code it returns."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in environment.items()}}
    command = [sys.executable, "-c", SCRIPT, json.dumps([kernels, dtypes, shown])]
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
    """A cache that one process filled with every variant, and another with two of them at once; what they said."""
    folder = tmp_path_factory.mktemp("cache")
    both = [start(**variants, NUMBA_CACHE_DIR=folder) for variants in (EVERY_VARIANT, {"kernels": 2})]
    return folder, [finish(process) for process in both]


@pytest.fixture(scope="module")
def assembly():
    """The code of the serial forward pass by dtype."""
    return {dtype: compiled(dtype) for dtype in ("float32", "float64")}


@pytest.mark.parametrize("kind", ["", "turned_", "sparse_"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_main_loop_multiplies_and_adds_in_registers_and_spills_nothing(assembly, dtype, kind):
    shape = host_shape(np.dtype(dtype).itemsize)
    if shape.isa not in ("avx512", "avx2"):
        pytest.skip("no x86 with FMA")
    require_registers(assembly[dtype], shape, 8 * np.dtype(dtype).itemsize, "x86_64", kind)


def test_exp_calls_nothing(assembly):
    for code in assembly.values():
        assert not re.search(r"call\w*\s+\S*(exp|round|fma)", code)


def test_the_second_process_compiles_nothing(filled):
    folder, first = filled
    second = run(**EVERY_VARIANT, NUMBA_CACHE_DIR=folder)
    assert any(result["made"] > 0 for result in first)
    assert second["made"] == second["called"] == 0
    assert [described["compiled_before"] for described in second["describe"]] == [True] * 6
    assert all(result["called"] == 0 for result in first), "no call compiles: it would be in the clock"
    assert not second["compiler"], "a compiler takes half of the time to a first result to prepare itself"
    assert second["later"] == 3.0, "and does so when it is needed"
    assert first[0]["sums"] == second["sums"]
    assert first[0]["sums"][:2] == first[1]["sums"][:2]
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("cpu", "features", "isa"),
    [("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,-avx512f", "avx2"), ("x86-64", "+sse,+sse2,-sse3,-avx,-avx512f", "sse2")],
)
def test_other_processors_of_the_family_get_the_same_result(tmp_path, cpu, features, isa):
    if "+avx2" not in host_features():
        pytest.skip("no x86 with AVX2")
    target = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features}
    result = run(shown=("float32", "float64"), NUMBA_CACHE_DIR=tmp_path, **target)
    for dtype, code in result["code"].items():
        vectors = isa == "avx2"
        found = {name: name in code for name in ("%zmm", "%ymm", "vfmadd", "scalef")}
        assert found == {"%zmm": False, "%ymm": vectors, "vfmadd": vectors, "scalef": False}
        itemsize = np.dtype(dtype).itemsize
        require_registers(code, Shape.parse("x86_64-unknown-linux-gnu", features, itemsize), 8 * itemsize, "x86_64")
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
