"""MNIST's four IDX files: where they lie, how they are read, and the book's own `load_mnist`."""

import gzip
import math
import os
import struct
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import open_ordinary

Part = Literal["train", "test"]
Labelled: TypeAlias = "tuple[NDArray[Any], NDArray[Any]]"

#: Pixels on each side of an image, and the number of classes.
SIDE = 28
CLASSES = 10

#: The images and the labels of each half, as their authors named them.
FILES: dict[Part, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
#: The trained weights that come with chapter 3 of the book.
WEIGHTS_FILE = "sample_weight.pkl"

HINT = "`mlpbench fetch` downloads MNIST, --data-dir names a folder that has it"
IDX_HINT = "`mlpbench fetch` gets a good copy"

#: The largest file of MNIST holds 47 MB: sizes that multiply to more than this are a damaged header.
MAX_BYTES = 2**30

KINDS = {1: "labels", 3: "images"}


def resolve_data_dir(data_dir: Path | None = None) -> Path:
    """Return the folder of the MNIST files: ``data_dir``, else ``$MLPBENCH_DATA``, else the user's cache folder.

    The cache folder is the one that ``pooch.os_cache("mlpbench")`` names, found without pooch: only `fetch` needs that.
    Raises UserError where a home folder is meant and this user has none.
    """
    try:
        if data_dir is not None:
            return data_dir.expanduser()
        if named := os.environ.get("MLPBENCH_DATA"):
            return Path(named).expanduser()
        return _cache_folder()
    except RuntimeError as error:
        raise UserError(f"{error} Name the data folder with --data-dir") from error


def _cache_folder() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "mlpbench" / "mlpbench" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mlpbench"
    # As the XDG specification has it, an empty or relative value counts as none.
    cache = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "mlpbench"


def spellings(name: str) -> tuple[str, ...]:
    """Return the file names under which an IDX file goes about, in the order in which they are looked for.

    What `fetch` writes comes first, so that fetching mends a folder whatever else lies in it.
    """
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


def has_part(part: Part, data_dir: Path | None = None) -> bool:
    """Return whether both files of one half are in the folder; their content is not looked at."""
    folder = resolve_data_dir(data_dir)
    return all(any((folder / spelling).exists() for spelling in spellings(name)) for name in FILES[part])


def file_names(parts: Iterable[Part], data_dir: Path | None = None) -> list[str]:
    """Return the names of the files of these halves, as they lie in the folder. Raises UserError as `find`."""
    folder = resolve_data_dir(data_dir)
    return [find(folder, name).name for part in parts for name in FILES[part]]


def read_part(part: Part, data_dir: Path | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8], str]:
    """Return the images (n, 28, 28) and labels (n,) of one half, and the names of the files they came from.

    Raises UserError for a missing folder or file, and for files that are damaged or do not belong together.
    """
    folder = resolve_data_dir(data_dir)
    images_file, labels_file = (find(folder, name) for name in FILES[part])
    images = read(images_file, ndim=3)
    labels = read(labels_file, ndim=1)
    if images.shape[1:] != (SIDE, SIDE):
        rows, columns = images.shape[1:]
        raise UserError(f"{images_file} holds images of {rows}x{columns} pixels; MNIST's are {SIDE}x{SIDE}")
    if len(images) != len(labels):
        raise UserError(
            f"{images_file.name} holds {len(images)} images but {labels_file.name} holds {len(labels)} labels"
            f" in {folder}: {HINT}"
        )
    if np.max(labels) >= CLASSES:
        raise UserError(f"{labels_file} holds the label {np.max(labels)}; MNIST's are 0 to {CLASSES - 1}: {HINT}")
    return images, labels, f"{images_file.name} and {labels_file.name}"


def load_mnist(
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
    data_dir: Path | None = None,
) -> tuple[Labelled, Labelled]:
    """Return ``((x_train, t_train), (x_test, t_test))``, as the book's ``dataset.mnist.load_mnist`` does.

    ``normalize``: pixels as float32 in [0, 1], else uint8 in 0..255. ``flatten``: images of shape (n, 784), else
    (n, 1, 28, 28). ``one_hot_label``: labels of shape (n, 10), float64 0 and 1, else (n,), uint8 0..9.
    ``data_dir``: see `resolve_data_dir`.

    Raises UserError as `read_part` does; in a folder with the test half only, call `load_half`.
    """
    how = (data_dir, normalize, flatten, one_hot_label)
    return load_half("train", *how), load_half("test", *how)


def load_half(
    part: Part,
    data_dir: Path | None = None,
    normalize: bool = True,
    flatten: bool = True,
    one_hot_label: bool = False,
) -> Labelled:
    """Return images and labels of one half as `load_mnist` does; the other half may be missing."""
    images, labels, _ = read_part(part, data_dir)
    x: NDArray[Any] = images.reshape(len(images), -1) if flatten else images[:, np.newaxis]
    if normalize:
        x = x.astype(np.float32)
        x /= 255.0
    return x, one_hot(labels) if one_hot_label else labels


def one_hot(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return (n, 10): 1 in the column of each row's label, 0 elsewhere."""
    rows = np.zeros((labels.size, CLASSES))
    rows[np.arange(labels.size), labels] = 1
    return rows


def read(path: Path, ndim: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with ``ndim`` axes: 3 for images (n, rows, columns), 1 for labels.

    Whether the file is gzipped is told from its first two bytes, not from its name: browsers unpack ``.gz`` files
    and keep the name. Raises UserError where the file is missing, damaged, empty, absurdly large or of another kind.
    """
    try:
        with open_ordinary(path) as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if packed else file as stream:
                return _parse(stream, path, ndim)
    except EOFError:
        raise UserError(f"{path} is truncated: its gzip stream ends early; {IDX_HINT}") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}); {IDX_HINT}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(stream: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> NDArray[np.uint8]:
    shape = _shape(stream, path, ndim)
    size = math.prod(shape)
    # One byte more than there should be: it shows a file that is too long, and makes gzip check its checksum.
    data = stream.read(size + 1)
    if len(data) < size:
        raise UserError(f"{path} is truncated: {len(data)} bytes of data, its header says {size}; {IDX_HINT}")
    if len(data) > size:
        raise UserError(f"{path} is longer than the {size} bytes of data that its header says; {IDX_HINT}")
    return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


def _shape(stream: IO[bytes] | gzip.GzipFile, path: Path, ndim: int) -> tuple[int, ...]:
    """Read the header: two zero bytes, the type (8, unsigned bytes), the number of axes, the size of each axis."""
    kind, magic = KINDS[ndim], stream.read(4)
    expected = bytes((0, 0, 8, ndim))
    if magic != expected and len(magic) == 4:
        raise UserError(
            f"{path} is not an IDX file of {kind}: it begins with {magic.hex()}, not {expected.hex()}; {IDX_HINT}"
        )
    sizes = stream.read(4 * ndim)
    if len(magic) < 4 or len(sizes) < 4 * ndim:
        raise UserError(f"{path} is truncated: it ends inside its header; {IDX_HINT}")
    shape: tuple[int, ...] = struct.unpack(f">{ndim}I", sizes)
    written = "x".join(map(str, shape))
    if math.prod(shape) == 0:
        raise UserError(f"{path} holds no {kind}: its header says {written}; {IDX_HINT}")
    if math.prod(shape) > MAX_BYTES:
        raise UserError(f"{path} has an absurd header: {written} is more than {MAX_BYTES} bytes; {IDX_HINT}")
    return shape
