"""Weights in files: NumPy's `.npz`, and the `.pkl` that comes with the book. Nothing in a file is ever run.

Both files hold the arrays under the book's names: ``W1, b1, W2, b2, ...``, one pair for each layer.
"""

import io
import json
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import TooLarge, read_ordinary, write_whole
from mlpbench.kernels.models import network
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

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

    A file that is called `.onnx` or `.safetensors` is read by `kernels.models`.

    The arrays are C-contiguous, in this machine's byte order and of the dtype in which they were stored; a kernel
    casts them to its own. Entries that are not called like a layer (``meta``) are ignored. A pickle is read by
    `read_arrays`, an `.npz` with ``allow_pickle=False``.

    Raises ParamsError, one line that begins with the path, where the file is missing, a folder, unreadable, far too
    large for ``spec``, or asks for more than arrays; where a layer is missing or one too many; where an array has
    the wrong shape, does not hold numbers, or holds NaN, infinity or what overflows in ``spec.dtype``.
    """
    if network.is_network(path):
        return network.params_of(path, spec)
    try:
        arrays = _read(path, BYTES_BESIDES + BYTES_PER_NUMBER * (spec.n_weights + sum(spec.sizes[1:])))
        return _fit(arrays, spec)
    except ParamsError as error:
        raise ParamsError(f"weights {path}: {error}") from error.__cause__


def save_params(path: Path, params: Params, **meta: Any) -> None:
    """Write the weights as a compressed `.npz`, with ``meta`` as JSON in a separate entry.

    The file appears in one step: an interrupted call leaves what was there. Raises ParamsError where it cannot be
    written.
    """
    arrays: Arrays = {}
    for number, (W, b) in enumerate(zip(params.weights, params.biases, strict=True), start=1):
        arrays |= {f"W{number}": W, f"b{number}": b}
    arrays[META] = np.array(json.dumps(meta, sort_keys=True))
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise ParamsError(f"cannot write weights {path}: {error.strerror or error}") from error


def _read(path: Path, limit: int) -> Arrays:
    """Return all arrays of a file that takes at most ``limit`` bytes, packed or unpacked."""
    try:
        content = read_ordinary(path, limit)
    except FileNotFoundError:
        raise ParamsError("there is no such file") from None
    except TooLarge:
        raise ParamsError(f"it has more than {limit} bytes, far too many for these weights") from None
    except OSError as error:
        raise ParamsError(f"it cannot be read: {error.strerror or error}") from error
    if content.startswith(ZIP_MAGIC):
        return _read_npz(io.BytesIO(content), limit)
    if path.suffix == ".npz":
        raise ParamsError("it is not an .npz file, whatever its name")
    try:
        return read_arrays(content)
    except RefusedPickle as error:
        raise ParamsError(f"refused as a pickle: {error}") from error.__cause__


def _read_npz(content: io.BytesIO, limit: int) -> Arrays:
    try:
        _require_size(content, limit)
        with np.load(content, allow_pickle=False) as stored:
            return {name: np.asarray(stored[name]) for name in stored.files}
    except ParamsError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's header parser each have their own for damaged bytes
        if "allow_pickle" in str(error):
            raise ParamsError("it holds Python objects, and only arrays of numbers are admitted") from error
        raise ParamsError("it is damaged, or not an .npz file") from error


def _require_size(content: io.BytesIO, limit: int) -> None:
    """Refuse an archive that unpacks to more than ``limit`` bytes; zipfile keeps entries to the sizes they declare."""
    with zipfile.ZipFile(content) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    content.seek(0)
    if unpacked > limit:
        raise ParamsError(f"it unpacks to {unpacked} bytes, far too many for these weights")


def _fit(arrays: Arrays, spec: ForwardSpec) -> Params:
    """Return the arrays as the parameters of ``spec``, or say what keeps them from it."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (n_in, n_out) in enumerate(spec.layers, start=1):
        shapes |= {f"W{number}": (n_in, n_out), f"b{number}": (n_out,)}
    missing = [name for name in shapes if name not in arrays]
    if missing:
        names = ", ".join(ascii(name)[1:-1][:20] for name in list(arrays)[:12]) or "nothing"
        raise ParamsError(f"{spec.label()} needs {', '.join(missing)}, which it does not hold; it holds {names}")
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


# Pickles. A pickle is a program. Here it may name a handful of NumPy's globals, and even those are never called: in
# place of each stands an object of this module that takes down shape, dtype and bytes. So no attacker's state reaches
# NumPy's own ``__setstate__``, which forged dtype flags make a way into memory. Everything else is refused.

#: A pickle has some twenty opcodes for an array; this is enough for a hundred layers and too few to nest tuples until
#: the C stack overflows. The limit also holds for places in the memo: CPython allocates as many as the highest
#: index names, 32 GB for five bytes of pickle.
MAX_OPCODES = 10_000

NUMERIC = re.compile(r"[<>=|]?(f[248]|[iu][1248])")


class RefusedPickle(Exception):  # noqa: N818 - a verdict
    """A pickle that asks for more than arrays, or that is not one; the message is one line."""


