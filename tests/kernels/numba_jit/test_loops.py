"""What Numba makes of the loops: vector code for this processor, once per machine, and nothing inside a call."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from mlpbench.kernels.mlp_numba import NumbaKernel
from mlpbench.kernels.numba_jit import loops
from mlpbench.kernels.numba_jit.target import PANEL, Target, host
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST
from support.sources import ROOT

#: Makes both kernels and computes with them; says what was compiled, when, and what the kernels say of themselves.
SCRIPT = """
import json, sys
import numba.core.event as event
import numpy as np
from mlpbench.kernels.numba_jit import loops
from mlpbench.kernels.mlp_numba import NumbaKernel, NumbaParallelKernel
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec

x = np.random.default_rng(0).random((50, 784), np.float32)
with event.install_recorder("numba:compile") as made:
    kernels = [cls(MNIST, seeded(MNIST)) for cls in (NumbaKernel, NumbaParallelKernel)[:int(sys.argv[1])]]
    other = ForwardSpec((9, 70, 3), "step", "identity")
    kernels.append(NumbaKernel(other, seeded(other)))
with event.install_recorder("numba:compile") as called:
    sums = [float(kernel.forward(x[:, :kernel.spec.n_in].copy()).sum()) for kernel in kernels]
    sums += [float(kernel.forward_one(x[0, :kernel.spec.n_in].copy()).sum()) for kernel in kernels]
