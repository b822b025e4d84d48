"""A stand-in for CuPy: NumPy's arithmetic under CuPy's names, so that the kernel's own lines run without a GPU.

It raises where real CuPy would run on another stream than the kernel's, and counts waits.
"""

import sys
from contextlib import suppress
from types import ModuleType, SimpleNamespace

import numpy as np


class CUDARuntimeError(RuntimeError):
    pass


class CompileException(Exception):  # noqa: N818 - CuPy's name
    pass


class DeviceArray(np.ndarray):
    """An array "on the device": NumPy's, but of a type that only `asarray` and `empty` make."""


class Stream:
    """A stream that knows whether it is the current one, and how often it was waited for."""

    current = None
    made: list["Stream"] = []  # noqa: RUF012 - reset by `install`

    def __init__(self, *, non_blocking=False):
        self.non_blocking = non_blocking
        self.waits = 0
        Stream.made.append(self)

    def __enter__(self):
        self._before, Stream.current = Stream.current, self
        return self

    def __exit__(self, *_):
        Stream.current = self._before

    def synchronize(self):
        self.waits += 1


def on_stream(function):
    """Return the function, refusing to run on the default stream."""

    def run(*args, **kwargs):
        assert Stream.current is not None, f"{function.__name__} outside of the kernel's stream"
        return function(*args, **kwargs)

    return run


def fuse(kernel_name):
    def decorate(function):
        def fused(*arrays):
            assert all(isinstance(array, DeviceArray) for array in arrays)
            with np.errstate(over="ignore"):  # a GPU warns of nothing
                return function(*arrays)

        fused.__name__ = kernel_name
        return on_stream(fused)

    return decorate


def matmul(a, b, out):
    assert all(isinstance(array, DeviceArray) for array in (a, b, out))
    assert out.flags.c_contiguous, "CuPy would make a temporary array"
    return np.matmul(a, b, out=out)


def install(monkeypatch, *, devices=1, missing=None):
    """Put the stand-in in ``sys.modules``. ``devices`` or ``missing``, an error, is what the driver or cuBLAS says."""
    cupy = ModuleType("cupy")
    for name in ("negative", "exp", "maximum", "greater", "reciprocal"):
        setattr(cupy, name, on_stream(getattr(np, name)))
    Stream.current, Stream.made = None, []

    def get_device_count():
        if isinstance(devices, Exception):
            raise devices
        return devices

    def product(a, b, out):
        if missing is not None:
            raise missing
        return matmul(a, b, out)

    cupy.matmul = on_stream(product)
    cupy.fuse = fuse
    cupy.empty = on_stream(lambda shape, dtype: np.full(shape, 7, dtype).view(DeviceArray))
    cupy.asarray = on_stream(lambda a: np.array(a).view(DeviceArray))
    cupy.asnumpy = on_stream(np.array)
    cupy.get_default_memory_pool = lambda: SimpleNamespace(total_bytes=lambda: 4096)
    cupy.cuda = SimpleNamespace(
        Stream=Stream,
        Device=lambda: SimpleNamespace(id=0, compute_capability="90"),
        compiler=SimpleNamespace(CompileException=CompileException),
        runtime=SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError,
            getDeviceCount=get_device_count,
            getDeviceProperties=lambda _id: {"name": b"NVIDIA Stand-In"},
            driverGetVersion=lambda: 13000,
            runtimeGetVersion=lambda: 12090,
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
    for module in (cupy, core, products):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return cupy


def uninstall(monkeypatch):
    """Make ``import cupy`` fail as it does where CuPy is not installed, also where it is."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)

    class Nowhere:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise ModuleNotFoundError("No module named 'cupy'", name="cupy")

    with suppress(ValueError):
        monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
