"""Which host this is, and since which start: told apart, and never named."""

import hashlib
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Keeps the digests of mlpbench from those of anybody else: nobody can look a machine up by them.
_SALT = b"mlpbench: which host is this?\0"
#: Digits of a digest, in hexadecimal: enough to tell the hosts of a data centre apart.
DIGITS = 12
_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def host() -> str | None:
    """Return a salted digest of the machine's own id; None where the system does not say it, as in some containers."""
    return _digest(next(filter(None, map(read_text, _IDS)), None) or _of_macos())


@cache
def boot() -> str | None:
    """Return a salted digest of the id of this start of the system; containers on one host have the same one."""
    return _digest(read_text(_BOOT))


def _digest(text: str | None) -> str | None:
    return hashlib.sha256(_SALT + text.encode()).hexdigest()[:DIGITS] if text else None


def read_text(path: Path) -> str | None:
    """Return what the system says in a file; None where it has none: not Linux, or a container that hides it."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _of_macos() -> str | None:
    """Return the UUID of the hardware where `ioreg` tells it."""
    with suppress(OSError):
        command = ["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        text = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
        return next((line.split('"')[-2] for line in text.splitlines() if "IOPlatformUUID" in line), None)
    return None
