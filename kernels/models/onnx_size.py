"""What an ONNX file would cost to read, told from its bytes before a library reads them.

A message of protobuf may take a hundred times its bytes in memory, where it consists of many small ones. So its fields
are counted along the way that leads to tensors, and all bytes but the tensors' own values must be few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.kernels.errors import ParamsError

if TYPE_CHECKING:
    from mmap import mmap
    from typing import TypeAlias

    Bytes: TypeAlias = bytes | mmap

#: Fields of messages, and bytes of everything but values. A network of a thousand layers has a tenth of that.
MAX_FIELDS, MAX_BYTES = 200_000, 4 * 2**20

#: The messages that a message of ONNX holds, by number of field, as far as the way to tensors leads through them.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor"},
    "tensor": {},
}
#: Fields of a tensor that hold its values in as many bytes as they take in memory: float_data, raw_data, double_data.
_VALUES = (4, 9, 10)


class _Count:
    fields = 0
    n_bytes = 0


def require_small(data: Bytes) -> None:
    """Raise ParamsError where the message is damaged, or has far more fields or text than a network needs.

    ``data``: the bytes of a file, of which no more are looked at than it takes to tell.
    """
    _walk(data, 0, len(data), "model", _Count())


def _walk(data: Bytes, at: int, end: int, kind: str, count: _Count) -> None:
    while at < end:
        count.fields += 1
        start = at
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        size = {0: None, 1: 8, 5: 4}.get(wire, -1)
        if wire == 2:
            size, at = _varint(data, at)
        elif size is None:
            _, at = _varint(data, at)
            size = 0
        if number == 0 or size < 0 or at + size > end:
            raise ParamsError("damaged, or no ONNX model")
        inside = _INSIDE[kind].get(number) if wire == 2 else None
        if inside is not None:
            _walk(data, at, at + size, inside, count)
        elif not (kind == "tensor" and wire == 2 and number in _VALUES):
            count.n_bytes += at + size - start
        if count.fields > MAX_FIELDS or count.n_bytes > MAX_BYTES:
            raise ParamsError("far too many parts for a fully connected network")
        at += size


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ParamsError("damaged, or no ONNX model")
