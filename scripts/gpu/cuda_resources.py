"""Compile every CUDA source of this project for every architecture, without a GPU; keep what each kernel takes.

    python scripts/gpu/cuda_resources.py PYTHON12 PYTHON13

Each interpreter has `cuda-core` with its NVRTC, and nvdisasm. It writes ``tests/kernels/cuda/resources.json``. A
program whose source, options and compiler have not changed is not compiled again; with ``--all`` each is.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from mlpbench.kernels.cuda.programs import Program
from mlpbench.kernels.spec import HIDDEN, MNIST, DType, ForwardSpec, read_hidden

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("nvrtc_worker.py")
TABLE = ROOT / "tests" / "kernels" / "cuda" / "resources.json"
#: Shared memory of a block that a kernel may ask for, in KB, by architecture: the CUDA C++ programming guide, table of
#: technical specifications.
OPT_IN_KB = MappingProxyType({75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99})
COLUMNS = ("registers", "stack", "spills", "shared", "ffma", "hmma", "local")
#: Kernels that may put registers into local memory, and why.
REASONS = MappingProxyType(
    {
        "roofs": "`copy_all` asks for 4 blocks of 256 threads, so for 64 registers: sm_100 and sm_120 spill an address",
        "mlp_ffma fp32 bytes 224 least": "of one input ptxas keeps to 40 registers on sm_90, and puts three words away",
    }
)
#: Networks at the ends of what the fused programs take. Of each arithmetic, the program with most shared memory counts.
EXTREMES = MappingProxyType(
    {
        "widest": ForwardSpec((785, *[128] * 8), "gelu", "softmax"),
        "least": ForwardSpec((1, 1), output="identity"),
    }
)
#: How CuPy compiles; what `nvrtc_worker.py` says to NVRTC.
SETTINGS = "c++17 ftz device-as-default-execution-space"


@dataclass(frozen=True)
class Job:
    """A program: its source and options, and what its kernels must be seen to do.

    ``instruction`` is a column of the table that must not be 0. ``capability`` is the least architecture.
    """

    name: str
    source: str
    options: tuple[str, ...] = ()
    instruction: str | None = None
    capability: int = 75
    shared_bytes: int = 0

    def digest(self) -> str:
        """Return what tells this program from another: its source, options and settings."""
        return hashlib.sha256("\0".join((SETTINGS, self.source, *self.options)).encode()).hexdigest()[:16]

    def architectures(self) -> list[int]:
        """Return the architectures that it is compiled for: those that have what it needs. The others refuse it."""
        return [arch for arch, kb in OPT_IN_KB.items() if arch >= self.capability and self.shared_bytes <= kb * 1024]


def jobs() -> list[Job]:
    """Return every program of the project."""
    from mlpbench.kernels.cuda import peak, programs, queue

    found = [Job("roofs", peak.bandwidth_source()), Job("queue", queue.SOURCE)]
    found += [Job(f"peak {dtype}", peak.source(dtype)) for dtype in ("float32", "float64")]
    widest = programs.MAX_SOFTMAX
    for n_out, dtype in ((10, "float32"), (10, "float64"), (widest, "float32"), (widest + 1, "float64")):
        one = programs.bias_softmax(n_out, dtype)
        found.append(Job(f"bias_softmax {n_out} {dtype}", one.source, one.options))
    for dtype in get_args(DType):
        for activation in (one for name in HIDDEN for one in read_hidden(name)):
            one = programs.bias_activation(50, dtype, activation)
            found.append(Job(f"bias_activation {activation} {dtype}", one.source, one.options))
    for arithmetic, pixels in (("fp32", False), ("fp32", True), ("3xtf32", False), ("tf32", False), ("fp16", False)):
        found += [fused(one, arithmetic, pixels=pixels) for one in programs.fused(MNIST, arithmetic, pixels=pixels)]
    for what, spec in EXTREMES.items():
        for arithmetic, pixels in (("fp32", False), ("fp32", True), ("3xtf32", False), ("fp16", False)):
            one = max(programs.fused(spec, arithmetic, pixels=pixels), key=lambda one: one.shared_bytes)
            found.append(fused(one, arithmetic, f" {what}", pixels=pixels))
    return found


def fused(one: Program, arithmetic: str, what: str = "", *, pixels: bool) -> Job:
    """Return a program that computes a whole network."""
    name = f"{one.name} {arithmetic}{' bytes' if pixels else ''} {one.rows_per_block}{what}"
    instruction = "ffma" if arithmetic == "fp32" else "hmma"
    return Job(name, one.source, one.options, instruction, one.capability, one.shared_bytes)


class Compiler:
    """An interpreter with an NVRTC, which compiles one job after the other."""

    def __init__(self, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self._answer()["version"]

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            message = f"the worker of NVRTC ended with status {self._process.wait()}: its words are above"
            raise RuntimeError(message)
        return json.loads(line)

    def _asked(self, job: Job, arch: int, wanted: str) -> Any:
        asked = {"source": job.source, "options": job.options, "arch": str(arch)}
        self._process.stdin.write(json.dumps({**asked, "wanted": wanted}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def taken(self, job: Job, arch: int) -> list[int]:
        """Return the columns of the table: the most that any kernel of the job takes, the sum of its instructions."""
        kernels = self._asked(job, arch, "taken").values()
        return [(max if column in COLUMNS[:4] else sum)(kernel[column] for kernel in kernels) for column in COLUMNS]

    def listing(self, job: Job, arch: int) -> str:
        """Return what nvdisasm prints of the job's one kernel."""
        (text,) = self._asked(job, arch, "listings").values()
        return text

    def close(self) -> None:
        """Let the worker end."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def read() -> dict[str, Any]:
    """Return the table: for each program its digest, and for each compiler and architecture what it takes."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


