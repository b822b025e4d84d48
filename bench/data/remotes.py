"""The files that `mlpbench fetch` downloads: where from, and the hashes that tell them from any others."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlpbench.bench.data.mnist import FILES, WEIGHTS_FILE, spellings

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["REMOTES", "Remote"]

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
BOOK_MIRRORS = (
    "https://raw.githubusercontent.com/oreilly-japan/deep-learning-from-scratch/master/ch03/",
    "https://github.com/oreilly-japan/deep-learning-from-scratch/raw/master/ch03/",
)

CHUNK_BYTES = 2**16


@dataclass(frozen=True)
class Remote:
    """A file to download: its name, its hashes, and the folders (URLs) that have it.

    ``sha256`` is that of the content, unpacked where the name ends in ``.gz``; ``md5`` that of the file as the
    mirrors serve it. A download must have both; a file that is there already may have been packed anew.
    """

    name: str
    sha256: str
    md5: str | None = None
    mirrors: tuple[str, ...] = MNIST_MIRRORS

    @property
    def is_training_half(self) -> bool:
        """Whether the file can be done without for benchmarks."""
        return self.name.startswith(FILES["train"])

    def present(self, folder: Path) -> Path | None:
        """Return the file of ``folder`` that would be read as this one, if it is good."""
        names = spellings(self.name.removesuffix(".gz")) if self.name.endswith(".gz") else (self.name,)
        found = next((folder / name for name in names if (folder / name).exists()), None)
        return found if found is not None and content_sha256(found) == self.sha256 else None

    def problem(self, downloaded: Path) -> str | None:
        """Say what is wrong with a download, or None."""
        if self.md5 is not None and _hash(downloaded, "md5") != self.md5:
            return "wrong content (its MD5 is not the published one)"
        if content_sha256(downloaded) != self.sha256:
            return "wrong content (its SHA-256 is not the published one)"
        return None


#: MNIST's four files and the book's weights.
REMOTES = (
    Remote(
        FILES["train"][0] + ".gz",
        sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    Remote(
        FILES["train"][1] + ".gz",
        sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        md5="d53e105ee54ea40749a09fcbcd1e9432",
    ),
    Remote(
        FILES["test"][0] + ".gz",
        sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        md5="9fb629c4189551a2d022fa330f9573f3",
    ),
    Remote(
        FILES["test"][1] + ".gz",
        sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        md5="ec29112dd5afa0611ce80d1b7f02629c",
    ),
    Remote(
        WEIGHTS_FILE,
        sha256="b7f55a27988ba34c3777b0f1bbd464817c8a4db855723e6ff26f703501917a13",
        mirrors=BOOK_MIRRORS,
    ),
)


def content_sha256(path: Path) -> str | None:
    """Return the hash of a file's content, unpacked where it is gzipped; None where it cannot be read or unpacked."""
    try:
        return _hash(path, "sha256", unpack=True)
    except (OSError, EOFError, zlib.error):
        return None


def _hash(path: Path, algorithm: str, *, unpack: bool = False) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as plain:
        packed = unpack and plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        with gzip.GzipFile(fileobj=plain) if packed else plain as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
