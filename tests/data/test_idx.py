from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlpbench.bench.data import mnist
from mlpbench.bench.errors import UserError
from support import idx_files

if TYPE_CHECKING:
    from pathlib import Path


def fails(path: Path, ndim: int = 3) -> str:
    """Return the one line that reading gives; the test fails where it reads, or says more than a line."""
    with pytest.raises(UserError) as caught:
        mnist.read(path, ndim)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.parametrize("zipped", [False, True])
def test_images_and_labels_come_back_as_written(tmp_path, zipped):
    idx_files.write(tmp_path, idx_files.TEST, 5, zipped=zipped)
    suffix = ".gz" if zipped else ""
    images, labels = (mnist.read(tmp_path / (idx_files.TEST[i] + suffix), ndim) for i, ndim in ((0, 3), (1, 1)))
    np.testing.assert_array_equal(images, idx_files.images(5))
    np.testing.assert_array_equal(labels, idx_files.labels(5))
    assert images.dtype == labels.dtype == np.uint8
    assert images.flags.writeable


def test_gzip_is_told_by_content_not_by_name_and_what_is_missing_is_told(tmp_path):
    data = idx_files.packed(idx_files.images(2))
    for name, content in (("plain.gz", data), ("zipped", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(mnist.read(tmp_path / name, 3), idx_files.images(2))
    assert "No such file" in fails(tmp_path / "nothing")
    assert "cannot read" in fails(tmp_path)


IMAGES, LABELS = idx_files.packed(idx_files.images(2)), idx_files.packed(idx_files.labels(3))
ZIPPED = gzip.compress(IMAGES, mtime=0)


def header(*shape):
    return struct.pack(">BBBB3I", 0, 0, 8, 3, *shape)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        *((IMAGES[:length], "ends inside its header") for length in (0, 3, 4, 15)),
        *((IMAGES[:length], "and its header says 1568") for length in (16, 16 + 784, 16 + 2 * 784 - 1)),
        (IMAGES + b"\0", "it has 1569 bytes of data, and its header says 1568"),
        *((ZIPPED[:-cut], "is truncated") for cut in (1, 8, 9, 100, 500)),
        # The CRC stands before the length, at the very end.
        (ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 0xFF]) + ZIPPED[-7:], "is damaged"),
        (LABELS, "is not an IDX file of images: it begins with 00000801, not 00000803"),
        (b"<!DOCTYPE html><html>404</html>", "is not an IDX file"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "it has 0 bytes of data"),
        (header(0, 28, 28), "holds no images"),
        (header(5, 0, 28), "holds no images"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, data, words):
    path = tmp_path / "images"
    path.write_bytes(data)
    assert words in fails(path)


def test_no_more_is_read_than_mnist_may_have(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MAX_BYTES", 1000)
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(header(1000, 28, 28) + bytes(784_000), mtime=0))
    assert "it has 984 bytes of data, and its header says 784000" in fails(path)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, derandomize=True
)
@given(data=st.binary(max_size=200), zipped=st.booleans())
@example(data=b"", zipped=True)
@example(data=b"\x1f\x8b", zipped=False)
@example(data=b"\x1f\x8b\x08\x00", zipped=False)
def test_any_bytes_give_an_array_or_one_line(tmp_path, data, zipped):
    path = tmp_path / "any"
    path.write_bytes(gzip.compress(data) if zipped else data)
    said = ""
    try:
        assert mnist.read(path, 1).size > 0
    except UserError as error:
        said = str(error)
    assert "\n" not in said
