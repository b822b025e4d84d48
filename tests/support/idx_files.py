"""Small IDX files for tests, made without the code under test."""

import gzip
import struct

import numpy as np

TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def packed(array):
    """Return the bytes of an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def images(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, 28, 28), dtype=np.uint8)


def labels(rows):
    return (np.arange(rows) * 7 % 10).astype(np.uint8)


def write(folder, names, rows, *, zipped=False, dotted=False):
    """Write one half: images and labels, under one of the spellings of their names."""
    for name, array in zip(names, (images(rows), labels(rows)), strict=True):
        file = name.replace("-idx", ".idx") if dotted else name
        data = packed(array)
        (folder / (f"{file}.gz" if zipped else file)).write_bytes(gzip.compress(data) if zipped else data)
