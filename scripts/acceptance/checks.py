"""Parts that ask whether it is right: card, tests, gate, the CPU beside the card, and NVIDIA's own tools."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acceptance.told import (
    FAIL,
    INFO,
    LATE,
    LEAST_S,
    OK,
    ROOT,
    Asked,
    each,
    errors,
    judge,
    last,
    made_up,
    ran,
    say,
)
from mlpbench.kernels import conformance
from mlpbench.kernels.cuda import card as identity
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.mlp_cupy import CupyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

if TYPE_CHECKING:
    from mlpbench.kernels.base import Kernel

#: Rows of a result that are held against the reference, at its start, at its end, and drawn between.
LOOKED_AT = 50
#: Sizes that end within each tile, for the CPU beside the card and for sanitizers.
SMALL, SMALL_ROWS = ForwardSpec((33, 50, 21, 10)), (1, 17, 129)
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
#: The most device kernels of one forward pass.
MOST_LAUNCHES = {"cupy": 6, "cupy-fused": 1}


def card(_asked: Asked) -> None:
    """Say which card and libraries there are; nothing else can run where a kernel cannot."""
    try:
        CupyKernel.probe()
    except KernelUnavailable as error:
        say(FAIL, f"card: {error}")
        return
    facts = identity.identity()
    say(OK, f"card: {facts['device_name']}, compute capability {facts['compute_capability']}")
    for name, value in {**facts, "cublas": identity.cublas(), "nvrtc": identity.nvrtc()}.items():
        say(INFO, f"card: {name} {value}")
    try:
        from mlpbench.bench.machine import card as cards
        from mlpbench.kernels.base import Facts
    except ImportError as error:
        say(INFO, f"card: {error}: parts that time need what mlpbench itself needs")
    else:
        found = cards.in_use(Facts.of(**facts))
        say(INFO, f"card: driver {found.driver}, power limit {found.power_limit}")
    judge(identity.overrides() is None, f"card: variables that change the arithmetic: {identity.overrides() or 'none'}")


def tests(asked: Asked) -> None:
    """Run the tests of what CuPy and the device do, where what they need is installed."""
    missing = [name for name in ("hypothesis", "pytest_benchmark") if find_spec(name) is None]
    if missing:
        say(INFO, f"tests: left out, {', '.join(missing)} is not installed")
        return
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *asked.tests]
    tested = ran(words, asked.left_s() - LEAST_S, cwd=ROOT)
    (asked.out / "tests.log").write_text(tested.stdout + tested.stderr, encoding="utf-8")
    judge(tested.returncode == 0, f"tests: {last(tested.stdout if tested.returncode != LATE else tested.stderr)}")


def gate(asked: Asked) -> None:
    """Hold every variant against the reference, on the gate's own data and on as many rows as are timed."""
    # A row more: a first call computes all but the first.
    inputs = {rows: made_up(asked.spec, rows + 1) for rows in asked.sizes}

    def hold(name: str, kernel_class: type[Kernel]) -> None:
        try:
            found, most = conformance.check(kernel_class, asked.spec), 0
            kernel = kernel_class(asked.spec, seeded(asked.spec))
            for rows, x in inputs.items():
                try:
                    found, most = found.merge(at_size(kernel, x)), rows
                except MemoryError as error:
                    say(INFO, f"gate: {name}: {rows:,} rows do not fit: {error}")
        except NonConforming as error:
            if error.__cause__ is not None:  # the kernel itself raised
                raise RuntimeError(error) from error
            say(FAIL, f"gate: {name}: {error}")
        else:
            say(OK, f"gate: {name}: {found.max_error_ratio:.3f} of what is allowed, up to {most:,} rows")

    each(asked, "gate", hold)


def at_size(kernel: Kernel, x: np.ndarray) -> conformance.Conformance:
    """Compare the result of all rows but the last with the reference, at both ends and between. Raises NonConforming.

    The call before computes all but the first: what it leaves in each row of the buffer is that of another one.
    """
    x = kernel.nearest(x)
    there, last_row = kernel.from_host(x), len(x) - 1
    for inputs in (there[1:], there[:-1]):
        y = kernel.forward(inputs)
        kernel.synchronize(y)
    got = kernel.to_host(y)
    drawn = np.random.default_rng(0).integers(0, last_row, LOOKED_AT)
    rows = np.unique(np.concatenate([np.arange(last_row)[:LOOKED_AT], np.arange(last_row)[-LOOKED_AT:], drawn]))
    params = seeded(kernel.spec)
    told = conformance.expected(kernel.spec, params, x[rows], kernel.arithmetic)
    return conformance.compare(*told, got[rows], f"a batch of {last_row:,}")


def check_cupy(asked: Asked) -> None:
    """Pass the gate, or end with status 1 and its words."""
    try:
        conformance.check(CupyKernel, asked.spec)
    except (NonConforming, KernelUnavailable) as error:
        sys.exit(str(error))


