"""What the vector kernels compile to: fused multiply-adds in registers for this processor, kept on disk."""

import re

import numba.core.event as event
import numpy as np
import pytest

from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.assembly import compiled, require_registers

SERIAL = ("numba-simd", "numba-simd-sparse")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that one process filled with the kernels of one thread, and what the process said."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, compiled(*SERIAL, shown=True, NUMBA_CACHE_DIR=folder)


@pytest.mark.parametrize("kind", ["", "turned_", "sparse_"])
def test_the_main_loop_multiplies_and_adds_in_registers_and_spills_nothing_and_exp_calls_nothing(filled, kind):
    code = filled[1]["code"][0]  # codegen/test_tile reads that of float64
    assert not re.search(r"call\w*\s+\S*(exp|round|fma)", code)
    shape = host_shape(4)
    if shape.isa not in ("avx512", "avx2"):
        pytest.skip("no x86 with FMA")
    require_registers(code, shape, 32, "x86_64", kind)


def test_the_second_process_compiles_nothing(filled):
    folder, first = filled
    second = compiled(*SERIAL, NUMBA_CACHE_DIR=folder)
    assert first["made"] > 0
    assert second["made"] == 0
    assert first["called"] == second["called"] == 0, "no call compiles: it would be in the clock"
    assert [described["compiled_before"] for described in second["describe"]] == [True] * 2
    assert not second["compiler"], "a compiler takes half of the time to a first result to prepare itself"
    assert second["later"] == 3.0, "and does so when it is needed"
    assert first["sums"] == second["sums"]
    assert not list(folder.rglob("*.tmp"))


def test_float64_and_the_parallel_kernel_are_kept_too():
    """In the folder that every test uses: compiling them once more, for this test alone, takes long."""
    spec = ForwardSpec(MNIST.sizes, dtype="float64")
    x = np.random.default_rng(0).random((50, 784), np.float32).astype("float64")
    kernels = [cls(spec, seeded(spec)) for cls in (NumbaSimdKernel, NumbaSimdSparseKernel, NumbaSimdParallelKernel)]
    with event.install_recorder("numba:compile") as called:
        sums = [float(np.square(kernel.forward(x)).sum()) for kernel in kernels]
        sums += [float(np.square(kernel.forward_one(x[0])).sum()) for kernel in kernels]
    assert not called.buffer, "no call compiles: it would be in the clock"
    later = compiled(*SERIAL, "numba-simd-parallel", dtype="float64")
    assert later["made"] == later["called"] == 0
    assert [described["compiled_before"] for described in later["describe"]] == [True] * 3
    assert later["sums"] == sums
