"""Show in which functions of the vector kernels time is spent, by samples of the program counter.

    python scripts/simd_profile.py KERNEL BATCH_SIZE [SPEC]

Linux's `perf` looks 4,000 times a second where this process is, while the kernel takes the digits that ship with
mlpbench batch after batch, as `mlpbench run` gives them. Functions are those of `kernels.numba_simd.codegen.tile`
and its neighbours, by the names that they write into LLVM's code; all else is Python, Numba and the system.
Looking takes time itself, a fifth at one row: read shares. One thread; needs `perf` and binutils' `nm`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from collections import Counter
from pathlib import Path
from typing import Any

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure.case import prepare
from mlpbench.kernels import registry
from mlpbench.kernels.spec import MNIST

WARM_S, SAMPLED_S, SAMPLES_PER_S = 0.5, 5.0, 4000
LEAST_SHARE = 0.002


def functions(program: Any) -> list[tuple[int, int, str]]:
    """Return address, size and name of every function of a program, by address."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "program.o"
        file.write_bytes(program.code)
        text = subprocess.run(["nm", "-S", file], capture_output=True, text=True, check=True).stdout  # noqa: S607
    lines = [line.split() for line in text.splitlines()]
    places = {name: (int(start, 16), int(size, 16)) for start, size, *_, name in (x for x in lines if len(x) == 4)}
    base = program.addresses[0] - places["all_rows"][0]
    return sorted((base + start, size, name) for name, (start, size) in places.items())


def samples(call: Any) -> tuple[list[int], float]:
    """Return where the process was at each look, and microseconds for a call meanwhile."""
    end = time.perf_counter() + WARM_S
    while time.perf_counter() < end:
        call()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "perf.data"
        command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_PER_S), "-o", file]
        perf = subprocess.Popen([*command, "-p", str(os.getpid())])
        time.sleep(1)
        start, calls = time.perf_counter(), 0
        while time.perf_counter() < start + SAMPLED_S:
            call()
            calls += 1
        per_call = (time.perf_counter() - start) / calls * 1e6
        perf.send_signal(signal.SIGINT)
        perf.wait()
        show = ["perf", "script", "-i", file, "-F", "ip"]
        text = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    return [int(word, 16) for word in text.split()], per_call


def main(name: str, batch_size: str, spec: str = MNIST.label()) -> None:
    """Print the table."""
    if missing := [tool for tool in ("perf", "nm") if shutil.which(tool) is None]:
        sys.exit(f"{' and '.join(missing)} cannot be found: install linux-perf and binutils")
    if not name.startswith("numba-simd"):
        sys.exit(f"{name} is none of the vector kernels, whose names begin with numba-simd")
    workload = Workload(Options(spec=spec))
    kernel: Any = registry.load(name)(workload.spec, workload.params)
    table = functions(kernel._program)  # noqa: SLF001 - to look inside
    found, per_call = samples(prepare(kernel, Case("batched", int(batch_size)), workload.inputs).call)
    starts, counts = [start for start, _, _ in table], Counter[str]()
    for place in found:
        start, size, function = table[max(bisect(starts, place) - 1, 0)]
        counts[function if start <= place < start + size else "all else"] += 1
    print(f"{name}, {spec}, batches of {batch_size}: {per_call:.4g} us for a call, {len(found)} samples")
    for function, count in counts.most_common():
        if count >= LEAST_SHARE * len(found):
            print(f"{count / len(found):7.1%}  {function}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