def overrides(asked: Asked) -> None:
    """CuPy's own variable for TF32 does not count here; NVIDIA's does, and then the gate must refuse."""
    for variable, refused in (("CUPY_TF32", False), ("NVIDIA_TF32_OVERRIDE", True)):
        checked = ran(asked.words("check_cupy"), asked.left_s() - LEAST_S, env=os.environ | {variable: "1"})
        said = last(checked.stderr, "conforms")
        is_right = checked.returncode == 1 and variable in said if refused else checked.returncode == 0
        judge(is_right, f"overrides: {variable}=1: {said}")


def _programs() -> list[tuple[Any, Any]]:
    """Return the network and program of each arithmetic that the card can do."""
    import cupy
    from on_cpu.programs import VARIANTS, Network

    networks = [Network(SMALL, *variant) for variant in VARIANTS]
    capability = int(cupy.cuda.Device().compute_capability)
    return [(network, one) for network in networks for one in network.programs if one.capability <= capability]


def _on_the_card(network: Any, program: Any, rows: int) -> np.ndarray:
    import cupy

    kernel = program.kernel(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        arrays = [cupy.asarray(one) for one in (network.inputs(rows), program.pack(network.params))]
        y = cupy.asarray(np.full((rows, network.spec.n_out), np.nan, np.float32))
        arguments = (*arrays, y, np.int64(rows))
        kernel((program.grid(rows),), (program.block,), arguments, shared_mem=program.shared_bytes)
        found: np.ndarray = cupy.asnumpy(y)
    stream.synchronize()
    return found


def silicon(_asked: Asked) -> None:
    """Run each program on the card and on the CPU: both are right, and near each other."""
    programs = _programs()
    from on_cpu.programs import Launched, off_by
    from on_cpu.raw import compiler

    if compiler() is None:
        say(INFO, "silicon: there is no C++ compiler, so nothing is run on the CPU beside the card")
        return
    wrong = errors()
    for network, program in programs:
        on_cpu, worst, name = Launched(network, program), 0.0, f"{program.name} {network.arithmetic}"
        try:
            for rows in SMALL_ROWS:
                x = network.inputs(rows)
                right, allowed, decidable = network.expected(x)
                there, here = _on_the_card(network, program, rows), on_cpu.outputs(x)
                worst = max(worst, off_by(there, right, allowed, decidable), off_by(there, here, allowed, decidable))
        except wrong as error:
            say(FAIL, f"silicon: {name}: {type(error).__name__}: {error}")
        else:
            judge(worst <= 1, f"silicon: {name}: {worst:.3f} of what is allowed apart")


def launch_all(_asked: Asked) -> None:
    """Launch each program once, for a tool that watches."""
    for network, program in _programs():
        _on_the_card(network, program, SMALL_ROWS[-1])


def sanitizer(asked: Asked) -> None:
    """Let NVIDIA's sanitizer watch each program, where it is installed."""
    tool = _tool("compute-sanitizer")
    if tool is None:
        say(INFO, "sanitizer: compute-sanitizer is not installed")
        return
    for done, name in enumerate(TOOLS):
        words = [tool, "--tool", name, "--error-exitcode", "9", *asked.words("launch_all")]
        watched = ran(words, asked.left_s() / (len(TOOLS) - done) - 1)
        (asked.out / f"sanitizer-{name}.log").write_text(watched.stdout + watched.stderr, encoding="utf-8")
        said = last(watched.stdout if watched.returncode != LATE else watched.stderr)
        judge(watched.returncode == 0, f"sanitizer: {name}: {said}")


def _tool(name: str) -> str | None:
    return shutil.which(name) or next(map(str, Path("/usr/local").glob(f"cuda*/bin/{name}")), None)


def launch_once(asked: Asked) -> None:
    """Call each kernel of `MOST_LAUNCHES` once, and have a profiler look at that call alone."""
    import cupy

    from mlpbench.kernels import registry

    for name in MOST_LAUNCHES:
        kernel = registry.load(name)(asked.spec, seeded(asked.spec))
        x = kernel.from_host(np.zeros((max(SMALL_ROWS), asked.spec.n_in), np.float32))
        kernel.synchronize(kernel.forward(x))
        cupy.cuda.runtime.profilerStart()
        kernel.synchronize(kernel.forward(x))
        cupy.cuda.runtime.profilerStop()


def launches(asked: Asked) -> None:
    """Let ncu name the device kernels of a call, where it is installed and may look."""
    tool = _tool("ncu")
    if tool is None:
        say(INFO, "launches: ncu is not installed")
        return
    words = [tool, "--csv", "--profile-from-start", "off", "--metrics", "gpu__time_duration.sum"]
    profiled = ran([*words, *asked.words("launch_once")], asked.left_s() - LEAST_S)
    lines = [line for line in profiled.stdout.splitlines() if line.startswith('"')]
    names = [row["Kernel Name"] for row in csv.DictReader(lines)]
    if not names:
        say(INFO, f"launches: ncu shows none: {last(profiled.stdout + profiled.stderr)}")
        return
    most = sum(MOST_LAUNCHES.values())
    judge(len(names) <= most, f"launches: {len(names)} of at most {most}, both kernels together: {'; '.join(names)}")
