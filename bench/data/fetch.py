"""Downloads MNIST and the book's weights from their public mirrors. Nothing else in mlpbench uses the network."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench.data.mnist import FILES, WEIGHTS_FILE, resolve_data_dir, spellings
from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import open_ordinary

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
BOOK_MIRRORS = (
    "https://raw.githubusercontent.com/oreilly-japan/deep-learning-from-scratch/master/ch03/",
    "https://github.com/oreilly-japan/deep-learning-from-scratch/raw/master/ch03/",
)

CHUNK_BYTES = 2**16
#: How often a mirror is asked again that failed for a passing reason: no connection, a broken transfer, its own error.
RETRIES = 1


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


#: Of MNIST's files, as `FILES` names them: the SHA-256 of the content, and the MD5 of the file as mirrors serve it.
_MNIST = (
    ("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", "d53e105ee54ea40749a09fcbcd1e9432"),
    ("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", "9fb629c4189551a2d022fa330f9573f3"),
    ("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", "ec29112dd5afa0611ce80d1b7f02629c"),
)
#: MNIST's four files and the book's weights.
REMOTES = (
    *(Remote(f"{name}.gz", *of) for name, of in zip((*FILES["train"], *FILES["test"]), _MNIST, strict=True)),
    Remote(WEIGHTS_FILE, "b7f55a27988ba34c3777b0f1bbd464817c8a4db855723e6ff26f703501917a13", mirrors=BOOK_MIRRORS),
)


def content_sha256(path: Path) -> str | None:
    """Return the hash of a file's content, unpacked where it is gzipped; None where it cannot be read or unpacked."""
    try:
        with open_ordinary(path) as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.GzipFile(fileobj=plain) if packed else plain as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return None


def fetch(
    dest: Path | None = None,
    *,
    test_only: bool = False,
    mirrors: Sequence[str] | None = None,
    remotes: Sequence[Remote] = REMOTES,
    console: Console | None = None,
    timeout_s: float = 30.0,
) -> list[Path]:
    """Make sure that ``dest`` holds the files, downloading what is missing or damaged; return their paths.

    ``dest``: by default where `bench.data.mnist.resolve_data_dir` looks. ``mirrors``: folders (URLs) to take every file
    from instead of its own. ``timeout_s`` is how long a mirror may say nothing.

    Each file is verified before it gets its name, so that an interrupted call leaves no file that looks complete.
    Where one cannot be had, the others are fetched all the same. Raises UserError then, with what each mirror
    said, and where pooch is not installed or the folder cannot be written.
    """
    folder = resolve_data_dir(dest)
    wanted = [remote for remote in remotes if not (test_only and remote.is_training_half)]
    paths: list[Path] = []
    failed: dict[str, list[str]] = {}  # what went wrong: with which files
    with user_error(f"cannot write to {folder}", "; name another with --data-dir"):
        folder.mkdir(parents=True, exist_ok=True)
        with _progress(console) as progress:
            for remote in wanted:
                bar = _Bar(progress, remote.name)
                try:
                    paths.append(_ensure(remote, folder, mirrors or remote.mirrors, bar, timeout_s))
                except _NotHad as failure:
                    failed.setdefault(str(failure), []).append(remote.name)
    if failed:
        told = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in failed.items())
        raise UserError(
            f"could not fetch {told}. {len(paths)} of {len(wanted)} files are in {folder}:"
            " try again later, or put the missing ones there yourself"
        )
    return paths


class _NotHad(Exception):  # noqa: N818 - collected, never seen
    """A file that no mirror gave; the message says what each of them did."""


def _ensure(remote: Remote, folder: Path, mirrors: Sequence[str], bar: _Bar, timeout_s: float) -> Path:
    """Return the path of a good copy of the file. Raises _NotHad where no mirror gives one."""
    if (found := remote.present(folder)) is not None:
        bar.fill("there already")
        return found
    failures = []
    for mirror in mirrors:
        try:
            path = _download(remote, folder, mirror, bar, timeout_s)
        except _NotHad as failure:
            bar.say(str(failure))
            failures.append(f"{mirror}: {failure}")
        else:
            bar.say("verified")
            return path
    raise _NotHad("; ".join(failures))


def _download(remote: Remote, folder: Path, mirror: str, bar: _Bar, timeout_s: float) -> Path:
    """Fetch the file from one mirror, through pooch's partial file. Raises _NotHad with the reason why not."""
    try:
        import pooch
        from requests import RequestException
    except ImportError:
        raise UserError("downloading needs pooch: pip install -e '.[fetch]'") from None
    # A server that packs or unpacks on the way would change the bytes that the hashes are of.
    headers = {"Accept-Encoding": "identity"}
    get = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK_BYTES, timeout=timeout_s, headers=headers)

    def download(url: str, partial: str, _: Any) -> None:
        try:
            get(url, partial, None)
        except RequestException as error:
            if _may_pass(error):
                raise
            raise _NotHad(_reason(error)) from None
        if content_sha256(Path(partial)) != remote.sha256:
            raise _NotHad("wrong content (its SHA-256 is not the published one)")
        Path(partial).chmod(0o644)  # temporary files are private

    served = f"md5:{remote.md5}" if remote.md5 else f"sha256:{remote.sha256}"
    pooch.get_logger().setLevel("WARNING")  # the bar says what is downloaded
    source = pooch.create(folder, f"{mirror.rstrip('/')}/", registry={remote.name: served}, retry_if_failed=RETRIES)
    try:
        return Path(source.fetch(remote.name, downloader=download))
    except RequestException as error:
        raise _NotHad(_reason(error)) from None
    except ValueError:  # pooch's own, of the hash that it knows
        raise _NotHad("wrong content (its MD5 is not the published one)") from None


def _may_pass(error: Exception) -> bool:
    """Say whether a request that failed may succeed in a moment: not where the server has no such file."""
    response = getattr(error, "response", None)
    # requests' own errors for a URL that is none are ValueErrors as well.
    return not isinstance(error, ValueError) and (response is None or response.status_code >= 500)


def _reason(error: Exception) -> str:
    """Say in few words why a request failed."""
    from requests import exceptions

    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, ValueError):
        return str(error)
    words = {
        exceptions.SSLError: "no secure connection",
        exceptions.ProxyError: "no connection to the proxy",
        exceptions.Timeout: "no answer in time",
        exceptions.ChunkedEncodingError: "the transfer broke off",
        exceptions.ConnectionError: "no connection",
    }
    return next((word for kind, word in words.items() if isinstance(error, kind)), type(error).__name__)


def _progress(console: Console | None) -> Progress:
    """Return one bar for each file, on stderr: stdout is for data."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[state]}", markup=False),
        console=console or Console(stderr=True),
    )


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
