"""What the parts are given and how they tell what they find: one line each, which begins with ok, FAIL or info."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlpbench.kernels.base import Kernel
    from mlpbench.kernels.spec import ForwardSpec

ROOT = Path(__file__).parents[2]
OK, FAIL, INFO = "ok", "FAIL", "info"
#: What a part keeps of its time, to tell how its own processes ended; a variant is not begun with less.
LEAST_S = 3.0
#: The status of a program that was not done in time.
LATE = 124


@dataclass(frozen=True)
class Asked:
    """What a part works on: the folder of results, the network, rows of a call, kernels, tests, a profile, its end.

    ``ends``: when the part has to be done, on the clock `time.monotonic`.
    """

    out: Path
    spec: ForwardSpec
    sizes: tuple[int, ...]
    variants: tuple[str, ...]
    tests: tuple[str, ...]
    profile: str
    ends: float

    def left_s(self) -> float:
        """Return the seconds that are left to the part."""
        return self.ends - time.monotonic()

    def words(self, part: str, **other: str) -> list[str]:
        """Return the command of another part, which ends a little before this one; ``other``: options that differ."""
        told = {
            "out": str(self.out),
            "spec": self.spec.label(),
            "sizes": ",".join(map(str, self.sizes)),
            "variants": ",".join(self.variants),
            "seconds": f"{max(1.0, self.left_s() - LEAST_S):.0f}",
        } | other
        script = str(ROOT / "scripts" / "gpu_acceptance.py")
        options = (word for name, value in told.items() for word in (f"--{name}", value))
        return [sys.executable, script, "--part", part, *options]


def say(kind: str, words: str) -> None:
    """Print a line at once."""
    print(f"{kind:<4} {' '.join(words.split())}", flush=True)


def judge(is_right: bool, words: str) -> None:
    """Print a line that is ok or FAIL."""
    say(OK if is_right else FAIL, words)


def variants(asked: Asked) -> Iterator[tuple[str, type[Kernel]]]:
    """Yield the kernels of a GPU that are asked for and can run here, and say why others cannot."""
    for name in registry.names():
        if asked.variants != ("all",) and name not in asked.variants:
            continue
        try:
            kernel_class = registry.load(name)
            if kernel_class.device != "cuda":
                continue
            kernel_class.probe()
            kernel_class.supports(asked.spec)
        except KernelUnavailable as error:
            say(INFO, f"{name}: {error}")
        else:
            yield name, kernel_class


def each(asked: Asked, part: str, act: Callable[[str, type[Kernel]], None]) -> None:
    """Let ``act`` work on every variant; tell what goes wrong on the device, and go on in a fresh process.

    After some errors a process can use its device no more.
    """
    wrong = errors()
    for name, kernel_class in variants(asked):
        if asked.left_s() < LEAST_S:
            say(FAIL, f"{part}: {name}: there was no time left")
            continue
        try:
            act(name, kernel_class)
        except KernelUnavailable as error:
            say(INFO, f"{part}: {name}: {error}")
        except wrong as error:
            say(FAIL, f"{part}: {name}: {type(error).__name__}: {error}")
            known = registry.names()
            later = [
                one for one in known[known.index(name) + 1 :] if asked.variants == ("all",) or one in asked.variants
            ]
            if later:
                words = asked.words(part, variants=",".join(later), seconds=f"{asked.left_s():.0f}")
                os.execv(words[0], words)  # noqa: S606 - its time goes on, and so do its pipes


def errors() -> tuple[type[Exception], ...]:
    """Return what a device, its libraries and its compiler raise: CUDA's errors are RuntimeErrors."""
    import cupy

    return RuntimeError, MemoryError, ImportError, TypeError, ValueError, cupy.cuda.compiler.CompileException


def made_up(spec: ForwardSpec, rows: int) -> np.ndarray:
    """Return inputs (rows, n_in), the same for the same number of rows."""
    return np.random.default_rng(rows).random((rows, spec.n_in), np.float32)


def ran(words: list[str], seconds: float, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says; one that is not done in time has the status `LATE`, and says so.

    Whatever it started ends with it: else that would go on computing on the card.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    with subprocess.Popen(words, process_group=0, **pipes, **more) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return subprocess.CompletedProcess(words, LATE, out, f"{err}\nnot done after {seconds:.0f} s")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(words, process.returncode, out, err)


def last(text: str, otherwise: str = "no words") -> str:
    """Return the last line of what a program said."""
    return (text.strip().splitlines() or [otherwise])[-1]
