"""What Numba makes of the loops: vector code for this processor, once per machine, and nothing inside a call."""

import os
import re
import shutil

import numpy as np
import pytest

from mlpbench.kernels.numba_jit.target import PANEL, Target, host
from support.assembly import compiled, host_features, printed
from support.sources import ROOT

KERNELS = ("numba", "numba-parallel", ("numba", "float64"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process filled, and what it said: among that its code, since code from a cache is not told."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, compiled(*KERNELS, shown=True, NUMBA_CACHE_DIR=folder)


def test_the_second_process_compiles_nothing(filled):
    folder, first = filled
    second = compiled(*KERNELS, NUMBA_CACHE_DIR=folder)
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


def test_without_a_folder_beside_the_code_the_users_own_is_taken(tmp_path):
    """For a copy of the kernels where no ``__pycache__`` can be made, not even by root: a file has the name."""
    package, home = tmp_path / "package", tmp_path / "home"
    shutil.copytree(ROOT / "kernels", package / "mlpbench/kernels", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mlpbench/__init__.py", package / "mlpbench")
    jit = package / "mlpbench/kernels/numba_jit"
    (jit / "__pycache__").write_text("")
    (jit / "small.py").write_text("def double(x):\n    return 2 * x\n")
    home.mkdir()
    places = {"HOME": home, "XDG_CACHE_HOME": home / ".cache", "LOCALAPPDATA": home, "NUMBA_CACHE_DIR": ""}
    expected = {"file": str(jit / "small.py"), "is": 42}
    assert printed(SMALL, cwd=package, **places) == {**expected, "loaded": 0}
    assert list(home.rglob("mlpbench.kernels.numba_jit.small.double.*.nbc"))
    assert printed(SMALL, cwd=package, **places) == {**expected, "loaded": 1}


@pytest.mark.parametrize("threads", [1, 2])
def test_it_uses_as_many_threads_as_numba_is_given(threads):
    if (os.cpu_count() or 1) < threads:
        pytest.skip(f"fewer than {threads} processors")
    parallel = compiled("numba-parallel", NUMBA_NUM_THREADS=threads)["describe"][0]
    assert parallel["threads"] == threads
    assert (parallel["serial_below_rows"] is None) == (threads == 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_main_loop_is_packed_fused_multiply_adds(filled, dtype):
    """A row of the tile, and the row alone, in registers as wide as the processor has: else it is ten times slower."""
    features = host_features()
    if not {"+avx2", "+fma"} <= features:
        pytest.skip("no x86 with AVX2 and FMA")
    code = filled[1]["code"][KERNELS.index("numba" if dtype == "float32" else ("numba", dtype))]
    target, packed = host(), {"float32": "ps", "float64": "pd"}[dtype]
    register = {64: "zmm", 32: "ymm"}[target.vector_bytes]
    found = re.findall(rf"vfmadd\w+{packed}\s.*%{register}", code)
    width = target.tile_columns(np.dtype(dtype).itemsize) * np.dtype(dtype).itemsize // target.vector_bytes
    assert len(found) >= 4 * min(width, 4), f"only {len(found)} of {4 * width} for a tile"


def test_the_main_loop_keeps_its_sums_in_registers(filled):
    """With 32 registers, each step over k multiplies four rows by four vectors, and stores nothing."""
    target = host()
    if target.registers != 32 or target.vector_bytes < 32:
        pytest.skip("not an x86 with AVX-512")
    code = filled[1]["code"][0]
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
