"""The CuPy kernel beyond the contract: its stream and buffers, its probe, NVRTC's seconds, and CuPy itself."""

import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.kernels.cuda import device, events
from mlpbench.kernels.cuda.device import words
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_cupy import CupyKernel, CupyPlainKernel, CupyTf32Kernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import fake_cupy
from support.refusals import refusal

SMALL = ForwardSpec((4, 3))


def test_all_runs_on_one_non_blocking_stream(monkeypatch):
    fake_cupy.install(monkeypatch)
    kernel = CupyKernel(MNIST, seeded(MNIST))
    (stream,) = fake_cupy.Stream.world.streams
    assert stream.non_blocking
    before = stream.waits
    there = kernel.from_host(np.random.default_rng(0).random((5, 784), np.float32))
    assert stream.waits == before + 1, "from_host returns when the array is there"
    y = kernel.forward(there)
    assert stream.waits == before + 1, "forward waits for nothing"
    kernel.synchronize(y)
    assert stream.waits == before + 2
    assert not np.shares_memory(kernel.to_host(y), y)


def test_kernels_of_one_process_keep_to_their_own_arithmetic(monkeypatch):
    fake_cupy.install(monkeypatch)
    classes = (CupyTf32Kernel, CupyPlainKernel, CupyTf32Kernel, CupyKernel)
    kernels = [cls(SMALL, seeded(SMALL)) for cls in classes]
    x = kernels[0].from_host(np.zeros((5, 4), np.float32))
    for kernel, name in zip(kernels, ("COMPUTE_TYPE_TF32", "COMPUTE_TYPE_FP32") * 2, strict=True):
        for call, inputs in ((kernel.forward, x), (kernel.forward_one, x[0])):
            call(inputs)
            assert device.compute_type("float32") == name
        assert kernel.describe().compute_type == name
    assert [kernel.arithmetic for kernel in kernels] == ["tf32", "dtype"] * 2


@pytest.mark.parametrize(("kernel_class", "launches"), [(CupyPlainKernel, 19), (CupyKernel, 6)])
def test_the_books_lines_launch_a_device_kernel_for_each_operator(monkeypatch, kernel_class, launches):
    """On the stream that is waited for: on another one, the stand-in raises."""
    fake_cupy.install(monkeypatch)
    kernel = kernel_class(MNIST, seeded(MNIST))
    (stream,) = fake_cupy.Stream.world.streams
    x = kernel.from_host(np.zeros((5, 784), np.float32))
    for call, inputs in ((kernel.forward, x), (kernel.forward_one, x[0])):
        stream.launched.clear()
        call(inputs)
        assert len(stream.launched) == launches


@pytest.mark.parametrize(
    ("variable", "value", "kernel_class", "dtype", "said"),
    [
        ("NVIDIA_TF32_OVERRIDE", "1", CupyKernel, "float32", "compute products of float32 in TF32: unset it"),
        ("NVIDIA_TF32_OVERRIDE", "0", CupyTf32Kernel, "float32", "compute products of tf32 in float32: unset it"),
        ("CUBLAS_EMULATE_SINGLE_PRECISION", "1", CupyKernel, "float32", "from parts in bfloat16"),
        ("CUBLAS_EMULATE_DOUBLE_PRECISION", "1", CupyKernel, "float64", "from parts in integers"),
        ("NVIDIA_TF32_OVERRIDE", "1", CupyKernel, "float64", None),
        ("NVIDIA_TF32_OVERRIDE", "0", CupyKernel, "float32", None),
        ("CUPY_TF32", "1", CupyKernel, "float32", None),
    ],
)
def test_a_variable_that_changes_the_arithmetic_is_refused(monkeypatch, variable, value, kernel_class, dtype, said):
    fake_cupy.install(monkeypatch)
    monkeypatch.setenv(variable, value)
    spec = ForwardSpec((4, 3), dtype=dtype)
    if said is None:
        kernel_class(spec, seeded(spec))
    else:
        refusal(KernelUnavailable, f"^{variable}={value} has cuBLAS .*{said}", kernel_class, spec, seeded(spec))


