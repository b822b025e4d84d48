"""The machine and everything on it that moves a number: processor, libraries, threads, BLAS, GPU, commit."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from mlpbench.bench.machine import card, host
from mlpbench.bench.record.environment import Commit, Environment, Machine, Pool, Python, System
from mlpbench.kernels.base import Facts, threads_given
from mlpbench.kernels.registry import GROUP

#: Read by BLAS builds, OpenMP and Numba when they load; they are set before that, in a process of its own.
THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"),
)
#: Settings that change what is measured without showing anywhere else.
TELLING = re.compile(
    r"^(OMP|GOMP|KMP|OPENBLAS|MKL|BLIS|NUMBA|CUPY|CUDA|CUBLAS|NVIDIA|PYTHON(?!PATH|STARTUP|HISTORY)"
    r"|TORCH(?!INDUCTOR_CACHE_DIR$)|ATEN|DNNL|ONEDNN|XLA|JAX|NPROC|TBB|SKLEARN)_?[A-Z0-9_]*$"
)
#: OpenBLAS picks its kernels by processor; these replace its choice.
FORCED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

LIBRARIES = (
    *("numpy", "numba", "llvmlite", "cupy-cuda12x", "cupy-cuda13x"),
    *("nvidia-cublas", "nvidia-cublas-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12", "nvidia-ml-py"),
    *("pytest", "pytest-benchmark", "pandas", "scipy", "threadpoolctl"),
)


def set_threads(environment: dict[str, str], threads: int) -> dict[str, str]:
    """Return a copy of a process environment in which every library starts with ``threads`` threads."""
    return {**environment, **dict.fromkeys(THREAD_VARIABLES, str(threads))}


def collect(used: Facts | None = None) -> Environment:
    """Return everything, as it is now in this process: BLAS builds show once their library is loaded.

    ``used``: what a kernel on a device says of its card (`Kernel.describe`); else it is the first visible card.
    """
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    return Environment(
        machine=machine(),
        os=System(
            system=platform.system(),
            release=platform.release(),
            distribution=release.get("PRETTY_NAME", platform.platform()),
        ),
        python=Python(
            version=platform.python_version(),
            implementation=platform.python_implementation(),
            compiler=platform.python_compiler(),
        ),
        libraries=_versions(),
        blas=_blas(),
        threads=threads_given(),
        gpu=card.in_use(used),
        git=commit(),
        variables={name: value for name, value in sorted(os.environ.items()) if TELLING.match(name)},
    )


@cache
def machine() -> Machine:
    """Return the processor, its caches in bytes, and what moves its clock, where readable."""
    return Machine(
        name=machine_id(),
        host=host.host(),
        boot=host.boot(),
        cpu_model=_processor()["name"],
        arch=platform.machine(),
        cores=_physical_cores(),
        logical_cpus=os.cpu_count(),
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        caches=_caches(),
        memory_bytes=_memory_bytes(),
        governor=host.read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load=os.getloadavg() if hasattr(os, "getloadavg") else None,
    )


@cache
def machine_id() -> str:
    """Return a folder name for this machine: its processor and how many of them, never its host name."""
    info = _processor()
    name = re.sub(r"\((r|tm)\)|cpu|processor|@.*", " ", info["name"].lower())
    # Clouds hide the model behind a brand name ("AMD EPYC"); family and model tell the generations apart.
    marks = [f"{key[0]}{info[key]}" for key in ("family", "model") if key in info]
    words = [*re.findall(r"[a-z0-9]+", name), *marks, f"{os.cpu_count()}cpu"]
    return "-".join(words)


@cache
def _processor() -> dict[str, str]:
    """Return the processor's ``name``, and its ``family`` and ``model`` numbers where the system knows them."""
    for text in _descriptions():
        lines = [line.partition(":") for line in text.splitlines()]
        told = {key.strip().lower().removeprefix("machdep.cpu."): value.strip() for key, _, value in reversed(lines)}
        if name := told.get("model name") or told.get("brand_string"):
            numbers = {"family": told.get("cpu family") or told.get("family", ""), "model": told.get("model", "")}
            return {"name": name, **{key: number for key, number in numbers.items() if number.isdecimal()}}
    return {"name": platform.processor() or platform.machine()}


