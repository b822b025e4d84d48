"""The machine and everything on it that moves a number: processor, libraries, threads, BLAS, GPU, commit."""

import os
import platform
import shutil
import subprocess
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mlpbench.bench.machine import card, identity, variables
from mlpbench.bench.record.environment import Commit, Environment, Machine
from mlpbench.kernels.base import Facts, threads_given
from mlpbench.kernels.registry import GROUP

#: OpenBLAS picks its kernels by processor; these replace its choice.
FORCED_BLAS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

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
    return Environment(
        machine=machine(),
        os={
            "system": platform.system(),
            "release": platform.release(),
            "distribution": release.get("PRETTY_NAME", platform.platform()),
        },
        python={"version": platform.python_version(), "implementation": platform.python_implementation()},
        libraries=_versions(),
        blas=tuple({name: pool.get(name) for name in _OF_POOL} for pool in threadpoolctl.threadpool_info()),
        threads=threads_given(),
        gpu=card.in_use(used),
        git=commit(),
        variables=variables.recorded(),
    )


@cache
def machine() -> Machine:
    """Return the processor, its caches in bytes, and what moves its clock, where readable."""
    return Machine(
        name=identity.machine_id(),
        host=identity.host(),
        cpu_model=identity.processor()["name"],
        arch=platform.machine(),
        cores=_physical_cores(),
        logical_cpus=os.cpu_count(),
        affinity=tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None,
        caches=_caches(),
        governor=identity.read_text(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        load=os.getloadavg() if hasattr(os, "getloadavg") else None,
    )


def machine_info() -> dict[str, Any]:
    """Return what pytest-benchmark compares between two of its files."""
    return {"system": platform.system(), "machine": platform.machine(), "cpu": {"brand_raw": machine().cpu_model}}


@cache
def commit() -> Commit:
    """Return the commit of the mlpbench checkout and whether it has changes; ``None`` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    return _commit(root, "--untracked-files=no") if (root / ".git").exists() else Commit()


def commit_of(file: Path, *, tracked: bool = False) -> Commit:
    """Return the commit of the repository that a file is in, and whether it differs; ``tracked``: only if it has it."""
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
    versions = {}
    offering = {point.dist.name for point in metadata.entry_points(group=GROUP) if point.dist is not None}
    for name in (*LIBRARIES, *sorted(offering)):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _physical_cores() -> int | None:
    siblings = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    groups = {text for text in map(identity.read_text, siblings) if text}
    return len(groups) or None


def _caches() -> dict[str, int]:
    """Return bytes of each cache that a core sees, by name: L1d, L1i, L2, L3."""
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (identity.read_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size and size.endswith("K"):
            suffix = {"Data": "d", "Instruction": "i"}.get(kind, "")
            caches[f"L{level}{suffix}"] = int(size[:-1]) * 1024
    return caches


def warnings(environment: Environment) -> list[str]:
    """Return what on this machine makes numbers worse than they need be, each with what to do about it."""
    machine, values = environment.machine, environment.variables or {}
    lines = [
        f"{name}={values[name]} replaces BLAS's own choice for this processor: unset it"
        for name in FORCED_BLAS
        if name in values
    ]
    if machine.governor == "powersave":
        lines.append("the processor's governor is powersave, clocks will wander: set it to performance")
    load, cpus = machine.load, len(machine.affinity or ()) or machine.logical_cpus or 1
    if load and load[0] > 0.5 * cpus:
        lines.append(f"the load is {load[0]:.1f} on {cpus} processors: something else runs here, stop it or wait")
    return lines
