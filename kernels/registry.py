"""The names of kernels, and the classes that they name.

A kernel of this package and one of another package are entry points alike, ``module:class``: to list them imports none.
"""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel, UserError
from mlpbench.kernels.own import files

#: The entry point group in which other packages offer kernels.
GROUP = "mlpbench.kernels"

#: A name becomes part of file names and of tables. `bench.record` reads names with this rule too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)

_BUILT_IN = {
    "numpy": "mlpbench.kernels.mlp_numpy:NumpyKernel",
    "numpy-out": "mlpbench.kernels.mlp_numpy:NumpyOutKernel",
    "numba": "mlpbench.kernels.mlp_numba:NumbaKernel",
    "numba-parallel": "mlpbench.kernels.mlp_numba:NumbaParallelKernel",
    "numba-simd": "mlpbench.kernels.mlp_numba_simd:NumbaSimdKernel",
    "numba-simd-parallel": "mlpbench.kernels.mlp_numba_simd:NumbaSimdParallelKernel",
    "numba-simd-sparse": "mlpbench.kernels.mlp_numba_simd:NumbaSimdSparseKernel",
    "cupy": "mlpbench.kernels.mlp_cupy:CupyKernel",
}

#: Variants that answer one question. A sweep has them where they are named, or where its profile asks that question.
_VARIANTS = {
    "numba-simd-new": "mlpbench.kernels.mlp_numba_simd:NumbaSimdNewKernel",
    "numba-simd-int8": "mlpbench.kernels.mlp_numba_simd:NumbaSimdInt8Kernel",
    "cupy-plain": "mlpbench.kernels.mlp_cupy:CupyPlainKernel",
    "cupy-tf32": "mlpbench.kernels.mlp_cupy:CupyTf32Kernel",
    "cupy-fused": "mlpbench.kernels.cuda.fused:CupyFusedKernel",
    "cupy-fused-3xtf32": "mlpbench.kernels.cuda.fused:CupyFused3xTf32Kernel",
    "cupy-fused-tf32": "mlpbench.kernels.cuda.fused:CupyFusedTf32Kernel",
    "cupy-fused-fp16": "mlpbench.kernels.cuda.fused:CupyFusedFp16Kernel",
    "cupy-fused-u8": "mlpbench.kernels.cuda.fused:CupyFusedU8Kernel",
    "cupy-fused-graph": "mlpbench.kernels.cuda.fused:CupyFusedGraphKernel",
    "cupy-fused-3xtf32-graph": "mlpbench.kernels.cuda.fused:CupyFused3xTf32GraphKernel",
    "cupy-fused-tf32-graph": "mlpbench.kernels.cuda.fused:CupyFusedTf32GraphKernel",
    "cupy-fused-fp16-graph": "mlpbench.kernels.cuda.fused:CupyFusedFp16GraphKernel",
    "cupy-fused-u8-graph": "mlpbench.kernels.cuda.fused:CupyFusedU8GraphKernel",
}

#: Runtimes that users might pick instead. They are many, and some start slowly: a sweep has them where they are named,
#: or with ``--peers``.
_PEERS = {
    "onnxruntime": "mlpbench.kernels.mlp_onnxruntime:OnnxRuntimeKernel",
    "onnxruntime-bound": "mlpbench.kernels.mlp_onnxruntime:OnnxRuntimeBoundKernel",
    "onnxruntime-int8": "mlpbench.kernels.mlp_onnxruntime:OnnxRuntimeInt8Kernel",
    "torch": "mlpbench.kernels.mlp_torch:TorchKernel",
    "torch-bf16": "mlpbench.kernels.mlp_torch:TorchBf16Kernel",
    "torch-tensor": "mlpbench.kernels.mlp_torch:TorchTensorKernel",
    "torch-compile": "mlpbench.kernels.mlp_torch:TorchCompileKernel",
    "jax": "mlpbench.kernels.mlp_jax:JaxKernel",
    "jax-array": "mlpbench.kernels.mlp_jax:JaxArrayKernel",
    "openvino": "mlpbench.kernels.mlp_openvino:OpenVinoKernel",
    "openvino-bf16": "mlpbench.kernels.mlp_openvino:OpenVinoBf16Kernel",
    "sklearn": "mlpbench.kernels.mlp_sklearn:SklearnKernel",
}
_CUDA_PEERS = {
    "torch-cuda": "mlpbench.kernels.mlp_torch:TorchCudaKernel",
    "torch-cuda-compile": "mlpbench.kernels.mlp_torch:TorchCudaCompileKernel",
    "jax-cuda": "mlpbench.kernels.mlp_jax:JaxCudaKernel",
    "onnxruntime-cuda": "mlpbench.kernels.mlp_onnxruntime:OnnxRuntimeCudaKernel",
}
_PEERS |= _CUDA_PEERS

_OURS = _BUILT_IN | _VARIANTS

