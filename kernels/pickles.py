"""Reads the arrays of a pickled dictionary without running anything that the pickle says.

A pickle is a program. Here it may name a handful of NumPy's globals, and even those are never called: in place of
each stands an object of this module that takes down shape, dtype and bytes, so that no attacker's state reaches
NumPy's own ``__setstate__`` (with forged dtype flags, that is a way into memory). Everything else is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["RefusedPickle", "read_arrays"]

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
    if order == "C":
        return np.frombuffer(data, dtype.dtype).reshape(shape, order="C")
    if order == "F":
        return np.frombuffer(data, dtype.dtype).reshape(shape, order="F")
    raise RefusedPickle("it holds an array in an unknown order")


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
