"""`mlpbench fetch`: MNIST and the book's weights from their public mirrors. Nothing else uses the network."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from mlpbench.bench.cli import console
from mlpbench.bench.data.datasets import MNIST_FILES, WEIGHTS_FILE, data_folder, spellings
from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import open_ordinary, write_whole

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
BOOK_MIRRORS = (
    "https://raw.githubusercontent.com/oreilly-japan/deep-learning-from-scratch/master/ch03/",
    "https://github.com/oreilly-japan/deep-learning-from-scratch/raw/master/ch03/",
)
#: The largest file has 10 MB.
MAX_BYTES = 2**26


@dataclass(frozen=True)
class Remote:
    """A file to download: its name, the hash of its unpacked content, and the folders that have it."""

    name: str
    sha256: str
    mirrors: tuple[str, ...] = MNIST_MIRRORS

    def present(self, folder: Path) -> Path | None:
        """Return the file of ``folder`` that would be read as this one, if it is good."""
        names = spellings(self.name.removesuffix(".gz")) if self.name.endswith(".gz") else (self.name,)
        path = next((folder / name for name in names if (folder / name).exists()), None)
        if path is None:
            return None
        try:
            with open_ordinary(path) as file:
                return path if content_sha256(file) == self.sha256 else None
        except OSError:
            return None


#: Of MNIST's files, as `MNIST_FILES` names them.
_MNIST = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
#: MNIST's four files and the book's weights.
REMOTES = (
    *(Remote(f"{name}.gz", sha256) for name, sha256 in zip(chain(*MNIST_FILES.values()), _MNIST, strict=True)),
    Remote(WEIGHTS_FILE, "b7f55a27988ba34c3777b0f1bbd464817c8a4db855723e6ff26f703501917a13", BOOK_MIRRORS),
)


def content_sha256(file: Any) -> str | None:
    """Return the hash of a file's content, unpacked where it is gzipped; None where it cannot be unpacked."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    try:
        return hashlib.file_digest(gzip.GzipFile(fileobj=file) if packed else file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return None


def fetch() -> None:
    """Download MNIST and the book's weights from their public mirrors, and verify them. Nothing else uses the network.

    They go into the folder that the variable MLPBENCH_DATA names, or into the user's cache.

    Example: mlpbench fetch
    """
    for path in download(REMOTES, say=console.say):
        print(path)  # noqa: T201 - data


def download(
    remotes: Sequence[Remote], *, timeout_s: float = 30.0, say: Callable[[str], None] = lambda _: None
) -> list[Path]:
    """Make sure that `data_folder` holds the files, downloading what is missing or damaged; return their paths.

    A mirror may be silent for ``timeout_s``. A file is verified before it gets its name. Raises UserError with what
    each mirror said, once all others are fetched, and where the folder cannot be written.
    """
    folder = data_folder()
    paths: list[Path] = []
    failed: dict[str, list[str]] = {}  # what went wrong: with which files
    with user_error(f"cannot write to {folder}", "; name another in the variable MLPBENCH_DATA"):
        folder.mkdir(parents=True, exist_ok=True)
        for remote in remotes:
            if (path := remote.present(folder)) is not None:
                say(f"{path.name}: there already")
                paths.append(path)
                continue
            content, reasons = _from_mirrors(remote, timeout_s, say)
            if content is None:
                failed.setdefault(reasons, []).append(remote.name)
            else:
                write_whole(folder / remote.name, content)
                paths.append(folder / remote.name)
                say(f"{remote.name}: verified")
    if failed:
        lines = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in failed.items())
        raise UserError(
            f"could not fetch {lines}. {len(paths)} of {len(remotes)} files are in {folder}:"
            " try again later, or put the missing ones there yourself"
        )
    return paths


def _from_mirrors(remote: Remote, timeout_s: float, say: Callable[[str], None]) -> tuple[bytes | None, str]:
    """Return the file from the first mirror that has it as it should be; None where none has, and why of each."""
    reasons = []
    for mirror in remote.mirrors:
        say(f"{remote.name}: downloading from {mirror}")
        try:
            # A server that packs or unpacks on the way would change the bytes.
            request = Request(f"{mirror.rstrip('/')}/{remote.name}", headers={"Accept-Encoding": "identity"})  # noqa: S310 - ours
            with urlopen(request, timeout=timeout_s) as response:  # noqa: S310
                content: bytes = response.read(MAX_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            reasons.append(f"{mirror}: {_reason(error)}")
            continue
        if content_sha256(io.BytesIO(content)) == remote.sha256:
            return content, ""
        reasons.append(f"{mirror}: wrong content (its SHA-256 is not the published one)")
    return None, "; ".join(reasons)


def _reason(error: Exception) -> str:
    """Say in few words why a request failed."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, URLError) else error
    return "no answer in time" if isinstance(cause, TimeoutError) else f"no connection: {cause}"