#: What `add` made known in this process.
_added: dict[str, type[Kernel]] = {}


@cache
def _points() -> dict[str, EntryPoint]:
    points = {name: EntryPoint(name, value, GROUP) for name, value in (_OURS | _PEERS).items()}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        # A built-in name keeps its meaning whatever is installed: results would not be comparable otherwise.
        if _NAME.fullmatch(point.name):
            points.setdefault(point.name, point)
    return points


def names() -> list[str]:
    """Return every kernel's name, built-in ones first. Imports none of them."""
    return list(_points())


def usual() -> list[str]:
    """Return the names of the kernels that are meant where none is named: our own, but for peers and variants."""
    asked_for = {*_PEERS, *_VARIANTS, *third_party()}
    return [name for name in names() if name not in asked_for]


def package_of(name: str) -> Distribution | None:
    """Return the installed package of another that offers a kernel; None for our own, and for one in a file."""
    return _points()[name].dist if name in third_party() else None


def third_party() -> list[str]:
    """Return the names of the kernels that other packages offer. What is installed is not in everybody's results."""
    return [name for name in _points() if name not in _OURS | _PEERS]


def peers() -> list[str]:
    """Return the names of the peers: other libraries, to compare with."""
    return list(_PEERS)


def cuda_peers() -> list[str]:
    """Return the names of the peers that compute on a CUDA device."""
    return list(_CUDA_PEERS)


def add(name: str, kernel_class: type[Kernel]) -> None:
    """Make a kernel known by its name in this process, and list it nowhere: an instrument is not a competitor.

    Raises ValueError for the name of a built-in kernel, or of another kernel that was added.
    """
    if name in _OURS | _PEERS or _added.setdefault(name, kernel_class) is not kernel_class:
        raise ValueError(f"the name {name!r} is taken")


def give(text: str, *, elsewhere: bool = False) -> str:
    """Return the name of the kernel that somebody typed: a name, ``./mine.py:fast``, or ``array-api:torch``.

    A file is read and hashed: from now on this process, and those that it starts, know it by its name. Raises
    UnknownKernel for a file that cannot be read, and unless another interpreter may offer it ``elsewhere`` for a name
    that nobody offers here.
    """
    if files.is_file(text):
        name = files.give(text)
    elif text.startswith("array-api:"):
        from mlpbench.kernels.own import array_api

        name = array_api.name_of(text)
    else:
        name = text
    if not elsewhere:
        module(name)
    return name


def typed_name(text: str) -> str:
    """Return what a kernel that somebody types is called in results, whether or not it is here."""
    return files.name_of(text) if files.is_file(text) else text.replace("array-api:", "array-api-", 1)


def _namespace(name: str) -> str | None:
    if not name.startswith("array-api-"):  # the module imports NumPy
        return None
    from mlpbench.kernels.own import array_api

    return array_api.namespace_of(name)


def module(name: str) -> str:
    """Return the module that a kernel lives in, without importing it. Raises UnknownKernel.

    Of a kernel in a file, it is the file; of a namespace, the namespace.
    """
    if (file := files.given().get(name)) is not None:
        return file.path
    if (namespace := _namespace(name)) is not None:
        return namespace
    return _added[name].__module__ if name in _added else _point(name).module


def nearest(name: str, known: list[str]) -> str:
    """Return " (did you mean X?)" for the nearest of ``known`` names, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f" (did you mean {close[0]}?)" if close else ""


def one_of(what: str, text: str, known: Iterable[str]) -> str:
    """Return a text that is one of those ``known``. Raises UserError, which names the nearest."""
    names = list(known)
    if text not in names:
        raise UserError(f"unknown {what} {text!r}{nearest(text, names)}; there are {', '.join(names)}")
    return text


def _point(name: str) -> EntryPoint:
    point = _points().get(name)
    if point is None:
        raise UnknownKernel(f"unknown kernel {name!r}{nearest(name, names())}; `mlpbench list` shows them all")
    return point


def load(name: str) -> type[Kernel]:
    """Return the class of the kernel called ``name``; its library need not be there.

    Raises UnknownKernel, naming the nearest, for a name that nobody offers, and KernelUnavailable for an entry point of
    another package that cannot be imported or is no kernel class. A built-in kernel that cannot be imported is a bug,
    and its ImportError is raised as it is.
    """
    if name in _added:
        return _added[name]
    if (file := files.given().get(name)) is not None:
        return files.load(file)
    if (namespace := _namespace(name)) is not None:
        from mlpbench.kernels.own import array_api

        return array_api.kernel_class(namespace)
    point = _point(name)
    try:
        cls = point.load()
    except (ImportError, AttributeError) as error:
        if name in _OURS | _PEERS:
            raise
        raise KernelUnavailable(f"its entry point {point.value} cannot be imported: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Kernel)):
        raise KernelUnavailable(f"its entry point {point.value} is not a class of mlpbench.kernels.base.Kernel")
    return cls