def test_tf32_is_a_way_to_compute_float32_on_newer_devices(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    with pytest.raises(KernelUnavailable, match="take float32, the specification has float64"):
        CupyTf32Kernel.supports(ForwardSpec((4, 3), dtype="float64"))
    cupy.cuda.Device = lambda: SimpleNamespace(id=0, compute_capability="75")
    with pytest.raises(KernelUnavailable, match=r"products in TF32 need compute capability 8.0, this device has 7.5"):
        CupyTf32Kernel(SMALL, seeded(SMALL))


@pytest.mark.parametrize(("dtype", "name"), [("float32", "COMPUTE_TYPE_FP32"), ("float64", "COMPUTE_TYPE_FP64")])
def test_describe_states_what_is_used(monkeypatch, dtype, name):
    cupy = fake_cupy.install(monkeypatch)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    spec, other = ForwardSpec((4, 3), dtype=dtype), {"float32": "float64", "float64": "float32"}[dtype]
    assert device.compute_type(dtype) == "COMPUTE_TYPE_DEFAULT"
    kernel = CupyKernel(spec, seeded(spec))
    assert device.compute_type(other) == "COMPUTE_TYPE_DEFAULT", "told one by one"
    told = {"device_name": "NVIDIA Stand-In", "device_uuid": fake_cupy.UUID, "mig": False, "multiprocessors": 2}
    told |= {"l2_bytes": fake_cupy.L2_BYTES, "memory_bytes": 2**30, "cuda_driver": "13.0", "cuda_runtime": "12.9"}
    told |= {"cublas": "12.9.4", "nvrtc": "12.9", "pci_bus": "0000:01:00.0", "compute_capability": "90"}
    told |= {"compute_mode": "shared", "compute_type": name, "arithmetic": name.removeprefix("COMPUTE_TYPE_").lower()}
    told |= {"overrides": None, "nvidia_tf32_override": "0", "pool_bytes": 4096}
    assert kernel.describe().as_dict().items() >= told.items()
    sizes = iter([8192, 1024])
    cupy.get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: next(sizes))
    assert [kernel.describe().pool_bytes for _ in range(2)] == [8192, 8192], "the peak"


reason = partial(refusal, KernelUnavailable, "", CupyKernel.probe)


def test_probe_passes_the_words_of_cupy_the_driver_and_the_first_product(monkeypatch):
    cuda = lambda said, status: type("Numbered", (fake_cupy.CUDARuntimeError,), {"status": status})(said)  # noqa: E731
    for devices, words_of_it in (
        (cuda("cudaErrorInsufficientDriver", 35), "cudaErrorInsufficientDriver; it needs a newer driver, or the extra"),
        (cuda("cudaErrorNoDevice", 100), "cudaErrorNoDevice; `nvidia-smi -L` lists the cards, and --device"),
        (0, "the driver counts 0 of them"),
    ):
        fake_cupy.install(monkeypatch, devices=devices)
        assert reason().startswith(f"no CUDA device: {words_of_it}")
    for missing, advice in (  # What CuPy 14.2 raises on a machine without them.
        (ImportError("libcublas.so.12: cannot open shared object file: No such file or directory"), ""),
        (RuntimeError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file: libnvrtc.so.12\n'), ""),
        (cuda("cudaErrorNoKernelImageForDevice: none", 209), "; a card older than 7.5 needs pip install -e '.[cuda12]"),
        (cuda("cudaErrorDevicesUnavailable: all are busy", 46), "; another process has the card (exclusive mode"),
        (MemoryError("Out of memory allocating 512 bytes"), "; `nvidia-smi` shows who has its memory; --device takes"),
    ):
        fake_cupy.install(monkeypatch, missing=missing)
        assert reason().startswith(f"CuPy finds a CUDA device but cannot compute on it: {words(missing)}{advice}")
    fake_cupy.install(monkeypatch, missing=fake_cupy.CompileException("kernel.cu(1): error: x\n" * 1000))
    assert "cannot compute on it: kernel.cu(1): error: x kernel.cu" in reason()
    assert len(reason()) < 500
    fake_cupy.install(monkeypatch)
    CupyKernel.probe()
    fake_cupy.install(monkeypatch, missing=TypeError("matmul() got an unexpected argument"))
    with pytest.raises(TypeError, match="unexpected argument"):  # a mistake of ours is not hidden
        CupyKernel.probe()
    del sys.modules["cupy._core._routines_linalg"].set_compute_type
    assert reason().startswith("CuPy 14.2.0 cannot be told what to compute products in, as CuPy 14 can: ")
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert reason().startswith("CuPy is not installed (")


BROKEN = "\n====\nCuPy is not correctly installed.\n\nOriginal error:\n  ImportError: libcuda.so.1\n====\n"


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (f"raise ImportError({BROKEN!r})", "CuPy is not correctly installed. Original error: ImportError: libcuda"),
        ("import a_module_that_nobody_has", "No module named 'a_module_that_nobody_has'"),
        ("import os; os.makedirs('/proc/none/cache')", "[Errno 2] No such file or directory: '/proc/none'; set CUPY_C"),
    ],
)
def test_a_broken_installation_is_told_in_its_own_words(monkeypatch, tmp_path, module, told):
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "cupy.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    assert reason().startswith(f"CuPy cannot be imported: {told}")


