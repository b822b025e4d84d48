"""The limits of a CUDA device, under the stand-in: what is measured, and that it is waited for. Not how fast it is."""

from types import SimpleNamespace

import numpy as np
import pytest
from on_cpu.raw import CpuRawModule, compiler

from mlpbench.bench.record.device import DeviceRoofs
from mlpbench.bench.wings.gpu import roofs as cuda_roofs
from mlpbench.kernels.cuda import device as cupy_device
from mlpbench.kernels.cuda import peak
from support import fake_cupy

MEASURED = [
    ("matrix product", "cuBLAS"),
    ("multiply-add", "DFMA in registers"),
    *[("launch and wait", how) for how in ("empty kernel", "empty graph")],
    *[("L2", how) for how in ("copy", "read")],
    *[("DRAM", how) for how in ("copy", "copyto", "read")],
]


@pytest.fixture
def device(monkeypatch):
    """A device as small as the stand-in."""
    for name, value in {**fake_cupy.SMALLER, "ROUND_S": 1e-4, "BYTES_A_LAUNCH": 2**17}.items():
        monkeypatch.setattr(cuda_roofs, name, value)
    return fake_cupy.install(monkeypatch)


def test_what_is_measured_and_work_is_what_is_done(device, monkeypatch):
    """In a copy, what is read and what is written; a launch goes through its array so often as fills it."""
    seen, waiting, timed = [], [], cuda_roofs.short_rounds

    def short_rounds(call, rounds, round_s, most_s, wait):
        (stream,) = fake_cupy.Stream.world.streams
        before = stream.waits
        call()
        assert stream.waits == before + (wait is None), "a call only gives work to the device, but for a launch's floor"
        waiting.append(wait is None)
        seen.append((rounds, most_s, stream.non_blocking))
        return timed(call, rounds, round_s, most_s, wait)

    monkeypatch.setattr(cuda_roofs, "short_rounds", short_rounds)
    found = cuda_roofs.measure("float64", 1e-3).as_dict()
    assert seen == [(10, 1e-3, True), *[(10, 2e-3, True)] * len(MEASURED)], "first the device raises its clock"
    assert waiting[1:] == [name == "launch and wait" for name, _ in MEASURED]
    assert [(entry["name"], entry["how"]) for entry in found["measured"]] == MEASURED
    assert found["caches"] == {"L2": fake_cupy.L2_BYTES}
    assert found["facts"]["device_name"] == "NVIDIA Stand-In"
    assert found["facts"]["compute_type"] == "COMPUTE_TYPE_FP64" == cupy_device.compute_type("float64")
    assert all(1 <= len(entry["data"]) <= 10 and min(entry["data"]) > 0 for entry in found["measured"])
    work = {(entry["name"], entry["how"]): entry["work"] for entry in found["measured"]}
    assert work["matrix product", "cuBLAS"] == 2 * 64**3
    assert (work["L2", "read"], work["L2", "copy"]) == (2**17, 2**18)
    assert work["DRAM", "read"] == 2**20, "once"
    assert work["DRAM", "copy"] == work["DRAM", "copyto"] == 2**21


@pytest.mark.parametrize(("capability", "cores"), [("75", {"fp32"}), ("80", {"fp32", "tf32", "fp16"})])
def test_every_arithmetic_has_a_peak_of_its_own(device, capability, cores):
    """In registers where the card has such units, and by cuBLAS: with the compute type of then, which is set back."""
    at = []
    matmul = device.matmul

    def spied(a, b, out):
        at.append((a.dtype.name, cupy_device.compute_type("float32")))
        return matmul(a, b, out=out)

    device.matmul = spied
    device.cuda.Device = lambda: SimpleNamespace(id=0, compute_capability=capability)
    measured = cuda_roofs.measure("float32", 1e-4).measured
    found = {(one.name, one.arithmetic) for one in measured if one.arithmetic}
    assert {arithmetic for name, arithmetic in found if name == "multiply-add"} == cores
    assert {arithmetic for name, arithmetic in found if name == "matrix product"} == {"fp32", "tf32", "fp16"}
    assert list(dict.fromkeys(at)) == [
        ("float32", "COMPUTE_TYPE_FP32"),
        ("float16", "COMPUTE_TYPE_FP32"),
        ("float32", "COMPUTE_TYPE_TF32"),
    ]
    assert cupy_device.compute_type("float32") == "COMPUTE_TYPE_FP32"
    work = {one.arithmetic: one.work for one in measured if one.name == "multiply-add"}
    threads = cuda_roofs.TURNS * cuda_roofs.BLOCKS * fake_cupy.MULTIPROCESSORS * 256
    assert work["fp32"] == 2 * 8 * 16 * threads
    if "fp16" in cores:
        assert work["tf32"] == 2 * 16 * 8 * 8 * 8 * 16 * threads // 32
        assert work["fp16"] == 2 * work["tf32"]


