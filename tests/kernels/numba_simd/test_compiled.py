"""What the vector kernels compile to: fused multiply-adds in registers for this processor, kept on disk."""

import re

import numpy as np
import pytest

from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.assembly import require_registers
from support.simd_process import finish, run, start

DTYPES = ("float32", "float64")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process filled with every kernel, and another with two of them at once; what they said."""
    folder = tmp_path_factory.mktemp("cache")
    both = [start(**asked, NUMBA_CACHE_DIR=folder) for asked in ({"kernels": 3, "shown": DTYPES}, {"kernels": 2})]
    return folder, [finish(process) for process in both]


@pytest.fixture(scope="module")
def assembly(filled):
    """The code of the serial forward pass by dtype, of a process that compiled it."""
    _, said = filled
    return said[0]["code"]


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
    second = run(kernels=3, NUMBA_CACHE_DIR=folder)
    assert any(result["made"] > 0 for result in first)
    assert second["made"] == second["called"] == 0
    assert [described["compiled_before"] for described in second["describe"]] == [True] * 3
    assert all(result["called"] == 0 for result in first), "no call compiles: it would be in the clock"
    assert not second["compiler"], "a compiler takes half of the time to a first result to prepare itself"
    assert second["later"] == 3.0, "and does so when it is needed"
    assert first[0]["sums"] == second["sums"]
    assert first[0]["sums"][:2] == first[1]["sums"][:2]
    assert not list(folder.rglob("*.tmp"))


def test_float64_is_kept_too():
    """In the folder that every test uses: compiling it once more, for this test alone, takes long."""
    spec = ForwardSpec(MNIST.sizes, dtype="float64")
    x = np.random.default_rng(0).random((50, 784), np.float32).astype("float64")
    kernels = [cls(spec, seeded(spec)) for cls in (NumbaSimdKernel, NumbaSimdSparseKernel, NumbaSimdParallelKernel)]
    sums = [float(np.square(kernel.forward(x)).sum()) for kernel in kernels]
    sums += [float(np.square(kernel.forward_one(x[0])).sum()) for kernel in kernels]
    later = run(kernels=3, dtypes=("float64",))
    assert later["made"] == later["called"] == 0
    assert [described["compiled_before"] for described in later["describe"]] == [True] * 3
    assert later["sums"] == sums
