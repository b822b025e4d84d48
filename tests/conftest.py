"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.mnist import FILES, WEIGHTS_FILE, spellings

#: Tests start pytest themselves, in processes of their own: what tells pytest-benchmark that it runs in a worker of
#: pytest-xdist would switch it off in them.
os.environ.pop("PYTEST_XDIST_WORKER", None)


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """Return a folder with MNIST's test half and the book's weights: they are too large to ship with the tests."""
    named = os.environ.get("MLPBENCH_TEST_MNIST")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    complete = all(any((folder / name).is_file() for name in spellings(file)) for file in FILES["test"])
    if not complete or not (folder / WEIGHTS_FILE).is_file():
        pytest.skip(f"{folder} lacks MNIST's test half or {WEIGHTS_FILE}; MLPBENCH_TEST_MNIST can name another")
    return folder
