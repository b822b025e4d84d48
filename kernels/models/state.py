"""The state of a PyTorch module as safetensors: ``0.weight`` (n_out, n_in) and ``0.bias`` of each linear layer."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from mlpbench.kernels.base import require
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.params import Network, Params

#: The library takes a description of tensors of up to 100 MB. That of a network has some hundred bytes for a layer.
MAX_HEADER = 2**20
_DTYPES = ("F16", "F32", "F64")


def read(path: Path) -> Network:
    """Read a file. Its metadata "hidden" and "output" say the activations, if it has them. Raises ParamsError."""
    library = require("safetensors", "models")
    with open_ordinary(path) as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise ParamsError(f"its header would have {length} bytes: it is no file of a network")
    try:
        with library.safe_open(path, framework="numpy") as stored:
            told = stored.metadata() or {}
            return Network(_params(stored), told.get("hidden"), told.get("output"))
    except library.SafetensorError as error:
        raise ParamsError(f"damaged, or no safetensors: {ascii(' '.join(str(error).split()))[1:-1][:200]}") from None


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names as people do: 2 before 10. Numbers may have more digits than Python reads."""
    return [(len(word) if word.isdecimal() else -1, word) for word in re.split(r"0*([0-9]+)", name)]


def _params(stored: Any) -> Params:
    names = sorted(stored.keys(), key=_natural)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    for name in names:
        leaf, dtype = name.rpartition(".")[2], stored.get_slice(name).get_dtype()
        if leaf not in ("weight", "bias"):
            raise ParamsError(f"{ascii(name)[:60]} is neither weight nor bias, as a fully connected network has them")
        if dtype not in _DTYPES:
            raise ParamsError(f"{ascii(name)[:60]} holds {dtype}, and {', '.join(_DTYPES)} are read")
    weights, biases, shapes = [], [], []
    for layer in layers:
        at = f"{layer}.weight" if layer else "weight"
        if at not in names or len(shape := stored.get_slice(at).get_shape()) != 2:
            raise ParamsError(f"layer {ascii(layer)[:40]} has no weight of two dimensions: it is not fully connected")
        bias = at.removesuffix("weight") + "bias"
        b = stored.get_tensor(bias) if bias in names else np.zeros(shape[0], np.float32)
        weights.append(np.ascontiguousarray(_wide(stored.get_tensor(at)).T))
        biases.append(_wide(b))
        shapes.append(f"{ascii(at)[1:-1][:40]} {tuple(shape)}")
    try:
        return Params(tuple(weights), tuple(biases))
    except ParamsError:
        raise ParamsError(f"its layers do not fit behind each other: {', '.join(shapes)[:300] or 'none'}") from None


def _wide(array: Any) -> Any:
    return array.astype(np.float32) if array.dtype == np.float16 else array