def _descriptions() -> Iterator[str]:
    """Yield what the system says of its processors, in lines of ``key: value``: Linux on x86, on others, and macOS."""
    yield host.read_text(Path("/proc/cpuinfo")) or ""
    for command in (["lscpu"], ["sysctl", "machdep.cpu"]):
        with suppress(OSError):
            how: dict[str, Any] = {"text": True, "errors": "replace", "env": {**os.environ, "LC_ALL": "C"}}
            yield subprocess.run(command, capture_output=True, check=False, **how).stdout


def machine_info() -> dict[str, Any]:
    """Return what pytest-benchmark compares between two of its files."""
    return {"system": platform.system(), "machine": platform.machine(), "cpu": {"brand_raw": machine().cpu_model}}


@cache
def commit() -> Commit:
    """Return the commit of the mlpbench checkout and whether it has changes; ``None`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    return _commit(root, "--untracked-files=no") if (root / ".git").exists() else Commit()


def commit_of(file: Path, *, tracked: bool = False) -> Commit:
    """Return the commit of the repository that a file is in, and whether the file differs from it.

    ``tracked``: nothing where the repository does not hold the file, as of an environment that lies in somebody's.
    """
    if tracked and not _git(file.parent, "ls-files", "--error-unmatch", "--", str(file)):
        return Commit()
    return _commit(file.parent, "--", str(file))


def _commit(folder: Path, *what: str) -> Commit:
    status = _git(folder, "status", "--porcelain", *what)
    return Commit(_git(folder, "rev-parse", "HEAD"), None if status is None else bool(status))


def _git(folder: Path, *words: str) -> str | None:
    """Return what git says of a folder; None where it fails, or is not installed."""
    if shutil.which("git") is None:
        return None
    ran = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)  # noqa: S607
    return ran.stdout.strip() if ran.returncode == 0 else None


def _versions() -> dict[str, str]:
    """Return the versions of `LIBRARIES`, and of every package that offers kernels."""
    found = {}
    offering = {point.dist.name for point in metadata.entry_points(group=GROUP) if point.dist is not None}
    for name in (*LIBRARIES, *sorted(offering)):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _blas() -> tuple[Pool, ...]:
    import threadpoolctl

    return tuple(msgspec.convert(pool, Pool) for pool in threadpoolctl.threadpool_info())


def _physical_cores() -> int | None:
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    groups = {text for text in map(host.read_text, siblings) if text}
    return len(groups) or None


def _caches() -> dict[str, int]:
    """Return bytes of each cache that a core sees, by name: L1d, L1i, L2, L3."""
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (host.read_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size and size.endswith("K"):
            suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
            caches[f"L{level}{suffix}"] = int(size[:-1]) * 1024
    return caches


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None


def warnings(found: Environment) -> list[str]:
    """Return what on this machine makes numbers worse than they need be, each with what to do about it."""
    variables = found.variables or {}
    lines = [
        f"{name}={variables[name]} replaces BLAS's own choice for this processor: unset it"
        for name in FORCED_BLAS
        if name in variables
    ]
    if found.machine.governor == "powersave":
        lines.append("the processor's governor is powersave, clocks will wander: set it to performance")
    load, cpus = found.machine.load, len(found.machine.affinity or ()) or found.machine.logical_cpus or 1
    if load and load[0] > 0.5 * cpus:
        lines.append(f"the load is {load[0]:.1f} on {cpus} processors: something else runs here, stop it or wait")
    return lines


def flatten(section: str, content: Any) -> list[tuple[str, str]]:
    """Return (name, value) rows of one section of an environment, in words; None is "not readable"."""
    if isinstance(content, dict):
        return [row for name, value in content.items() for row in flatten(f"{section} {name}", value)]
    if isinstance(content, list | tuple) and content and isinstance(content[0], dict):
        return [row for number, value in enumerate(content) for row in flatten(f"{section} {number}", value)]
    if isinstance(content, list | tuple):
        return [(section, ", ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in content))]
    return [(section, "not readable" if content is None else str(content))]
