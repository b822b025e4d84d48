"""Seals: what only this user's mlpbench can have written, so that no file of somebody else says what is started.

A seal is a keyed hash, HMAC-SHA-256. Its key lies in the user's state folder, where nobody else can read it.
"""

import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import read_ordinary

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


def is_private(path: Path) -> bool:
    """Return whether a file or folder is there, is this user's and closed to all others. A link never is."""
    with suppress(OSError):
        status = path.lstat()
        return status.st_uid == os.getuid() and not status.st_mode & 0o077
    return False


def _seal(key: bytes, content: tuple[object, ...]) -> str:
    return hmac.digest(key, msgspec.json.encode(content, order="deterministic"), "sha256").hex()


def _key(*, new: bool) -> bytes:
    """Return the key, made where there is none and ``new``, else empty. Of two made at once, the first one stays."""
    path = _state_folder() / "key"
    with user_error(f"{path}: no key can be kept that marks runs as yours", "; XDG_STATE_HOME names another folder"):
        if new and not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent) as partial:  # mode 600
                partial.write(secrets.token_bytes(_KEY_BYTES))
                partial.flush()
                with suppress(FileExistsError):
                    os.link(partial.name, path)
        if not path.exists():
            return b""
        key = read_ordinary(path, 2**10)
    if len(key) != _KEY_BYTES or not is_private(path):
        raise UserError(f"{path}: the key that marks runs as yours is damaged, or not yours alone: remove it")
    return key


def _state_folder() -> Path:
    """Return mlpbench's folder for what is kept between runs; an empty or relative variable counts as none."""
    named = Path(os.environ.get("XDG_STATE_HOME", "").strip())
    try:
        return (named if named.is_absolute() else Path.home() / ".local" / "state") / "mlpbench"
    except RuntimeError as error:
        raise UserError(f"{error} Name a state folder with XDG_STATE_HOME") from None
