"""What the parts are given and how they tell what they find: one line each, which begins with ok, FAIL or info."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlpbench.kernels.base import Kernel
    from mlpbench.kernels.spec import ForwardSpec

ROOT = Path(__file__).parents[2]
OK, FAIL, INFO = "ok", "FAIL", "info"


@dataclass(frozen=True)
class Asked:
    """What a part works on: the folder of results, the network, rows of a call, kernels, tests, a profile, seconds."""

    out: Path
    spec: ForwardSpec
    sizes: tuple[int, ...]
    variants: tuple[str, ...]
    tests: tuple[str, ...]
    profile: str
    seconds: float


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


def ran(words: list[str], asked: Asked, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it says; one that is not done in time has status 124, and says so."""
    seconds = max(1.0, asked.seconds - 5)  # the part is to tell of it before it ends itself
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 124, "", f"not done after {seconds:.0f} s")


def with_tests() -> None:
    """Let a part import what the tests share."""
    sys.path.append(str(ROOT / "tests"))
