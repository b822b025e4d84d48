"""A stand-in for CuPy: NumPy's arithmetic under CuPy's names, so that no GPU is needed.

It shows waits, launches and memory that is taken. It raises where real CuPy would run on another stream than the
kernel's. `install` puts it into this process, `write` where other processes find it.
"""

import hashlib
import os
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import scipy.special

from mlpbench.kernels import reference
from mlpbench.kernels.cuda import card
from mlpbench.kernels.spec import Activation
from support import streams
from support.streams import L2_BYTES, CUDARuntimeError, Event, Flag, Stream, launched, on_stream

#: What the stand-in's device says of itself. Compute mode 0 is the default, 3 lets one process in.
MULTIPROCESSORS, COMPUTE_MODE = 2, 0
UUID = "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
#: What its compiler takes at least for each function.
COMPILE_S = 0.002


class CompileException(Exception):  # noqa: N818 - CuPy's name
    """What NVRTC would say."""


class Program:
    """CuPy's ``_NVRTCProgram``."""

    def __init__(self, src):
        self.src = src

    def _compile(self, options=(), log_stream=None):
        time.sleep(COMPILE_S)
        if "error" in self.src:
            raise CompileException(self.src)
        return b"cubin", None


def compile_once(source):
    """Compile ``source``, or find it in the cache on disk, as CuPy does: also then it asks for NVRTC's version."""
    Program("").compile()
    folder = os.environ.get("CUPY_CACHE_DIR")
    kept = Path(folder or os.devnull) / f"{hashlib.sha1(source.encode()).hexdigest()}.cubin"
    if folder is None or not kept.exists():
        cubin, _ = Program(source).compile()
        if folder is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(cubin)


class DeviceArray(np.ndarray):
    """An array "on the device": NumPy's, but of a type that only `asarray` and `empty` make."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)

    def __setitem__(self, key, value):
        assert Stream.current is not None, "CuPy would write on the default stream, for which no kernel waits"
        super().__setitem__(key, value)

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        """Compute as NumPy does: a device kernel for each operator and each function."""
        plain = [np.asarray(one) if isinstance(one, DeviceArray) else one for one in inputs]
        found = on_stream(getattr(ufunc, method))(*plain, **options)
        Stream.current.launched.append(ufunc.__name__)
        return Stream.world.on_device(np.asarray(found)).view(DeviceArray)

    def set(self, array, stream=None):
        """Copy an array of the host into this one, on a stream."""
        assert stream is not None, "CuPy would write on its current stream, for which no kernel waits"
        if (array.shape, array.dtype) != (self.shape, self.dtype):
            raise TypeError("CuPy takes the same type and shape")
        stream.give(lambda _start: np.ndarray.__setitem__(self, ..., array))

    @property
    def __cuda_array_interface__(self):
        return {"data": (self.ctypes.data, False), "shape": self.shape, "typestr": self.dtype.str, "version": 3}


def work_of(name, options):
    """Return what a program of `kernels.cuda.programs` does: after a product, or for a whole network: the mean."""

    def means(x, _weights, y, rows):
        np.asarray(y).reshape(rows, -1)[:] = np.asarray(x, np.float32).reshape(rows, -1).mean(axis=1, keepdims=True)

    if name not in ("bias_activation", "bias_softmax"):
        return means
    function = reference.softmax
    if name == "bias_activation":
        defined = dict(option.removeprefix("-D").split("=") for option in options if option.startswith("-D"))
        activation = defined["ACTIVATION"].lower().replace("_", "-")
        function = reference.hidden(Activation(activation, float(defined["SLOPE"])))

    def replace(a, b, rows):
        assert rows == len(a)
        np.asarray(a)[...] = function(np.asarray(a) + np.asarray(b))

    return replace


def computing(cpu_raw_kernel):
    """Return a ``RawKernel`` whose launches are computed by another class of that kind, on the stream and in graphs."""

    class RawKernel(cpu_raw_kernel):
        def __call__(self, grid, block, args, *, shared_mem=0):
            arrays = [np.asarray(one) if isinstance(one, np.ndarray) else one for one in args]
            launched(super().__call__, self.name)(grid, block, arrays, shared_mem=shared_mem)

    return RawKernel


class RawKernel:
    """CuPy's own, which computes `work_of` its name."""

    compiled, shared = False, 48 * 1024

    def __init__(self, code, name, options=()):
        assert "--std=c++17" in options, "CuPy 13 would compile in C++11"
        assert isinstance(options, tuple), "CuPy takes nothing else"
        self.text, self.name, self.work = " ".join((code, *options)), name, work_of(name, options)

    def _compile(self):
        if not self.compiled:
            compile_once(self.text)
            self.compiled = True

    @property
    def max_dynamic_shared_size_bytes(self):
        return self.shared

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self._compile()
        self.shared = size

    def __call__(self, grid, block, args, *, shared_mem=0):
        assert self.compiled or Stream.current.graph is None, "code is loaded before it is captured"
        self._compile()
        assert len(grid) == len(block) == 1
        assert shared_mem <= self.shared
        assert type(args[-1]) is np.int64, "CuPy passes it as it is"
        assert all(isinstance(array, DeviceArray) and array.flags.c_contiguous for array in args[:-1])
        launched(self.work, self.name)(*args)


