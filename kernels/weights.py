"""Weights in files: NumPy's `.npz`, and the `.pkl` that comes with the book. Nothing in a file is ever run.

Both hold the arrays under the book's names: ``W1, b1, W2, b2, ...``, one pair for each layer.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.params import Params
from mlpbench.kernels.pickles import RefusedPickle, read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlpbench.kernels.spec import ForwardSpec

__all__ = ["load_meta", "load_params", "save_params"]

Arrays = dict[str, "NDArray[Any]"]

ZIP_MAGIC = b"PK\x03\x04"
META = "meta"
LAYER = re.compile(r"[Wb][0-9]+")

#: A file may take this much for each number: eight bytes, each written as `\x00` with room to spare. Beyond that it
#: is something else, and is not read into memory.
BYTES_PER_NUMBER = 64
BYTES_BESIDES = 2**20


def load_params(path: Path, spec: ForwardSpec) -> Params:
    """Return the weights and biases of ``spec`` from an `.npz` or `.pkl` file, told apart by their content.

    The arrays are C-contiguous, in this machine's byte order and of the dtype in which they were stored; a kernel
    casts them to its own. Entries that are not called like a layer (``meta``) are ignored. A pickle is read through
    `kernels.pickles`, an `.npz` with ``allow_pickle=False``.

    Raises ParamsError, one line that begins with the path, where the file is missing, a folder, unreadable, far too
    large for ``spec``, or asks for more than arrays; where a layer is missing or one too many; where an array has
    the wrong shape, does not hold numbers, or holds NaN, infinity or what overflows in ``spec.dtype``.
    """
    try:
        arrays = _read(path, BYTES_BESIDES + BYTES_PER_NUMBER * (spec.n_weights + sum(spec.sizes[1:])))
        return _fit(arrays, spec)
    except ParamsError as error:
        raise ParamsError(f"weights {path}: {error}") from error.__cause__


def load_meta(path: Path) -> dict[str, Any]:
    """Return what `save_params` was given beside the weights. Raises ParamsError where the file holds no such thing."""
    try:
        meta = json.loads(str(_read(path, BYTES_BESIDES * 64)[META]))
    except KeyError:
        raise ParamsError(f"weights {path}: it says nothing about itself (no entry {META!r})") from None
    except (ParamsError, ValueError) as error:
        raise ParamsError(f"weights {path}: {error}") from error
    if not isinstance(meta, dict):
        raise ParamsError(f"weights {path}: its entry {META!r} is not a JSON object")
    return meta


def save_params(path: Path, params: Params, **meta: Any) -> None:
    """Write the weights as a compressed `.npz`, with ``meta`` as JSON in an entry of its own.

    The file appears in one step: an interrupted call leaves what was there. Raises ParamsError where it cannot be
    written.
    """
    arrays: Arrays = {}
    for number, (W, b) in enumerate(zip(params.weights, params.biases, strict=True), start=1):
        arrays |= {f"W{number}": W, f"b{number}": b}
    arrays[META] = np.array(json.dumps(meta, sort_keys=True))
    partial: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
            partial = Path(file.name)
            np.savez_compressed(file, allow_pickle=False, **arrays)
        partial.chmod(0o644)  # temporary files are private
        partial.replace(path)
    except OSError as error:
        raise ParamsError(f"cannot write weights {path}: {error.strerror or error}") from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _read(path: Path, limit: int) -> Arrays:
    """Return all arrays of a file that takes at most ``limit`` bytes, packed or unpacked."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise ParamsError("there is no such file") from None
    except OSError as error:
        raise ParamsError(f"it cannot be read: {error.strerror or error}") from error
    if len(content) > limit:
        raise ParamsError(f"it has more than {limit} bytes, far too many for these weights")
    if content.startswith(ZIP_MAGIC):
        return _read_npz(path, limit)
    if path.suffix == ".npz":
        raise ParamsError("it is not an .npz file, whatever its name")
    try:
        return read_arrays(content)
    except RefusedPickle as error:
        raise ParamsError(f"refused as a pickle: {error}") from error.__cause__


def _read_npz(path: Path, limit: int) -> Arrays:
    try:
        _require_size(path, limit)
        with np.load(path, allow_pickle=False) as stored:
            return {name: np.asarray(stored[name]) for name in stored.files}
    except ParamsError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's header parser each have their own for damaged bytes
        if "allow_pickle" in str(error):
            raise ParamsError("it holds Python objects, and only arrays of numbers are admitted") from error
        raise ParamsError("it is damaged, or not an .npz file") from error


def _require_size(path: Path, limit: int) -> None:
    """Refuse an archive that unpacks to more than ``limit`` bytes; zipfile keeps entries to the sizes they declare."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > limit:
        raise ParamsError(f"it unpacks to {unpacked} bytes, far too many for these weights")


def _fit(arrays: Arrays, spec: ForwardSpec) -> Params:
    """Return the arrays as the parameters of ``spec``, or say what keeps them from it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (n_in, n_out) in enumerate(spec.layers, start=1):
        shapes |= {f"W{number}": (n_in, n_out), f"b{number}": (n_out,)}
    missing = [name for name in shapes if name not in arrays]
    if missing:
        found = ", ".join(ascii(name)[1:-1][:20] for name in list(arrays)[:12]) or "nothing"
        raise ParamsError(f"{spec.label()} needs {', '.join(missing)}, which it does not hold; it holds {found}")
    extra = [name for name in arrays if LAYER.fullmatch(name) and name not in shapes]
    if extra:
        raise ParamsError(f"it also holds {', '.join(extra[:6])}: more layers than {spec.label()} has")
    fitted = {name: _checked(name, arrays[name], shape, spec) for name, shape in shapes.items()}
    numbers = range(1, spec.n_layers + 1)
    return Params(tuple(fitted[f"W{n}"] for n in numbers), tuple(fitted[f"b{n}"] for n in numbers))


def _checked(name: str, array: NDArray[Any], shape: tuple[int, ...], spec: ForwardSpec) -> NDArray[Any]:
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise ParamsError(f"{name} holds values of type {array.dtype}, not numbers")
    if array.shape != shape:
        raise ParamsError(f"{name} has shape {array.shape}, {spec.label()} needs {shape}")
    if not np.isfinite(array).all():
        raise ParamsError(f"{name} holds NaN or infinity")
    with np.errstate(over="ignore"):
        if not np.isfinite(array.astype(spec.np_dtype)).all():
            raise ParamsError(f"{name} holds numbers too large for {spec.dtype}")
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
