"""Which machine this is: the name of the folder of its results, and digests that tell hosts apart and name nobody."""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

#: Keeps the digests of mlpbench from those of anybody else: nobody can look a machine up by them.
_SALT = b"mlpbench: which host is this?\0"
_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def machine_id() -> str:
    """Return a folder name for this machine: its processor and how many of them, never its host name."""
    info = processor()
    name = re.sub(r"\((r|tm)\)|cpu|processor|@.*", " ", info["name"].lower())
    # Clouds hide the model behind a brand name ("AMD EPYC"); family and model tell the generations apart.
    marks = [f"{key[0]}{info[key]}" for key in ("family", "model") if key in info]
    words = [*re.findall(r"[a-z0-9]+", name), *marks, f"{os.cpu_count()}cpu"]
    return "-".join(words)


@cache
def processor() -> dict[str, str]:
    """Return the processor's ``name``, and its ``family`` and ``model`` numbers where the system knows them."""
    for text in _descriptions():
        lines = [line.partition(":") for line in text.splitlines()]
        facts = {key.strip().lower().removeprefix("machdep.cpu."): value.strip() for key, _, value in reversed(lines)}
        if name := facts.get("model name") or facts.get("brand_string"):
            numbers = {"family": facts.get("cpu family") or facts.get("family", ""), "model": facts.get("model", "")}
            return {"name": name, **{key: number for key, number in numbers.items() if number.isdecimal()}}
    return {"name": platform.processor() or platform.machine()}


def _descriptions() -> Iterator[str]:
    """Yield what the system says of its processors, in lines of ``key: value``: Linux on x86, on others, and macOS."""
    yield read_text(Path("/proc/cpuinfo")) or ""
    for command in (["lscpu"], ["sysctl", "machdep.cpu"]):
        yield _output(command)


@cache
def host() -> str | None:
    """Return a salted digest of the machine's own id; None where the system does not say it, as in some containers."""
    return _digest(next(filter(None, map(read_text, _IDS)), None) or _of_macos())


@cache
def boot() -> str | None:
    """Return a salted digest of the id of this start of the system; containers on one host have the same one."""
    return _digest(read_text(_BOOT))


def _digest(text: str | None) -> str | None:
    """Return 12 hexadecimal digits: enough to tell the hosts of a data centre apart."""
    return hashlib.sha256(_SALT + text.encode()).hexdigest()[:12] if text else None


def read_text(path: Path) -> str | None:
    """Return what the system says in a file; None where it has none: not Linux, or a container that hides it."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _of_macos() -> str | None:
    """Return the UUID of the hardware where `ioreg` tells it."""
    lines = _output(["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]).splitlines()
    return next((line.split('"')[-2] for line in lines if "IOPlatformUUID" in line), None)


def _output(command: list[str]) -> str:
    """Return what a program of the system prints; nothing where it is not installed."""
    environ = {**os.environ, "LC_ALL": "C"}
    with suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False, env=environ).stdout.decode(errors="replace")
    return ""