code = {dtype: [*loops.compiled(dtype, parallel=False).inspect_asm().values()] for dtype in sys.argv[2:]}
print(json.dumps({
    "made": len(made.buffer), "called": len(called.buffer), "sums": sums, "code": code,
    "describe": [kernel.describe() for kernel in kernels],
}))
"""


def run_script(script, cwd, *words, **environment):
    """Run a script in a fresh process; return what it prints. A variable that is empty is taken out."""
    env = {**os.environ, "PYTHONPATH": str(cwd), **{name: str(value) for name, value in environment.items()}}
    env = {name: value for name, value in env.items() if value}
    command = [sys.executable, "-c", script, *words]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def run(kernels=1, shown=(), **environment):
    return run_script(SCRIPT, ROOT, str(kernels), *shown, **environment)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process filled, and what it said: among that its code, since code from a cache is not told."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, run(kernels=2, shown=("float32", "float64"), NUMBA_CACHE_DIR=folder)


def test_the_second_process_compiles_nothing(filled):
    folder, first = filled
    second = run(kernels=2, NUMBA_CACHE_DIR=folder)
    assert first["made"] > 0
    assert second["made"] == 0, "one signature serves every specification, and it is on disk"
    assert first["called"] == second["called"] == 0, "no call compiles: it would be in the clock"
    assert [d["compiled_before"] for d in first["describe"]] == [False, False, False]
    assert [d["compiled_before"] for d in second["describe"]] == [True, True, True]
    assert first["sums"] == second["sums"]


#: Compiles one small function, or loads it; says where the code lies and how often it was loaded.
SMALL = """
import json
import numba
from mlpbench.kernels.numba_jit import cache, small
double = cache.compile_once(small.double, numba.int64(numba.int64))
print(json.dumps({"file": small.__file__, "is": double(21), "loaded": sum(double.stats.cache_hits.values())}))
"""


@pytest.fixture
def run_small(tmp_path):
    """Return a function that runs `SMALL` on a copy of the kernels in a place where no ``__pycache__`` can be made.

    Not even by root: a file has the name. ``home`` is the user's folder.
    """
    package, home = tmp_path / "package", tmp_path / "home"
    shutil.copytree(ROOT / "kernels", package / "mlpbench/kernels", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mlpbench/__init__.py", package / "mlpbench")
    jit = package / "mlpbench/kernels/numba_jit"
    (jit / "__pycache__").write_text("")
    (jit / "small.py").write_text("def double(x):\n    return 2 * x\n")
    places = {"HOME": home, "XDG_CACHE_HOME": home / ".cache", "LOCALAPPDATA": home, "NUMBA_CACHE_DIR": ""}

    def run_it():
        said = run_script(SMALL, package, **places)
        assert Path(said["file"]).is_relative_to(package)
        assert said["is"] == 42
        return said["loaded"]

    return home, run_it


def test_without_a_folder_beside_the_code_the_users_own_is_taken(run_small):
    home, run_it = run_small
    home.mkdir()
    assert run_it() == 0
    assert list(home.rglob("mlpbench.kernels.numba_jit.small.double.*.nbc"))
    assert run_it() == 1


def test_without_any_folder_it_compiles_all_the_same(run_small):
    home, run_it = run_small
    home.write_text("no folder")
    assert (run_it(), run_it()) == (0, 0)


def test_another_error_while_compiling_is_not_hidden(monkeypatch):
    def fail(*_signature, **_options):
        raise RuntimeError("LLVM is out of order")

    monkeypatch.setattr(numba, "njit", fail)
    with pytest.raises(RuntimeError, match="out of order"):
        loops.compiled.__wrapped__("float32", parallel=False)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_uses_as_many_threads_as_numba_is_given(threads):
    if (os.cpu_count() or 1) < threads:
        pytest.skip(f"fewer than {threads} processors")
    parallel = run(kernels=2, NUMBA_NUM_THREADS=threads)["describe"][1]
    assert parallel["threads"] == threads
    assert (parallel["serial_below_rows"] is None) == (threads == 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_main_loop_is_packed_fused_multiply_adds(filled, dtype):
    """A row of the tile, and the row alone, in registers as wide as the processor has: else it is ten times slower."""
    features = host_features()
    if not {"+avx2", "+fma"} <= features:
        pytest.skip("no x86 with AVX2 and FMA")
    (code,) = filled[1]["code"][dtype]
    target, packed = host(), {"float32": "ps", "float64": "pd"}[dtype]
    register = {64: "zmm", 32: "ymm"}[target.vector_bytes]
    found = re.findall(rf"vfmadd\w+{packed}\s.*%{register}", code)
    width = target.tile_columns(np.dtype(dtype).itemsize) * np.dtype(dtype).itemsize // target.vector_bytes
    assert len(found) >= 4 * min(width, 4), f"only {len(found)} of {4 * width} for a tile"


def host_features():
    from numba.core.registry import cpu_target

    return set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))


def test_the_main_loop_keeps_its_sums_in_registers(filled):
    """With 32 registers, each step over k multiplies four rows by four vectors, and stores nothing."""
    target = host()
    if target.registers != 32 or target.vector_bytes < 32:
        pytest.skip("not an x86 with AVX-512")
    (code,) = filled[1]["code"]["float32"]
    register = {64: "%zmm", 32: "%ymm"}[target.vector_bytes] + r"\d+"
    multiply_add = (
        rf"vfmadd\w+ps\s+{register}, {register}, {register}\n"  # no operand in memory: weights used four times
    )
    blocks = [block.partition("\tj")[0] for block in re.split(r"^\.LBB\w+:", code, flags=re.MULTILINE)]
    tiles = [block for block in blocks if len(re.findall(multiply_add, block)) == 16]
    assert tiles, "no loop over a whole tile"
    assert [tile for tile in tiles if not re.search(rf"vmov\w+\s+{register}, \S*\(", tile)], "the sums are stored"


@pytest.mark.parametrize(
    ("cpu", "features", "vector_bytes", "columns"),
    [
        ("znver5", "+avx512f,+avx512vl,+avx2,+fma", 64, {4: 64, 8: 32}),
        ("sapphirerapids", "+avx512f,+avx512vl,+avx2,+fma", 32, {4: 32, 8: 16}),
        ("haswell", "-avx512f,-avx512vl,+avx2,+fma", 32, {4: 16, 8: 64}),
        ("x86-64", "+sse2", 16, {4: 64, 8: 64}),
    ],
)
def test_the_tile_follows_from_the_registers(cpu, features, vector_bytes, columns):
    target = Target.parse("x86_64-unknown-linux-gnu", cpu, features)
    assert target.vector_bytes == vector_bytes
    assert {itemsize: target.tile_columns(itemsize) for itemsize in (4, 8)} == columns


def test_arm_has_32_registers():
    target = Target.parse("arm64-apple-darwin23.0.0", "apple-m1", "+neon,+fp-armv8")
    assert (target.vector_bytes, target.registers, target.tile_columns(4)) == (16, 32, 16)


@pytest.mark.parametrize("itemsize", [4, 8])
def test_a_panel_is_whole_tiles(itemsize):
    for vector_bytes in (16, 32, 64):
        for registers in (16, 32):
            assert PANEL % Target("any", vector_bytes, registers).tile_columns(itemsize) == 0


@pytest.mark.parametrize(
    ("cpu", "features"),
    [("haswell", "+avx,+avx2,+fma,+bmi,+bmi2,-avx512f"), ("x86-64", "+sse,+sse2")],
)
def test_other_processors_of_the_family_get_the_same_result(tmp_path, cpu, features):
    if "+avx2" not in host_features():
        pytest.skip("no x86 with AVX2")
    result = run(NUMBA_CACHE_DIR=tmp_path, NUMBA_CPU_NAME=cpu, NUMBA_CPU_FEATURES=features)
    assert result["describe"][0]["cpu_target"] == cpu
    x = np.random.default_rng(0).random((50, 784), np.float32)
    assert result["sums"][0] == pytest.approx(NumbaKernel(MNIST, seeded(MNIST)).forward(x).sum(), rel=1e-5)
