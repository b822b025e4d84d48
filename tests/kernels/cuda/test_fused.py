"""The fused kernels under the stand-in: programs as data, graphs, bytes, what a device refuses; and the gate."""

from types import SimpleNamespace

import numpy as np
import pytest
from on_cpu.raw import CpuRawKernel, compiler

from mlpbench.kernels import conformance, registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.conformance import check, expected, probe_inputs
from mlpbench.kernels.cuda import fused, packing, programs
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import fake_cupy
from support.refusals import refusal

SPEC = ForwardSpec((31, 17, 5))
NAMES = [name for name in registry.names() if name.startswith("cupy-fused")]
REPLAYED = [name for name in NAMES if name.endswith("-graph")]


def made(name, spec=SPEC):
    return registry.load(name)(spec, seeded(spec))


def inputs(kernel, rows):
    x = probe_inputs(kernel.spec, rows, 0)
    return kernel.nearest(x)


@pytest.mark.parametrize("name", ["cupy", *NAMES])
def test_one_launch_and_no_memory_after_the_first_call_of_a_size(monkeypatch, name):
    cupy = fake_cupy.install(monkeypatch)
    kernel = made(name)
    (stream,) = fake_cupy.Stream.world.streams
    x = inputs(kernel, 5001)
    there = kernel.from_host(x)
    first = {rows: kernel.to_host(kernel.forward(there[:rows])) for rows in (5001, 1, 7)}
    if name in NAMES:
        means = np.asarray(there, np.float32).mean(axis=-1, keepdims=True) * np.ones(SPEC.n_out)
        assert first[5001] == pytest.approx(means, rel=1e-6), "as the stand-in computes"
    kernel.forward_one(there[0])
    cupy.empty = cupy.asarray = None
    for rows, was in first.items():
        stream.launched.clear()
        assert kernel.forward(there[:rows]).shape == (rows, SPEC.n_out)
        assert np.array(kernel.forward(there[:rows])) == pytest.approx(was)
        assert len(stream.launched) == (2 if name in NAMES else 2 * 2 * SPEC.n_layers)
        assert (stream.launched[0] == "graph") == (name in REPLAYED)
        others = np.array(kernel.forward(there[-rows:]))
        assert others == pytest.approx(first[5001][-rows:], abs=1e-6), "it reads what it is given"
    assert kernel.forward_one(there[3]).shape == (SPEC.n_out,)
    assert name == "cupy" or kernel.describe().compute_type == kernel.arithmetic


def test_pixels_stay_bytes_and_nothing_else_is_taken(monkeypatch):
    fake_cupy.install(monkeypatch)
    kernel = made("cupy-fused-u8")
    pixels = np.arange(256, dtype=np.uint8).repeat(31).reshape(256, 31)
    x = pixels.astype(np.float32) / np.float32(255)
    there = kernel.from_host(x)
    assert there.dtype == np.uint8
    assert (np.array(there) == pixels).all()
    assert (kernel.to_host(there) == x).all()
    assert (kernel.nearest(x + np.float32(0.001)) == x).all()
    for wrong in (x + np.float32(1e-6), x * 2, -x, x * np.float32(np.nan)):
        refusal(KernelUnavailable, "not bytes divided by 255", kernel.from_host, wrong)
    assert kernel.describe().input_dtype == "uint8"


@pytest.mark.parametrize("name", ["cupy", "cupy-fused-u8"])
def test_inputs_are_written_over_on_the_stream_that_is_waited_for(monkeypatch, name):
    fake_cupy.install(monkeypatch)
    kernel = made(name)
    whole = kernel.from_host(inputs(kernel, 9))
    values = inputs(kernel, 4)[::-1].copy()
    world = fake_cupy.Stream.world
    before = world.peak_bytes
    kernel.overwrite(whole[2:6], values)
    assert world.peak_bytes == before, "no second array"
    assert (kernel.to_host(whole)[2:6] == values).all()
    with pytest.raises(AssertionError, match="on the default stream"):
        Kernel.overwrite(kernel, whole[:4], values)


def test_shared_memory_beyond_48_kib_is_asked_for(monkeypatch):
    """The stand-in refuses a launch that takes more than it was asked for."""
    fake_cupy.install(monkeypatch)
    kernel = made("cupy-fused-tf32", ForwardSpec((64, 128, 128)))
    assert kernel.forward(kernel.from_host(inputs(kernel, 5001))).shape == (5001, 128)


def test_what_a_device_cannot_do_is_refused_with_the_reason(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(fused, "properties", lambda: {"sharedMemPerBlockOptin": 32 * 1024, "multiProcessorCount": 40})
        with pytest.raises(KernelUnavailable, match="needs 36864 bytes of shared memory for 9-128-128"):
            made("cupy-fused", ForwardSpec((9, 128, 128)))
    cupy.cuda.Device = lambda: SimpleNamespace(id=0, compute_capability="75")
    refusal(KernelUnavailable, r"need compute capability 8.0, .* 7.5", made, "cupy-fused-tf32")
    with pytest.raises(KernelUnavailable, match="float32 inputs"):
        registry.load("cupy-fused").supports(ForwardSpec((4, 3), dtype="float64"))
    huge = Params(tuple(np.float32(1e6) * W for W in seeded(SPEC).weights), seeded(SPEC).biases)
    refusal(KernelUnavailable, "float16 ends at 65504", registry.load("cupy-fused-fp16"), SPEC, huge)


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((33, 70, 9, 3), "relu", "identity")], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_gate_of_every_kernel(monkeypatch, name, spec):
    """Computed by g++: TF32 and float16 within a bound of their own, and well outside that of float32."""
    monkeypatch.setattr(fake_cupy.install(monkeypatch), "RawKernel", fake_cupy.computing(CpuRawKernel))
    kernel_class = registry.load(name)
    found = check(kernel_class, spec).max_error_ratio
    assert found < 0.5
    if kernel_class.arithmetic in ("tf32", "fp16"):
        assert found > 0.02, "the bound is not far too wide"
        monkeypatch.setattr(conformance, "expected", lambda spec, params, x, _arithmetic: expected(spec, params, x))
        refusal(NonConforming, "off by", check, kernel_class, spec)


# The programs as data: what fits, what is refused

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
        refusal(KernelUnavailable, said, programs.fused, spec, arithmetic)
    refusal(KernelUnavailable, "in fp32, not in tf32", programs.fused, MNIST, "tf32", pixels=True)


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
