"""MNIST's four IDX files: where they lie, and how they are read."""

import gzip
import math
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import open_ordinary

Part = Literal["train", "test"]

#: Pixels on each side of an image.
SIDE = 28

#: The images and the labels of each half, as their authors named them.
FILES: dict[Part, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
#: The trained weights that come with chapter 3 of the book.
WEIGHTS_FILE = "sample_weight.pkl"

HINT = "`mlpbench fetch` downloads MNIST, MLPBENCH_DATA names a folder that has it"
#: No more is read of a file: the largest one of MNIST holds 47 MB.
MAX_BYTES = 2**26


def data_folder() -> Path:
    """Return the folder of the MNIST files: ``$MLPBENCH_DATA``, else the user's cache folder. Raises UserError."""
    try:
        named = os.environ.get("MLPBENCH_DATA")
        return Path(named).expanduser() if named else _cache_folder()
    except RuntimeError as error:
        raise UserError(f"{error} Name the data folder in the variable MLPBENCH_DATA") from error


def _cache_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mlpbench"
    # As the XDG specification has it, an empty or relative value counts as none.
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "mlpbench"


def spellings(name: str) -> tuple[str, ...]:
    """Return the names that an IDX file goes by, in the order of looking: what `fetch` writes comes first."""
    dotted = name.replace("-idx", ".idx")
    return (f"{name}.gz", name, f"{dotted}.gz", dotted)


def find(folder: Path, name: str) -> Path:
    """Return the file of ``folder`` that holds the IDX file ``name``. Raises UserError where there is none."""
    with user_error(f"cannot look into {folder}"):
        if not folder.is_dir():
            problem = "is not a folder" if folder.exists() else "does not exist"
            raise UserError(f"data folder {folder} {problem}: {HINT}")
        for spelling in spellings(name):
            if (folder / spelling).exists():
                return folder / spelling
    raise UserError(f"{folder} has no {name}, gzipped or not: {HINT}")


def has_part(part: Part) -> bool:
    """Return whether both files of one half are in the folder; their content is not looked at."""
    folder = data_folder()
    return all(any((folder / spelling).exists() for spelling in spellings(name)) for name in FILES[part])


def part_files(part: Part) -> list[Path]:
    """Return the files of one half, images before labels. Raises UserError as `find`."""
    return [find(data_folder(), name) for name in FILES[part]]


def read_part(part: Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Return the images (n, 784) and labels (n,) of one half, and the names of their files. Raises UserError."""
    images_file, labels_file = part_files(part)
    images = read(images_file, ndim=3)
    labels = read(labels_file, ndim=1)
    if images.shape[1:] != (SIDE, SIDE):
        rows, columns = images.shape[1:]
        raise UserError(f"{images_file} holds images of {rows}x{columns} pixels; MNIST's are {SIDE}x{SIDE}")
    if len(images) != len(labels):
        raise UserError(
            f"{images_file.name} holds {len(images)} images but {labels_file.name} holds {len(labels)} labels"
            f" in {images_file.parent}: {HINT}"
        )
    if np.max(labels) > 9:
        raise UserError(f"{labels_file} holds the label {np.max(labels)}; MNIST's are 0 to 9: {HINT}")
    return images.reshape(len(images), -1), labels, f"{images_file.name} and {labels_file.name}"


def load_part(part: Part) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return inputs (n, 784), float32 in [0, 1], and labels (n,) of one half, as the book's ``load_mnist`` does."""
    images, labels, _ = read_part(part)
    x = images.astype(np.float32)
    x /= 255.0
    return x, labels


def read(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with ``ndim`` axes: 3 for images (n, rows, columns), 1 for labels.

    Its first two bytes say if it is gzipped: browsers unpack files and keep the name. Raises UserError.
    """
    try:
        with open_ordinary(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                return _parse(stream.read(MAX_BYTES), ndim)
    except EOFError:
        problem = "is truncated: its gzip stream ends early"
    except (gzip.BadGzipFile, zlib.error) as error:
        problem = f"is damaged ({error})"
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        problem = str(error)
    raise UserError(f"{path} {problem}; `mlpbench fetch` gets a good copy")


def _parse(content: bytes, ndim: int) -> NDArray[np.uint8]:
    """Return the array of a file, whose header has two zeros, the type 8, the axes and each size. Raises ValueError."""
    kind, expected, head = {1: "labels", 3: "images"}[ndim], bytes((0, 0, 8, ndim)), 4 + 4 * ndim
    if len(content) >= 4 and content[:4] != expected:
        raise ValueError(f"is not an IDX file of {kind}: it begins with {content[:4].hex()}, not {expected.hex()}")
    if len(content) < head:
        raise ValueError("is truncated: it ends inside its header")
    shape: tuple[int, ...] = struct.unpack(f">{ndim}I", content[4:head])
    size, data = math.prod(shape), np.frombuffer(bytearray(content[head:]), np.uint8)
    if size == 0:
        raise ValueError(f"holds no {kind}: its header says {'x'.join(map(str, shape))}")
    if size != len(data):
        raise ValueError(f"is damaged: it has {len(data)} bytes of data, and its header says {size}")
    return data.reshape(shape)
