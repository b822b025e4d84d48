"""The programs as data: what fits, what is refused. What they compute: test_programs_on_cpu."""

import numpy as np
import pytest

from mlpbench.kernels.cuda import packing, programs
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.spec import MNIST, ForwardSpec

ARITHMETICS = ["fp32", "3xtf32", "tf32", "fp16"]


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_programs_go_from_few_rows_to_any_number(arithmetic):
    found = programs.fused(MNIST, arithmetic)
    limits = [program.up_to for program in found]
    assert limits[-1] is None
    assert limits[:-1] == sorted(limits[:-1])
    for program in found:
        assert program.grid(1) == program.grid(program.rows_per_block) == 1
        assert program.grid(program.rows_per_block + 1) == 2
        assert program.capability == (75 if arithmetic == "fp32" else 80)
        assert program.shared_bytes <= 99 * 1024, "more would leave out most cards"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (ForwardSpec((4, 3), dtype="float64"), "float32 inputs"),
        (ForwardSpec((4, 129, 3)), "a layer of 129 outputs: a fused kernel holds 128"),
        (ForwardSpec((2**20, 3)), "counts packed weights in 32 bits"),
        (ForwardSpec((2,) * 10), "9 layers: a fused kernel holds 8"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(spec, said):
    for arithmetic in ARITHMETICS:
        with pytest.raises(KernelUnavailable, match=said):
            programs.fused(spec, arithmetic)
    with pytest.raises(KernelUnavailable, match="in fp32, not in tf32"):
        programs.fused(MNIST, "tf32", pixels=True)


def test_tf32_is_rounded_to_the_nearest_of_11_bits_and_keeps_what_is_no_number():
    x = np.float32([1 + 2**-11, 1 + 2**-11 - 2**-23, -1 - 3 * 2**-11, np.inf, np.nan, 0])
    assert packing.to_tf32(x)[:4].tolist() == [1 + 2**-10, 1, -1 - 2**-9, np.inf]
    assert np.isnan(packing.to_tf32(x)[4])


@pytest.mark.heavy
def test_cupys_nvrtc_takes_the_options_as_they_are():
    """A type of two words among them, and lists with commas; in the dialect that CuPy leaves to NVRTC."""
    compiling = pytest.importorskip("cupy", reason="CuPy is not installed").cuda.compiler
    of_cupy = programs.after_products(ForwardSpec((9, 65, 65), "leaky-relu:0.2", dtype="float64"))
    for program in (programs.fused(MNIST, "fp32", pixels=True)[1], *of_cupy):
        given = (*program.options, "-ftz=true", "--device-as-default-execution-space", "-arch=sm_90")
        cubin, _ = compiling._NVRTCProgram(program.source, method="cubin").compile(given)
        assert program.name.encode() in cubin