class _Admitted:
    """Stands in a pickle's program for one of NumPy's functions. Not a class or function that it could alter."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __setstate__(self, state: object) -> NoReturn:
        raise RefusedPickle("it alters a function")


class _DType:
    """A dtype as pickled: its type string, then (by ``__setstate__``) its byte order."""

    __slots__ = ("dtype",)

    def __init__(self, kind: object, *_flags: object) -> None:
        if not isinstance(kind, str) or not NUMERIC.fullmatch(kind):
            raise RefusedPickle(f"it holds values of type {str(kind)[:20]!r}, not numbers")
        self.dtype = np.dtype(kind)

    def __setstate__(self, state: object) -> None:
        # NumPy's state: version, byte order, subarray, names, fields, size, alignment, flags. Numbers have the first
        # two; the rest is for structures, and for attacks.
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise RefusedPickle("it holds structured values, not numbers")
        if state[1] not in ("<", ">", "=", "|"):
            raise RefusedPickle("it holds a byte order that is none")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array as pickled: nothing, then (by ``__setstate__``) shape, dtype, order and bytes."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedPickle("it holds an array in an unknown form")
        _version, shape, dtype, fortran, data = state
        # Python 2 wrote bytes as text, which is read as Latin-1: one character for each byte.
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = _build(data, dtype, shape, "F" if fortran else "C")


def _build(data: object, dtype: object, shape: object, order: object) -> NDArray[Any]:
    if not isinstance(dtype, _DType):
        raise RefusedPickle("it holds an array without a dtype")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise RefusedPickle("it holds an array whose shape is none")
    if not isinstance(data, bytes | bytearray):
        raise RefusedPickle("it holds values that are not numbers")
    if len(data) != math.prod(shape) * dtype.dtype.itemsize:
        raise RefusedPickle(f"it holds an array of shape {str(shape)[:60]} with {len(data)} bytes of data")
    if order not in ("C", "F"):
        raise RefusedPickle("it holds an array in an unknown order")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="C" if order == "C" else "F")


def _reconstruct(*_args: object) -> _Array:
    """Stand for the function with which an array's pickle begins (protocols 0 to 4)."""
    return _Array()


def _frombuffer(data: object, dtype: object, shape: object, order: object, *_axes: object) -> _Array:
    """Stand for the function that makes an array from its bytes (protocol 5)."""
    array = _Array()
    array.value = _build(data, dtype, shape, order)
    return array


def _encode(text: object, codec: object) -> bytes:
    """Stand for ``_codecs.encode``, with which Python 3 writes bytes in the protocols of Python 2."""
    if not isinstance(text, str) or codec != "latin1":
        raise RefusedPickle("it asks for a codec other than Latin-1")
    return text.encode("latin1")


def _ndarray(*_args: object) -> NoReturn:
    """Stand for ``numpy.ndarray``, which an array's pickle names and never calls."""
    raise RefusedPickle("it makes an array without its data")


_ADMITTED = {
    ("numpy", "ndarray"): _Admitted(_ndarray),
    ("numpy", "dtype"): _Admitted(_DType),
    ("_codecs", "encode"): _Admitted(_encode),
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Admitted(_reconstruct) for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Admitted(_frombuffer) for core in ("core", "_core")},
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ADMITTED[module_name, global_name]
        except KeyError:
            wanted = ascii(f"{module_name}.{global_name}"[:80]).strip("'\"")
            raise RefusedPickle(f"it asks for {wanted}, and only NumPy arrays are admitted") from None


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pickled ``dict`` of arrays, by name; they may be read-only and in Fortran order.

    Pickles of Python 2 and 3, of NumPy 1 and 2, of protocols 0 to 5 are read. Only numbers of 1 to 8 bytes are
    admitted. Raises RefusedPickle for everything else; nothing that the pickle names has been called by then.
    """
    try:
        _look_over(data)
        stored = _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except RefusedPickle:
        raise
    except Exception as error:  # by its documentation, unpickling bad data can raise anything
        raise RefusedPickle("it is damaged or no pickle at all") from error
    if type(stored) is not dict:
        raise RefusedPickle(f"it holds a {type(stored).__name__.lstrip('_').lower()}, not a dictionary of arrays")
    arrays = {}
    for name, array in stored.items():
        if not isinstance(name, str):
            raise RefusedPickle("it holds an entry without a name")
        if not isinstance(array, _Array) or array.value is None:
            raise RefusedPickle(f"its entry {ascii(name)[:40]} is not an array")
        arrays[name] = array.value
    return arrays


def _look_over(data: bytes) -> None:
    """Refuse, before anything is made of it, a pickle whose own numbers would exhaust the memory."""
    for count, (opcode, arg, _position) in enumerate(pickletools.genops(data), start=1):
        wild_index = "PUT" in opcode.name and isinstance(arg, int) and not 0 <= arg < MAX_OPCODES
        if count > MAX_OPCODES or wild_index:
            raise RefusedPickle("it is far too long for a dictionary of arrays")