@pytest.mark.parametrize("l2_bytes", [4 * 2**20, 96 * 2**20, 0])
def test_arrays_lie_where_they_are_to_be_measured(l2_bytes):
    sizes = cuda_roofs.array_sizes({"L2": l2_bytes})
    assert list(sizes) == (["L2", "DRAM"] if l2_bytes else ["DRAM"]), "no roof of a cache that the device does not tell"
    assert (2 * sizes.get("L2", 0) <= l2_bytes / 2, sizes["DRAM"] >= 4 * l2_bytes) == (True, True)
    assert all(size % peak.LOAD_BYTES == 0 for size in sizes.values())


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Out of memory allocating 268,435,456 bytes (allocated so far: 0 bytes)."),
        fake_cupy.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered"),
        fake_cupy.CompileException("nvrtc: error: __ldcg is undefined"),
        None,
    ],
)
def test_what_goes_wrong_is_told_in_the_devices_own_words_but_for_a_mistake_of_ours(device, monkeypatch, error):
    def raw_module(code):
        raise error or TypeError

    device.RawModule = raw_module
    if error is None:
        with pytest.raises(TypeError):
            cuda_roofs.answer("float32", 1e-4)
        fake_cupy.install(monkeypatch, devices=0)
    reason = str(error or "no CUDA device: the driver counts 0 of them")
    assert cuda_roofs.answer("float32", 1e-4) == DeviceRoofs(device="cuda", reason=reason)


# The code of the device kernels, run on the CPU

#: Loads and stores that are counted, before the code of the kernels.
COUNTED = """
__device__ unsigned long long seen[2];
template <class T> T counted_load(const T* from) { seen[0]++; return __ldcg(from); }
template <class T> void counted_store(T* to, T item) { seen[1]++; __stcg(to, item); }
#define __ldcg counted_load
#define __stcg counted_store
extern "C" __global__ void counts(unsigned long long* to) {
    for (int i = 0; i < 2; ++i) { to[i] = seen[i]; seen[i] = 0; }
}
"""


@pytest.fixture(scope="module")
def on_the_cpu():
    if compiler() is None:
        pytest.skip("there is no C++ compiler")
    return CpuRawModule(code=COUNTED + peak.bandwidth_source())


@pytest.mark.parametrize("items", [1, 6, 19, 24, 25, 100])
@pytest.mark.parametrize("times", [1, 3])
def test_every_item_is_copied_and_read_so_often_as_is_said(on_the_cpu, items, times):
    """Where there are fewer than the threads, a multiple of what they take at once, and some over."""
    copy_all, read_all, counts = map(on_the_cpu.get_function, ("copy_all", "read_all", "counts"))
    seen, numbers = np.zeros(2, np.uint64), (np.int64(items), np.int32(times))
    source = np.random.default_rng(0).integers(0, 2**32, 4 * items, np.uint32)
    target, sums = np.zeros_like(source), np.zeros((2, 6), np.uint32)
    counts((1,), (1,), (seen,))  # what came before
    copy_all((2,), (3,), (source, target, *numbers))
    counts((1,), (1,), (seen,))
    assert (target == source).all()
    assert list(seen) == [items * times, items * times]
    read_all((2,), (3,), (source, sums[0], *numbers))
    counts((1,), (1,), (seen,))
    assert list(seen) == [items * times, 0]
    for i in range(items):
        source[4 * i + 2] ^= 1
        read_all((2,), (3,), (source, sums[1], *numbers))
        assert (sums[0] != sums[1]).any(), "the sum depends on each"
        source[4 * i + 2] ^= 1


# CuPy itself, with or without a GPU


def test_the_code_compiles_and_keeps_every_load(monkeypatch):
    compiler = pytest.importorskip("cupy", reason="CuPy is not installed").cuda.compiler
    for arch in ("75", "80", "90"):
        try:
            code, _ = compiler._NVRTCProgram(peak.bandwidth_source()).compile((f"-arch=compute_{arch}",))
        except RuntimeError as error:
            pytest.skip(f"NVRTC is not installed: {error}")
        _, copy, read = code.decode().split(".visible .entry ")
        loads, stores = "ld.global.cg.v4", "st.global.cg.v4"
        assert (copy.count(loads), copy.count(stores)) == (5, 5), "four at once, and one of what is left"
        assert (read.count(loads), read.count(stores)) == (5, 0)
        assert read.count("st.global.u32") == 1, "the sum"


def test_cupys_errors_are_those_that_are_caught():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert not issubclass(cupy.cuda.compiler.CompileException, RuntimeError), "so it is named beside it"
    assert callable(cupy.copyto), "it is handed on, and called elsewhere"
