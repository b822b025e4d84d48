"""Measure the steps from a plain loop to the register-tiled kernels, as docs/evidence/simd-kernels.md shows them.

    python scripts/simd_ladder.py steps       each step of the ladder, at some batch sizes
    python scripts/simd_ladder.py kernels     the finished kernels beside NumPy, with the share of the FMA peak
    python scripts/simd_ladder.py peers       the finished kernels beside ONNX Runtime with bound arrays
    python scripts/simd_ladder.py density     the sparse kernel against the dense one, by share of non-zero inputs

Everything is interleaved: in each of many rounds every kernel has a burst of calls, in random order, and so has a loop
of multiply-adds in registers, the peak. Shown is the first decile of the bursts, with which another program on the same
processor interferes least. Inputs are the digits that ship with mlpbench, row after row. One thread, unless
``NUMBA_NUM_THREADS`` and the BLAS's own variable say otherwise. Results of the harness itself are `mlpbench run`'s.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from mlpbench.bench.data.datasets import digits
from mlpbench.kernels import registry
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.numba_simd.codegen import shape as shape_
from mlpbench.kernels.numba_simd.codegen.peak import compiled_peak, flop_per_turn
from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.passes import packing
from mlpbench.kernels.params import TRAINED_FILE
from mlpbench.kernels.spec import MNIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlpbench.kernels.base import Kernel

BATCHES = (1, 2, 8, 32, 100, 1000, 10_000)
ROUNDS = 60
BURST_S = 0.5e-3

#: On one thread, the time that the processor spent on it: a long call is interrupted for other programs.
clock = time.thread_time if int(numba.get_num_threads()) == 1 else time.perf_counter


@numba.njit
def plain_layer(z: Any, W: Any, b: Any, a: Any) -> None:
    """Compute z @ W + b as the formula is written: one sum for each result."""
    for i in range(z.shape[0]):
        for j in range(W.shape[1]):
            total = b[j]
            for k in range(W.shape[0]):
                total += z[i, k] * W[k, j]
            a[i, j] = total


class Plain(NumbaSimdKernel):
    """Three loops, compiled as they stand."""

    def forward(self, x: Any) -> Any:
        """Return the outputs, without caring for buffers."""
        z = x
        for layer, (W, b) in enumerate(zip(self.params.weights, self.params.biases, strict=True), start=1):
            a = np.empty((len(x), len(b)), x.dtype)
            plain_layer(z, W, b, a)
            z = 1 / (1 + np.exp(-a)) if layer < self.spec.n_layers else a
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def forward_one(self, x: Any) -> Any:
        """Return the outputs of one row."""
        return self.forward(x[None])[0]


def tiled(rows: int, *, singles: bool = True) -> Kernel:
    """Return the vector kernel with tiles of so many rows, and with or without single columns beside them."""
    shape = replace(host_shape(4), rows=rows)
    kept = shape_.host_shape, packing.dot_columns
    shape_.host_shape = lambda _itemsize: shape
    if not singles:
        packing.dot_columns = lambda *_: 0
    try:
        return NumbaSimdKernel(MNIST, load_params(TRAINED_FILE, MNIST))
    finally:
        shape_.host_shape, packing.dot_columns = kept


def named(*names: str) -> dict[str, Kernel]:
    """Return kernels by name, of the network that ships with mlpbench."""
    return {name: registry.load(name)(MNIST, load_params(TRAINED_FILE, MNIST)) for name in names}


def peak_rate() -> float:
    """Return multiply-adds in registers alone, in floating-point operations per second."""
    memory, turns = np.zeros(64, np.float32), 40_000
    run, flop = compiled_peak("float32"), turns * flop_per_turn("float32")
    start = clock()
    run(memory, turns)
    return flop / (clock() - start)


def burst(function: Callable[[Any], Any], inputs: list[Any], calls: int) -> float:
    """Return seconds per call."""
    start = clock()
    for i in range(calls):
        function(inputs[i % len(inputs)])
    return (clock() - start) / calls


def measure(kernels: dict[str, Kernel], x: Any, batch: int) -> tuple[dict[str, float], float]:
    """Return the seconds per call of each kernel, and the peak."""
    count = max(1, min(64, len(x) // batch))
    rows = [x[i] for i in range(256)] if batch == 1 else [x[i * batch : (i + 1) * batch] for i in range(count)]
    inputs = {name: [kernel.from_host(part) for part in rows] for name, kernel in kernels.items()}
    functions = {name: kernel.forward_one if batch == 1 else kernel.forward for name, kernel in kernels.items()}
    times: dict[str, list[float]] = {name: [burst(function, inputs[name], 3)] for name, function in functions.items()}
    peaks = []
    for _ in range(ROUNDS if batch < 10_000 else ROUNDS // 3):
        peaks.append(peak_rate())
        for name in random.sample(list(functions), len(functions)):
            calls = max(1, int(BURST_S / times[name][-1]))
            times[name].append(burst(functions[name], inputs[name], calls))
    return {name: float(np.quantile(t[1:], 0.1)) for name, t in times.items()}, float(np.quantile(peaks, 0.9))


def table(kernels: dict[str, Kernel], x: Any, batches: tuple[int, ...]) -> None:
    """Print microseconds per call, and the share of the peak for the dense work of the network."""
    print("| us per call (share of the FMA peak) | " + " | ".join(f"B={batch}" for batch in batches) + " |")
    print("|---" * (len(batches) + 1) + "|")
    columns = [measure(kernels, x, batch) for batch in batches]
    for name in kernels:
        cells = [
            f"{seconds[name] * 1e6:.2f} ({MNIST.flop(batch) / seconds[name] / peak:.0%})"
            for (seconds, peak), batch in zip(columns, batches, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print("| peak, GFLOP/s | " + " | ".join(f"{peak / 1e9:.0f}" for _, peak in columns) + " |", flush=True)


def steps() -> None:
    """Print the ladder."""
    kernels: dict[str, Kernel] = {"three plain loops": Plain(MNIST, load_params(TRAINED_FILE, MNIST)), **named("numba")}
    for rows in (1, 2, 4):
        kernels[f"tile {rows}x48 + 2 columns"] = tiled(rows)
    kernels["tile 8x48, 50 padded to 64"] = tiled(8, singles=False)
    kernels["tile 8x48 + 2 columns: numba-simd"] = tiled(8)
    table(kernels, digits().inputs("float32", 10_000), (1, 8, 100, 1000))


def densities() -> None:
    """Print the sparse kernel's time over the dense one's, by share of inputs that are not zero, at random places."""
    kernels = named("numba-simd", "numba-simd-sparse")
    generator = np.random.default_rng(0)
    for batch in (1, 256):
        for density in (0.05, 0.1, 0.19, 0.3, 0.4, 0.5, 0.75, 1.0):
            x = generator.random((2560, 784), np.float32) * (generator.random((2560, 784)) < density)
            dense, sparse = measure(kernels, x.astype(np.float32), batch)[0].values()
            print(
                f"| {batch} | {density} | {dense * 1e6:.2f} | {sparse * 1e6:.2f} | {sparse / dense:.2f} |", flush=True
            )


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "kernels"
    if what == "steps":
        steps()
    elif what == "density":
        densities()
    else:
        peers = ("onnxruntime-bound",) if what == "peers" else ("numpy", "numpy-out", "numba")
        names = (*peers, "numba-simd", "numba-simd-sparse")
        two = ("numba-parallel", "numba-simd-parallel") if int(numba.get_num_threads()) > 1 else ()
        table(named(*names, *two), digits().inputs("float32", 10_000), BATCHES)