def raw_module(code):
    """CuPy's ``RawModule``: of all device kernels that it may have, `hold` alone does something."""
    compile_once(code)

    def get_function(name):
        function = streams.hold if name == "hold" else lambda *_: None
        return launched(function, name) if name not in ("copy_all", "read_all") else on_stream(function)

    return SimpleNamespace(get_function=get_function)


def empty(shape, dtype):
    Stream.world.take_memory("memory of the device")
    return Stream.world.on_device(np.full(shape, 7, dtype)).view(DeviceArray)


def asarray(array):
    """Copy to the device through a block of pinned memory, which CuPy keeps."""
    through, world = streams.block(np.asarray(array).nbytes), Stream.world
    world.staged.setdefault(through.nbytes, through)
    return world.on_device(np.array(array)).view(DeviceArray)


def modules(devices=1, missing=None, world=None):
    """Return the stand-in's modules. ``devices`` or ``missing``, an error, is what the driver or cuBLAS says."""
    cupy, cupyx = ModuleType("cupy"), ModuleType("cupyx")
    Stream.world, Stream.current = world or streams.World(), None
    Program.compile = Program._compile  # `listen` replaces the method

    def get_device_count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    def matmul(a, b, out):
        if missing is not None:
            raise missing
        assert all(isinstance(array, DeviceArray) for array in (a, b, out))
        assert out.flags.c_contiguous, "CuPy would make a temporary array"
        np.matmul(*map(np.asarray, (a, b)), out=np.asarray(out))

    cupy.__version__ = "14.2.0"
    cupy.matmul, cupy.copyto, cupy.empty = launched(matmul), on_stream(np.copyto), on_stream(empty)
    cupy.exp, cupy.tanh, cupy.maximum = np.exp, np.tanh, np.maximum
    cupy.RawKernel, cupy.RawModule = RawKernel, raw_module
    cupy.asarray, cupy.asnumpy = on_stream(asarray), on_stream(np.array)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: 4096)
    properties = {"name": b"NVIDIA Stand-In", "l2CacheSize": L2_BYTES, "multiProcessorCount": MULTIPROCESSORS}
    properties |= {"sharedMemPerBlockOptin": 99 * 1024, "uuid": bytes(range(16)), "totalGlobalMem": 2**30}
    cupy.cuda = SimpleNamespace(
        Stream=Stream,
        Event=Event,
        get_elapsed_time=Event.elapsed,
        Device=lambda: SimpleNamespace(id=0, compute_capability="90"),
        cublas=SimpleNamespace(getVersion=lambda _handle: 120904),
        nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)),
        device=SimpleNamespace(get_cublas_handle=lambda: 1),
        compiler=SimpleNamespace(CompileException=CompileException, _NVRTCProgram=Program),
        runtime=SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=get_device_count,
            getDeviceProperties=lambda _id: properties,
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 12090,
            cudaDevAttrComputeMode=20,
            deviceGetAttribute=lambda attribute, _id: {20: COMPUTE_MODE}[attribute],
            deviceGetPCIBusId=lambda _id: "0000:01:00.0",
            profilerStart=lambda: None,
            profilerStop=lambda: None,
            memcpyAsync=streams.memcpy,
            memsetAsync=streams.memset,
            memcpyHostToDevice=streams.TO_DEVICE,
            memcpyDeviceToHost=streams.TO_HOST,
            memcpyDeviceToDevice=streams.ON_DEVICE,
        ),
    )
    core, products = ModuleType("cupy._core"), ModuleType("cupy._core._routines_linalg")
    types = {"COMPUTE_TYPE_DEFAULT": 1, "COMPUTE_TYPE_FP32": 4, "COMPUTE_TYPE_FP64": 5, "COMPUTE_TYPE_TF32": 7}
    vars(products).update(types)
    chosen = {}
    products.set_compute_type = lambda dtype, value: chosen.__setitem__(np.dtype(dtype), value)
    products.get_compute_type = lambda dtype: chosen.get(np.dtype(dtype), 1)
    products.compute_type_to_str = {value: name for name, value in types.items()}.__getitem__
    core._routines_linalg, cupy._core = products, core
    special = ModuleType("cupyx.scipy.special")
    special.erf = scipy.special.erf
    cupyx.empty_pinned, cupyx.zeros_pinned = streams.empty_pinned, Flag.zeros_pinned
    return {module.__name__: module for module in (cupy, cupyx, core, products, special)}


def install(monkeypatch, **options):
    """Put the stand-in in ``sys.modules``, and return it; see `modules`."""
    found = modules(**options)
    for name, module in found.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(card, "_uuid", lambda _ordinal: None)  # this machine may have a card
    return found["cupy"]


#: What a process that measures roofs takes for a device of this size: constants of `bench.wings.gpu.roofs`.
SMALLER = {"WARM_S": 1e-3, "MATRIX_ROWS": 64, "DRAM_BYTES": 2**20}


def write(folder):
    """Write a module into ``folder`` that is the stand-in to processes that find it there."""
    code = f"""
import sys
sys.path.append({str(Path(__file__).parents[1])!r})
from support import fake_cupy
sys.modules.update(fake_cupy.modules())
main = sys.modules["__main__"]
vars(main).update({{name: value for name, value in fake_cupy.SMALLER.items() if hasattr(main, name)}})
"""
    (folder / "cupy.py").write_text(code, encoding="utf-8")
