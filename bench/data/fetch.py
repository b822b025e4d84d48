"""Downloads MNIST and the book's weights from their public mirrors. Nothing else in mlpbench uses the network."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import time
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench.data.mnist import FILES, WEIGHTS_FILE, resolve_data_dir, spellings
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

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


#: Passes over the mirrors; the second leaves out those that answered, but not with the file.
PASSES = 2


def fetch(
    dest: Path | None = None,
    *,
    test_only: bool = False,
    mirrors: Sequence[str] | None = None,
    remotes: Sequence[Remote] = REMOTES,
    console: Console | None = None,
    timeout_s: float = 30.0,
    pause_s: float = 1.0,
) -> list[Path]:
    """Make sure that ``dest`` holds the files, downloading what is missing or damaged; return their paths.

    ``dest``: by default where `bench.data.mnist.resolve_data_dir` looks. ``test_only`` leaves out the training half.
    ``mirrors``: folders (URLs) to take every file from instead of its own. ``console`` shows the progress, by default
    on stderr. ``timeout_s`` is how long a mirror may say nothing, ``pause_s`` the wait before mirrors that failed
    for a passing reason (no connection, a broken transfer, a server's error) are tried once more.

    Each file is verified before it gets its name, so that an interrupted call leaves no file that looks complete.
    Where one cannot be had, the others are fetched all the same. Raises UserError then, with what each mirror
    said, and where pooch is not installed or the folder cannot be written.
    """
    folder = resolve_data_dir(dest)
    wanted = [remote for remote in remotes if not (test_only and remote.is_training_half)]
    paths: list[Path] = []
    failed: dict[str, list[str]] = {}  # what went wrong: with which files
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _progress(console) as progress:
            source = _Source(folder, mirrors, progress, timeout_s, pause_s)
            for remote in wanted:
                try:
                    paths.append(source.ensure(remote))
                except _NotHad as failure:
                    failed.setdefault(str(failure), []).append(remote.name)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}; name another with --data-dir") from error
    if failed:
        told = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in failed.items())
        raise UserError(
            f"could not fetch {told}. {len(paths)} of {len(wanted)} files are in {folder}:"
            " try again later, or put the missing ones there yourself"
        )
    return paths


class _NotHad(Exception):  # noqa: N818 - collected, never seen
    """A file that no mirror gave; the message says what each of them did."""


@dataclass(frozen=True)
class _Source:
    """Where files come from and where they go."""

    folder: Path
    mirrors: Sequence[str] | None
    progress: Any
    timeout_s: float
    pause_s: float

    def ensure(self, remote: Remote) -> Path:
        """Return the path of a good copy of the file; raise _NotHad where no mirror gives one."""
        bar = _Bar(self.progress, remote.name)
        found = remote.present(self.folder)
        if found is not None:
            bar.fill("there already")
            return found
        failures: dict[str, str] = {}
        candidates = list(self.mirrors or remote.mirrors)
        for number in range(PASSES):
            if number and candidates:
                time.sleep(self.pause_s)
            for mirror in tuple(candidates):
                failure, is_final = self._download(remote, mirror, bar)
                if failure is None:
                    bar.say("verified")
                    return self.folder / remote.name
                bar.say(failure)
                failures[mirror] = failure
                if is_final:
                    candidates.remove(mirror)
        raise _NotHad("; ".join(f"{mirror}: {failure}" for mirror, failure in failures.items()))

    def _download(self, remote: Remote, mirror: str, bar: _Bar) -> tuple[str | None, bool]:
        """Fetch the file from one mirror. Return what went wrong, or None, and whether trying again is pointless."""
        try:
            from pooch import HTTPDownloader
            from requests import RequestException
        except ImportError:
            raise UserError("downloading needs pooch: pip install 'pooch>=1.8'") from None

        get = HTTPDownloader(
            progressbar=bar,
            chunk_size=CHUNK_BYTES,
            timeout=self.timeout_s,
            # A server that packs or unpacks on the way would change the bytes that the hashes are of.
            headers={"Accept-Encoding": "identity"},
        )
        with _partial_file(self.folder, remote.name) as partial:
            try:
                get(f"{mirror.rstrip('/')}/{remote.name}", str(partial), None)
            except RequestException as error:
                return _reason(error)
            problem = remote.problem(partial)
            if problem is None:
                partial.chmod(0o644)  # temporary files are private
                partial.replace(self.folder / remote.name)
        return problem, True


@contextmanager
def _partial_file(folder: Path, name: str) -> Iterator[Path]:
    """Give the path of a file that is gone in the end unless it has got another name."""
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(path)
    finally:
        Path(path).unlink(missing_ok=True)


def _reason(error: Exception) -> tuple[str, bool]:
    """Say in few words why a request failed, and whether it would fail again."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        status = error.response.status_code
        return f"HTTP {status} {error.response.reason}", status < 500
    if isinstance(error, ValueError):  # a URL that is none: requests' own errors for it are ValueErrors as well
        return str(error), True
    words = {
        exceptions.SSLError: "no secure connection",
        exceptions.ProxyError: "no connection to the proxy",
        exceptions.Timeout: "no answer in time",
        exceptions.ChunkedEncodingError: "the transfer broke off",
        exceptions.ConnectionError: "no connection",
    }
    return next((word for kind, word in words.items() if isinstance(error, kind)), type(error).__name__), False


@contextmanager
def _progress(console: Console | None) -> Iterator[Any]:
    """Show one bar for each file, on stderr: stdout is for data."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[state]}", markup=False),
    )
    with progress.Progress(*columns, console=console or Console(stderr=True)) as shown:
        yield shown


class _Bar:
    """What pooch wants of a progress bar (tqdm's interface), drawn by rich."""

    def __init__(self, progress: Any, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None, state="")

    @property
    def total(self) -> float | None:
        """Bytes to come; None where the server does not say."""
        return self._progress.tasks[self._task].total  # type: ignore[no-any-return]

    @total.setter
    def total(self, total: int) -> None:
        self._progress.reset(self._task, total=total or None, state="")

    def update(self, count: int) -> None:
        """Add ``count`` bytes."""
        self._progress.update(self._task, advance=count)

    def reset(self) -> None:
        """Begin again at 0, as pooch does before it fills the bar."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """End the bar: rich does so itself."""

    def fill(self, state: str) -> None:
        """Show a full bar for what needs no download."""
        self._progress.update(self._task, total=1, completed=1, state=state)

    def say(self, state: str) -> None:
        """Write a few words behind the bar."""
        self._progress.update(self._task, state=state)
