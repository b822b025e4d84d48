"""A network in a file: what its specification is, and its parameters."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mlpbench.kernels.errors import KernelUnavailable, ParamsError, SpecError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.spec import ForwardSpec

if TYPE_CHECKING:
    from pathlib import Path

    from mlpbench.kernels.models.content import Network
    from mlpbench.kernels.params import Params

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
            found = os.fstat(file.fileno())
        return _read(path, found.st_mtime_ns, found.st_size)
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


def spec_of(path: Path, hidden: str | None, output: str | None) -> ForwardSpec:
    """Return the specification of a network in float32; ``hidden`` and ``output`` are what somebody says of it.

    Raises ParamsError, and where what is said contradicts the file, or is missing in both.
    """
    network = read(path)
    sizes, single = network.params.sizes, len(network.params.weights) == 1
    if network.hidden is None and hidden is None and not single:
        raise ParamsError(
            f"model {path}: it holds weights and no activations: say which with --hidden, such as --hidden relu"
        )
    try:
        spec = ForwardSpec(
            sizes,
            network.hidden or hidden or "identity",
            network.output or output or "softmax",  # type: ignore[arg-type]  # checked there
        )
        said = ForwardSpec(sizes, hidden or spec.hidden, output or spec.output)  # type: ignore[arg-type]
    except SpecError as error:
        raise ParamsError(f"model {path}: {error}") from None
    if said != spec:
        raise ParamsError(f"model {path}: it is {spec.hidden}/{spec.output}, and not {said.hidden}/{said.output}")
    return spec


def params_of(path: Path, spec: ForwardSpec) -> Params:
    """Return the parameters of a network, which is to be that of ``spec``. Raises ParamsError."""
    network = read(path)
    if network.params.sizes != spec.sizes:
        got = "-".join(map(str, network.params.sizes))
        raise ParamsError(f"model {path}: the network is {got}, the specification is {spec.label()}")
    spec_of(path, spec.hidden, spec.output)
    with np.errstate(over="ignore"):
        small = network.params.astype(spec.np_dtype)
    if not all(np.isfinite(array).all() for array in (*small.weights, *small.biases)):
        raise ParamsError(f"model {path}: it holds numbers too large for {spec.dtype}")
    return network.params