def write(table: dict[str, Any]) -> None:
    """Write the table, a program a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(table.items()))
    TABLE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def wrong(job: Job, arch: int, cell: list[int]) -> list[str]:
    """Return what a kernel must not be: that it spills without a reason, or lacks the instruction of its name."""
    taken, where = dict(zip(COLUMNS, cell, strict=True)), f"{job.name} on sm_{arch}"
    found = []
    if (taken["spills"] or taken["local"] or taken["stack"]) and job.name not in REASONS:
        found.append(f"{where} uses local memory: {taken}")
    if job.instruction and not taken[job.instruction]:
        found.append(f"{where} has no {job.instruction.upper()}")
    if "fp32" in job.name and taken["hmma"]:
        found.append(f"{where} has HMMA, and its name says none")
    if job.shared_bytes + taken["shared"] > OPT_IN_KB[arch] * 1024:
        found.append(f"{where} takes {job.shared_bytes} bytes of shared memory, and there are {OPT_IN_KB[arch]} KB")
    return found


def main(words: list[str]) -> None:
    """Compile what has changed, and write the table after each program."""
    before = read() if TABLE.exists() and "--all" not in words else {}
    todo = jobs()
    kept = {
        job.name: before[job.name]["cells"] for job in todo if before.get(job.name, {}).get("digest") == job.digest()
    }
    table = {job.name: {"digest": job.digest(), "cells": kept.get(job.name, {})} for job in todo}
    compilers = [Compiler(word) for word in words if word != "--all"]
    for job in todo:
        cells = {}
        for compiler in compilers:
            for arch in job.architectures():
                key = f"{compiler.version} sm_{arch}"
                cells[key] = table[job.name]["cells"].get(key) or compiler.taken(job, arch)
                for line in wrong(job, arch, cells[key]):
                    print("WRONG:", line, flush=True)
        if cells != table[job.name]["cells"]:
            table[job.name]["cells"] = cells
            write(table)
            print(job.name, {key: cell[0] for key, cell in cells.items()}, flush=True)
    write(table)
    for compiler in compilers:
        compiler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
