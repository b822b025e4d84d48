"""The machine and everything on it that moves a number: processor, libraries, threads, BLAS, GPU, commit.

A machine has the name of its processor, and digests, which name nobody, tell hosts apart.
"""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mlpbench.bench.machine import card
from mlpbench.bench.record.environment import Commit, Environment, Machine
from mlpbench.kernels.base import Facts, threads_given
from mlpbench.kernels.registry import GROUP

#: Keeps the digests of mlpbench from those of anybody else: nobody can look a machine up by them.
_SALT = b"mlpbench: which host is this?\0"
_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: OpenBLAS picks its kernels by processor; these replace its choice.
FORCED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
#: Settings that change what is measured without showing anywhere else.
RECORDED = re.compile(
    r"^(OMP|GOMP|KMP|OPENBLAS|MKL|BLIS|NUMBA|CUPY|CUDA|CUBLAS|NVIDIA|PYTHON(?!PATH|STARTUP|HISTORY)"
    r"|TORCH(?!INDUCTOR_CACHE_DIR$)|ATEN|DNNL|ONEDNN|XLA|JAX|NPROC|TBB|SKLEARN)_?[A-Z0-9_]*$"
)
#: What threadpoolctl says of a library; where its file lies is left out.
_OF_POOL = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
LIBRARIES = (
    *("numpy", "numba", "llvmlite", "cupy-cuda12x", "cupy-cuda13x"),
    *("nvidia-cublas", "nvidia-cublas-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12", "nvidia-ml-py"),
    *("pytest", "pytest-benchmark", "pandas", "scipy", "threadpoolctl"),
)


def collect(used: Facts | None = None) -> Environment:
    """Return everything, as it is now in this process. ``used``: what a kernel on a device says of its card."""
    import threadpoolctl

    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    distribution = release.get("PRETTY_NAME", platform.platform())
    return Environment(
        machine=machine(),
        os={"system": platform.system(), "release": platform.release(), "distribution": distribution},
        python={"version": platform.python_version(), "implementation": platform.python_implementation()},
        libraries=_versions(),
        blas=tuple({name: pool.get(name) for name in _OF_POOL} for pool in threadpoolctl.threadpool_info()),
        threads=threads_given(),
        gpu=card.in_use(used),
        git=commit(),
        variables={name: value for name, value in sorted(os.environ.items()) if RECORDED.match(name)},
    )


@cache
def machine() -> Machine:
    """Return the processor, its caches in bytes, and what moves its clock, where readable."""
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    return Machine(
        name=machine_id(),
        host=host(),
        cpu_model=processor()["name"],
        arch=platform.machine(),
        cores=len(set(filter(None, map(read_text, siblings)))) or None,
        logical_cpus=os.cpu_count(),
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        caches=_caches(),
        governor=read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load=os.getloadavg() if hasattr(os, "getloadavg") else None,
    )


def machine_info() -> dict[str, Any]:
    """Return what pytest-benchmark compares between two of its files."""
    return {"system": platform.system(), "machine": platform.machine(), "cpu": {"brand_raw": machine().cpu_model}}


@cache
def machine_id() -> str:
    """Return a folder name for this machine: its processor and how many of them, never its host name."""
    info = processor()
    name = re.sub(r"\((r|tm)\)|cpu|processor|@.*", " ", info["name"].lower())
    # Clouds hide the model behind a brand name ("AMD EPYC"); family and model tell the generations apart.
    marks = [f"{key[0]}{info[key]}" for key in ("family", "model") if key in info]
    return "-".join([*re.findall(r"[a-z0-9]+", name), *marks, f"{os.cpu_count()}cpu"])


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
    yield _output("lscpu") or ""
    yield _output("sysctl", "machdep.cpu") or ""


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


def _of_macos() -> str | None:
    """Return the UUID of the hardware where `ioreg` tells it."""
    lines = (_output("ioreg", "-rd1", "-c", "IOPlatformExpertDevice") or "").splitlines()
    return next((line.split('"')[-2] for line in lines if "IOPlatformUUID" in line), None)


def _caches() -> dict[str, int]:
    """Return bytes of each cache that a core sees, by name: L1d, L1i, L2, L3."""
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size and size.endswith("K"):
            suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
            caches[f"L{level}{suffix}"] = int(size[:-1]) * 1024
    return caches


def read_text(path: Path) -> str | None:
    """Return what the system says in a file; None where it has none: not Linux, or a container that hides it."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _output(*command: str) -> str | None:
    """Return what a program of the system prints; None where it fails, or is not installed."""
    with suppress(OSError):
        ran = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
        if ran.returncode == 0:
            return ran.stdout.decode(errors="replace").strip()
    return None


@cache
def commit() -> Commit:
    """Return the commit of the mlpbench checkout and whether it has changes; ``None`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    return _commit(root, "--untracked-files=no") if (root / ".git").exists() else Commit()


def commit_of(file: Path, *, tracked: bool = False) -> Commit:
    """Return the commit of the repository that a file is in, and whether it differs; ``tracked``: only if it has it."""
    if tracked and not _output("git", "-C", str(file.parent), "ls-files", "--error-unmatch", "--", str(file)):
        return Commit()
    return _commit(file.parent, "--", str(file))


def _commit(folder: Path, *what: str) -> Commit:
    git = ("git", "-C", str(folder))
    status = _output(*git, "status", "--porcelain", *what)
    return Commit(_output(*git, "rev-parse", "HEAD"), None if status is None else bool(status))


def _versions() -> dict[str, str]:
    """Return the versions of `LIBRARIES`, and of every package that offers kernels."""
    versions = {}
    offering = {point.dist.name for point in metadata.entry_points(group=GROUP) if point.dist is not None}
    for name in (*LIBRARIES, *sorted(offering)):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def warnings(environment: Environment) -> list[str]:
    """Return what on this machine makes numbers worse than they need be, each with what to do about it."""
    machine, values = environment.machine, environment.variables or {}
    forced = (f"{name}={values[name]}" for name in FORCED_BLAS if name in values)
    lines = [f"{one} replaces BLAS's own choice for this processor: unset it" for one in forced]
    if machine.governor == "powersave":
        lines.append("the processor's governor is powersave, clocks will wander: set it to performance")
    load, cpus = machine.load, len(machine.affinity or ()) or machine.logical_cpus or 1
    if load and load[0] > 0.5 * cpus:
        lines.append(f"the load is {load[0]:.1f} on {cpus} processors: something else runs here, stop it or wait")
    return lines
