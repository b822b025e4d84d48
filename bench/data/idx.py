"""IDX, the file format of MNIST: a magic number, one size for each axis, then the bytes; plain or gzipped."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import IO, TYPE_CHECKING

import numpy as np

from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MAX_BYTES", "read"]

#: The largest file of MNIST holds 47 MB: sizes that multiply to more than this are a damaged header.
MAX_BYTES = 2**30

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08
KINDS = {1: "labels", 3: "images"}
HINT = "`mlpbench fetch` gets a good copy"


def read(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with ``ndim`` axes: 3 for images (n, rows, columns), 1 for labels.

    Whether the file is gzipped is told from its first two bytes, not from its name: browsers unpack ``.gz`` files
    and keep the name. The array is writable and owns its memory.

    Raises UserError where the file is missing, cannot be read, is truncated (the gzip stream or what is in it),
    damaged (gzip checksum), longer than its header says, not IDX, of another kind, empty or absurdly large.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _parse(unpacked, path, ndim)
            return _parse(file, path, ndim)
    except EOFError:
        raise UserError(f"{path} is truncated: its gzip stream ends early; {HINT}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); {HINT}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> NDArray[np.uint8]:
    shape = _shape(stream, path, ndim)
    size = math.prod(shape)
    # One byte more than there should be: it shows a file that is too long, and makes gzip check its checksum.
    data = stream.read(size + 1)
    if len(data) < size:
        raise UserError(f"{path} is truncated: {len(data)} bytes of data, its header says {size}; {HINT}")
    if len(data) > size:
        raise UserError(f"{path} is longer than the {size} bytes of data that its header says; {HINT}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def _shape(stream: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> tuple[int, ...]:
    """Read the header: two zero bytes, the type of the elements, the number of axes, the size of each axis."""
    kind = KINDS.get(ndim, f"{ndim} axes")
    magic = stream.read(4)
    expected = bytes((0, 0, UNSIGNED_BYTE, ndim))
    if magic != expected and len(magic) == 4:
        raise UserError(
            f"{path} is not an IDX file of {kind}: it begins with {magic.hex()}, not {expected.hex()}; {HINT}"
        )
    sizes = stream.read(4 * ndim)
    if len(magic) < 4 or len(sizes) < 4 * ndim:
        raise UserError(f"{path} is truncated: it ends inside its header; {HINT}")
    shape: tuple[int, ...] = struct.unpack(f">{ndim}I", sizes)
    written = "x".join(map(str, shape))
    if math.prod(shape) == 0:
        raise UserError(f"{path} holds no {kind}: its header says {written}; {HINT}")
    if math.prod(shape) > MAX_BYTES:
        raise UserError(f"{path} has an absurd header: {written} is more than {MAX_BYTES} bytes; {HINT}")
    return shape
