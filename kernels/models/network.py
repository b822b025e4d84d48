"""A network in a file: what its specification is, and its parameters."""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from mlpbench.kernels.errors import KernelUnavailable, ParamsError, SpecError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.params import Network, Params
from mlpbench.kernels.spec import ForwardSpec

#: The endings of files that hold a network.
SUFFIXES = (".onnx", ".safetensors")
#: A message of protobuf, and so a model of ONNX, ends at 2 GiB. A file may have holes, and claim any size for nothing.
MAX_BYTES = 2**31


def is_network(path: Path) -> bool:
    """Return whether a file is called as one that holds a network."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path) -> Network:
    """Read a network. Raises ParamsError, one line that begins with the path, where that cannot be done, and why."""
    try:
        with open_ordinary(path) as file:
            status = os.fstat(file.fileno())
        return _read(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise ParamsError(f"model {path}: {error.strerror or error}") from None
    except (ParamsError, KernelUnavailable) as error:
        raise ParamsError(f"model {path}: {error}") from None


@lru_cache(maxsize=1)
def _read(path: Path, _modified_ns: int, size: int) -> Network:
    if not 0 < size < MAX_BYTES:
        raise ParamsError(f"it has {size} bytes: a network has up to {MAX_BYTES}")
    if path.suffix.lower() == ".onnx":
        from mlpbench.kernels.models import graph

        network = graph.read(path)
    else:
        from mlpbench.kernels.models import state

        network = state.read(path)
    for number, arrays in enumerate(zip(network.params.weights, network.params.biases, strict=True), start=1):
        if not all(np.isfinite(array).all() for array in arrays):
            raise ParamsError(f"layer {number} holds NaN or infinity")
    return network


def spec_of(path: Path) -> ForwardSpec:
    """Return the specification of a network in float32. Raises ParamsError where the file names no activations."""
    network = read(path)
    sizes = network.params.sizes
    if network.hidden is None and len(network.params.weights) > 1:
        such_as = f"--spec {'-'.join(map(str, sizes))}:relu/identity"
        raise ParamsError(f"model {path}: it holds weights and no activations: name them, such as {such_as}")
    return _spec(path, sizes, network.hidden or "identity", network.output or "softmax")


def _spec(path: Path, sizes: tuple[int, ...], hidden: str, output: str) -> ForwardSpec:
    try:
        return ForwardSpec(sizes, hidden, output)  # type: ignore[arg-type]  # checked there
    except SpecError as error:
        raise ParamsError(f"model {path}: {error}") from None


def params_of(path: Path, spec: ForwardSpec) -> Params:
    """Return the parameters of a network. Raises ParamsError where the file contradicts ``spec``."""
    network = read(path)
    if network.params.sizes != spec.sizes:
        got = "-".join(map(str, network.params.sizes))
        raise ParamsError(f"model {path}: the network is {got}, the specification is {spec.label()}")
    has = _spec(path, spec.sizes, network.hidden or spec.hidden, network.output or spec.output)
    if (has.hidden, has.output) != (spec.hidden, spec.output):
        raise ParamsError(f"model {path}: it is {has.hidden}/{has.output}, and not {spec.hidden}/{spec.output}")
    with np.errstate(over="ignore"):
        small = network.params.astype(spec.np_dtype)
    if not all(np.isfinite(array).all() for array in (*small.weights, *small.biases)):
        raise ParamsError(f"model {path}: it holds numbers too large for {spec.dtype}")
    return network.params
