"""Tensors of an ONNX model as arrays: values in the model, or in a file beside it, of which no other byte is read."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.spec import MAX_WEIGHTS

#: Types by their numbers in ONNX; the field that has the values where they are not raw.
_DTYPES = {1: "f4", 11: "f8", 10: "f2", 7: "i8", 6: "i4", 9: "?"}
_FIELDS = {1: "float_data", 11: "double_data", 10: "int32_data", 7: "int64_data", 6: "int32_data", 9: "int32_data"}
_EXTERNAL = 1


def array(tensor: Any, folder: Path) -> NDArray[Any]:
    """Return a tensor; half precision in float32. ``folder``: where the model is. Raises ParamsError."""
    who = f"tensor {ascii(tensor.name)[:40]}"
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None:
        raise ParamsError(f"{who} has values of type {tensor.data_type}: float32, float64 and float16 are read")
    shape = tuple(tensor.dims)
    if len(shape) > 4 or any(n < 0 for n in shape) or math.prod(shape) > MAX_WEIGHTS:
        raise ParamsError(f"{who} has the shape {str(shape)[:60]}")
    count, stored = math.prod(shape), np.dtype(dtype).newbyteorder("<")
    if tensor.data_location == _EXTERNAL:
        values = np.frombuffer(_beside(tensor, folder, count * stored.itemsize, who), stored)
    elif tensor.HasField("raw_data"):
        values = _whole(tensor.raw_data, stored, who)
    else:
        listed = getattr(tensor, _FIELDS[tensor.data_type])
        kind = np.dtype("u2") if dtype == "f2" else stored
        if len(listed) == count:  # a number that is too large for its type would raise
            listed = np.fromiter(listed, np.float64 if dtype in ("f4", "f8") else np.int64, count)
        values = np.asarray(listed)[:count].astype(kind)
        values = values.view("f2") if dtype == "f2" else values
    if len(values) != count:
        raise ParamsError(f"{who} of shape {shape} has {len(values)} values")
    found: NDArray[Any] = values.reshape(shape).astype("f4" if dtype == "f2" else stored.newbyteorder("="))
    return found


def _whole(raw: bytes, stored: np.dtype[Any], who: str) -> NDArray[Any]:
    if len(raw) % stored.itemsize:
        raise ParamsError(f"{who} ends within a value")
    return np.frombuffer(raw, stored)


def _beside(tensor: Any, folder: Path, n_bytes: int, who: str) -> bytes:
    """Return the bytes of a tensor from a file of the model's own folder, or of one below it, links resolved."""
    told = {entry.key: entry.value for entry in tensor.external_data[:10]}
    location = told.get("location", "")
    root = folder.resolve()
    if not isinstance(location, str):  # bytes that are no text
        raise ParamsError(f"{who} lies in a file without a name")
    try:
        offset, length = int(told.get("offset", "0")), int(told.get("length", str(n_bytes)))
        path = (root / location).resolve()
        if not path.is_relative_to(root) or not location:
            raise ParamsError(f"{who} lies outside the model's folder: {ascii(location)[:60]}")
        if not path.is_file():
            raise ParamsError(f"{who} lies in a file that is not there: {ascii(location)[:60]}")
        if offset < 0 or length != n_bytes or offset + length > path.stat().st_size:
            raise ParamsError(f"{who} has no {n_bytes} bytes in {ascii(location)[:60]}")
        with open_ordinary(path) as file:
            file.seek(offset)
            content = file.read(length)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        if isinstance(error, ParamsError):
            raise
        why = getattr(error, "strerror", None) or ascii(str(error))[1:-1][:100]
        raise ParamsError(f"{who} cannot be read from {ascii(location)[:60]}: {why}") from None
    return content