def test_the_compute_type_overrides_the_environment(monkeypatch):
    """The private functions are where they are expected, and TF32 does not come back through CUPY_TF32."""
    reason = "CuPy is not installed"
    products = pytest.importorskip("cupy._core", reason=reason)._routines_linalg
    monkeypatch.setenv("CUPY_TF32", "1")
    products.set_compute_type(np.dtype("float32"), products.COMPUTE_TYPE_FP32)
    chosen = products.get_compute_type(np.dtype("float32"))
    assert products.compute_type_to_str(chosen) == "COMPUTE_TYPE_FP32"


# The seconds that NVRTC compiles: to compile needs no GPU


def called_once():
    """Make a kernel and call it; return the seconds that it says were compiled."""
    kernel = CupyKernel(SMALL, seeded(SMALL))
    kernel.forward(kernel.from_host(np.zeros((5, 4), np.float32)))
    return kernel.compiled_s()


def test_what_is_in_the_cache_on_disk_takes_nothing_and_another_cupy_does_not_tell(monkeypatch, tmp_path):
    """Although CuPy asks NVRTC for its version even then, with an empty source."""
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path / "cache"))
    fake_cupy.install(monkeypatch)
    assert called_once() > 0
    cupy = fake_cupy.install(monkeypatch)  # another process
    assert called_once() == 0
    del cupy.cuda.compiler._NVRTCProgram
    assert called_once() is None


def test_it_listens_once_and_what_fails_to_compile_took_its_time_too(monkeypatch):
    cupy = fake_cupy.install(monkeypatch)
    assert events.listen() is events.listen()
    refusal(fake_cupy.CompileException, "", cupy.cuda.compiler._NVRTCProgram("error").compile)
    assert fake_cupy.COMPILE_S <= events.compiled_s() == events.listen().seconds


def test_nvrtc_for_real():
    real_compiler = pytest.importorskip("cupy", reason="CuPy is not installed").cuda.compiler
    listener = events.listen()
    before = listener.seconds
    try:
        program = real_compiler._NVRTCProgram('extern "C" __global__ void nothing() {}')
        code, _ = program.compile(("-arch=compute_80",))
    except RuntimeError as error:
        pytest.skip(f"NVRTC is not installed: {error}")
    assert b"nothing" in code
    assert listener.seconds > before
    after = listener.seconds
    real_compiler._NVRTCProgram("").compile(("-arch=compute_80",))
    assert listener.seconds == after, "only its version was asked for"
