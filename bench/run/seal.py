"""Seals: what only this user's mlpbench can have written, so that no file of somebody else says what is started.

A seal is a keyed hash, HMAC-SHA-256. Its key lies in the user's state folder, where nobody else can read it.
"""

import hmac
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import untrusted
from mlpbench.kernels.files import open_ordinary

#: File, in the folder of an environment, that says who made it and where.
ENVIRONMENT = "mlpbench-seal.txt"
_KEY_BYTES = 32


def make(*content: object) -> str:
    """Return the seal of what JSON can hold. Raises UserError where this user can keep no key."""
    return _seal(_key(new=True), content)


def fits(seal: str | None, *content: object) -> bool:
    """Return whether this user's mlpbench has sealed that. Raises UserError for a key that others may know."""
    key = _key(new=False)
    return bool(seal and key) and hmac.compare_digest(_seal(key, content).encode(), str(seal).encode())


def trouble() -> str | None:
    """Return why nothing can be sealed, None where it can."""
    try:
        _key(new=True)
    except UserError as error:
        return str(error)
    return None


def mark_environment(python: Path) -> None:
    """Note that this user's mlpbench has made the environment of an interpreter, where a key can be kept."""
    if trouble() is None:
        (python.parent.parent / ENVIRONMENT).write_text(make(*_place(python)), encoding="utf-8")


def is_own_environment(python: Path) -> bool:
    """Return whether this user's mlpbench made the environment of an interpreter, and both lie where they were made."""
    file = python.parent.parent / ENVIRONMENT
    if not is_private(file.parent.parent) or not file.is_file():
        return False
    return fits(untrusted.read_bytes(file).decode(errors="replace"), *_place(python))


def _place(python: Path) -> tuple[str, ...]:
    """Return where an environment lies, and where the link to its interpreter leads."""
    return "environment", *(str(path.resolve()) for path in (python.parent.parent, python.parent, python))


def is_private(path: Path) -> bool:
    """Return whether a file or folder is there, is this user's and closed to all others. A link never is."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return sys.platform == "win32" or (status.st_uid == os.getuid() and not status.st_mode & 0o077)


def _seal(key: bytes, content: tuple[object, ...]) -> str:
    return hmac.digest(key, msgspec.json.encode(content, order="deterministic"), "sha256").hex()


def _key(*, new: bool) -> bytes:
    """Return the key, made where there is none and ``new``, else empty."""
    path = _state_folder() / "key"
    with user_error(f"{path}: no key can be kept that marks runs as yours", "; XDG_STATE_HOME names another folder"):
        if new and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_key(path)
        if not path.exists():
            return b""
        with open_ordinary(path) as file:
            key = file.read(_KEY_BYTES + 1)
    if len(key) != _KEY_BYTES or not is_private(path):
        raise UserError(f"{path}: the key that marks runs as yours is damaged, or not yours alone: remove it")
    return key


def _write_key(path: Path) -> None:
    """Write a new key: whole, or not at all. Of two at once, the first one stays."""
    handle, partial = tempfile.mkstemp(dir=path.parent)  # mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
        with suppress(FileExistsError):
            os.link(partial, path)
    finally:
        Path(partial).unlink()


def _state_folder() -> Path:
    """Return mlpbench's folder for what is kept between runs; an empty or relative variable counts as none."""
    named = os.environ.get("XDG_STATE_HOME", "").strip()
    try:
        return (Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state") / "mlpbench"
    except RuntimeError as error:
        raise UserError(f"{error} Name a state folder with XDG_STATE_HOME") from None
