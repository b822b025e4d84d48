"""Files that somebody names: ordinary ones are read up to a bound, anything else is refused; one is written whole."""

import errno
import io
import os
import stat
import tempfile
from io import BufferedReader
from pathlib import Path


class TooLarge(OSError):  # noqa: N818 - says what the file is
    """A file larger than its reader takes."""


def open_ordinary(path: Path) -> BufferedReader:
    """Open a file to read its bytes; links are followed.

    Raises OSError where that is not possible, and for what is no ordinary file: a pipe that nobody writes to would
    let an ordinary open wait for ever, and a device may have no end.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        number, why = (errno.EISDIR, None) if stat.S_ISDIR(mode) else (errno.EINVAL, "it is not an ordinary file")
        raise OSError(number, why or os.strerror(number), str(path))
    return BufferedReader(io.FileIO(handle))


def read_ordinary(path: Path, most: int) -> bytes:
    """Return the bytes of an ordinary file.

    Raises OSError as `open_ordinary`, and TooLarge for a file of more than ``most`` bytes: of one that says so, such as
    a file of holes, nothing is read.
    """
    with open_ordinary(path) as file:
        small = os.fstat(file.fileno()).st_size <= most
        if small and len(content := file.read(most + 1)) <= most:
            return content
    raise TooLarge(errno.EFBIG, f"it is larger than {most / 2**20:.3g} MiB", str(path))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, in place of an older one: an interrupted call leaves what was there. Raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        partial.chmod(0o644)  # temporary files are private
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
