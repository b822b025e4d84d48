"""Parts that ask how fast it is: roofs, the timer against itself, every variant in every size, and a run to be kept."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from acceptance.told import FAIL, INFO, OK, ROOT, Asked, judge, ran, say, variants
from mlpbench.bench.cases import Case
from mlpbench.bench.clock import now
from mlpbench.bench.machine import cuda_roofs
from mlpbench.bench.measure import device
from mlpbench.bench.record.device import DeviceCase
from mlpbench.kernels import registry
from mlpbench.kernels.cuda.queue import Queue
from mlpbench.kernels.reference import seeded

if TYPE_CHECKING:
    from mlpbench.kernels.base import Kernel

#: What a card is sold with (NVIDIA's data sheets), by a word of its name: memory in GB/s; TFLOP/s in fp32, tf32 and
#: fp16, without sparsity.
SOLD = {
    "H100 PCIe": (2039, 51, 378, 756),
    "H100": (3350, 67, 495, 989),
    "H200": (4800, 67, 495, 989),
    "B200": (8000, 75, 1100, 2250),
    "A100-SXM4-80GB": (2039, 19.5, 156, 312),
    "A100": (1555, 19.5, 156, 312),
    "L40S": (864, 91.6, 183, 362),
    "L4": (300, 30.3, 60, 121),
    "T4": (320, 8.1, None, 65),
    "V100": (900, 15.7, None, 125),
    "RTX 4090": (1008, 82.6, 82.6, 165),
}
#: A roof may be this share of what is sold, from and to: clocks are raised, and lowered.
NEAR = (0.6, 1.15)
#: Known lengths of a held stream, and how far the clock of events may be off: a share, and seconds.
SPINS_S, OFF_SHARE, OFF_S = (5e-4, 2e-3, 8e-3), 0.02, 2e-5
#: Two measurements of one thing may differ by this share.
SAME = 0.05
#: A call whose latency is under this share of its time on the device did not wait for it.
UNWAITED = 0.5
#: The kernels of the run, beside NumPy: each of them is started several times.
RUN = ("cupy", "cupy-fused", "cupy-fused-3xtf32", "cupy-fused-u8", "cupy-fused-graph")
#: What is hoped for (to be confirmed or refuted): of the binding roof; of the floor of a launch; of the link.
PREDICTED_ROOF, PREDICTED_FLOOR, PREDICTED_LINK = 0.8, 1.3, 0.8


def roofs(asked: Asked) -> None:
    """Measure the card's limits, beside what it is sold with."""
    found = cuda_roofs.measure("float32", 0.2)
    (asked.out / "roofs.json").write_bytes(msgspec.json.format(msgspec.json.encode(found.as_dict())))
    name = found.facts["device_name"] or ""
    sold = next((numbers for word, numbers in SOLD.items() if word in name), None)
    rates = rates_of(asked)
    for what, rate in sorted(rates.items()):
        say(INFO, f"roofs: {what} {rate:.4g} a second")
    if sold is None:
        say(INFO, f"roofs: what {name} is sold with is not in the list")
        return
    for what, number, unit in zip(("DRAM", "fp32", "tf32", "fp16"), sold, (1e9, 1e12, 1e12, 1e12), strict=True):
        if number and what in rates:
            share = rates[what] / (number * unit)
            judge(NEAR[0] <= share <= NEAR[1], f"roofs: {what} is {share:.0%} of what the card is sold with")


def rates_of(asked: Asked) -> dict[str, float]:
    """Return the best of each roof that was measured: FLOP/s by arithmetic, bytes, launches or copies a second."""
    rates: dict[str, float] = {}
    for one in json.loads((asked.out / "roofs.json").read_text(encoding="utf-8"))["measured"]:
        name = one.get("arithmetic") or one["name"]
        rates[name] = max(rates.get(name, 0.0), one["work"] / min(one["data"]))
    return rates


def timer(asked: Asked) -> None:
    """Hold the timer against what it must find: a known length, the same twice, and a wait that is missing."""
    kernel = registry.load("cupy-fused")(asked.spec, seeded(asked.spec))
    queue = Queue(int(kernel.stream() or 0))
    for length in SPINS_S:
        queue.mark(0)
        queue.hold(length)
        queue.mark(1)
        queue.wait()
        took = queue.between_s(0, 1)
        is_right = queue.gave_up and abs(took - length) <= OFF_SHARE * length + OFF_S
        judge(is_right, f"timer: a stream held for {1e3 * length:g} ms is seen held for {1e3 * took:.4g} ms")
    x = _inputs(kernel, max(asked.sizes))
    pair = [_case(kernel, max(asked.sizes), x) for _ in range(2)]
    colds = [one.times["cold"].p50_s for one in pair if "cold" in one.times]
    if len(colds) < 2:
        say(FAIL, f"timer: no time on the device: {pair[0].lost['cold'].reason}")
        return
    judge(abs(colds[0] / colds[1] - 1) <= SAME, f"timer: the same twice differs by {abs(colds[0] / colds[1] - 1):.2%}")
    for waits in (True, False):
        latency_s = _latency_s(kernel, x, waits=waits)
        called = latency_s < UNWAITED * colds[0]
        words = f"{1e6 * latency_s:.4g} us of {1e6 * colds[0]:.4g} us on the device"
        judge(called != waits, f"timer: a call {'with' if waits else 'without'} its wait takes {words}")


def _latency_s(kernel: Kernel, x: np.ndarray, *, waits: bool) -> float:
    """Return the least seconds of a call, with its wait or, planted, without."""
    there, found = kernel.from_host(x), []
    for _ in range(20):
        began = now()
        y = kernel.forward(there)
        if waits:
            kernel.synchronize(y)
        found.append(now() - began)
        kernel.synchronize(y)
    return min(found)


def _inputs(kernel: Kernel, rows: int) -> np.ndarray:
    return kernel.nearest(np.random.default_rng(rows).random((rows, kernel.spec.n_in), np.float32))


def _case(kernel: Kernel, rows: int, x: np.ndarray) -> DeviceCase:
    sampler = device.Sampler(device.Rule(timeout_s=0.15), lambda: False)
    return device.of_case(kernel, Case("batched", rows), x, sampler)


def table(asked: Asked) -> None:
    """Time every variant in every size; write a table of percentiles and of the share of the binding roof."""
    rates, kept = rates_of(asked), []
    lines = ["| kernel | rows | host p50 us | cold p50 us | cold p99 us | hot us | graph us | of the roof | bound by |"]
    lines.append("|" + " --- |" * 9)
    for name, kernel_class in variants(asked):
        kernel = kernel_class(asked.spec, seeded(asked.spec))
        for rows in asked.sizes:
            found = _case(kernel, rows, _inputs(kernel, rows))
            kept.append({"kernel": name, **msgspec.to_builtins(found)})
            roof_s, bound = _binding(kernel, rows, rates)
            cold = found.times.get("cold")
            cells = [
                _us(found, *one) for one in (("latency", 50), ("cold", 50), ("cold", 99), ("hot", 50), ("graph", 50))
            ]
            share = f"{roof_s / cold.p50_s:.0%}" if cold else "-"
            lines.append(f"| {name} | {rows:,} | {' | '.join(cells)} | {share} | {bound} |")
    (asked.out / "cases.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    (asked.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in lines:
        say(INFO, line)
    timed = sum("cold" in one["times"] for one in kept)
    judge(bool(timed), f"table: {timed} of {len(kept)} cases have a time on the device")
    predictions(asked, kept, rates)


def _us(found: DeviceCase, measure: str, percentile: int) -> str:
    spread = found.times.get(measure)
    return f"{1e6 * getattr(spread, f'p{percentile}_s'):.4g}" if spread else "-"


def _binding(kernel: Kernel, rows: int, rates: dict[str, float]) -> tuple[float, str]:
    """Return the least seconds that arithmetic and memory need for a call, and which of both binds."""
    spec = kernel.spec
    item = 1 if kernel.describe().get("input_dtype") == "uint8" else spec.np_dtype.itemsize
    moved = rows * (spec.n_in * item + spec.n_out * spec.np_dtype.itemsize)
    flop = 2 * rows * sum(n_in * n_out for n_in, n_out in spec.layers)
    arithmetic = "fp32" if kernel.arithmetic == "dtype" else kernel.arithmetic
    peak = rates.get("tf32", 0.0) / 3 if arithmetic == "3xtf32" else rates.get(arithmetic, 0.0)
    of = {"memory": moved / rates["DRAM"], arithmetic: flop / peak if peak else 0.0}
    bound = max(of, key=lambda name: of[name])
    return of[bound], bound


def predictions(asked: Asked, kept: list[dict[str, Any]], rates: dict[str, float]) -> None:
    """Say which predictions are confirmed. They fail nothing: nobody has seen a card yet."""
    times = {(one["kernel"], one["batch_size"]): one["times"] for one in kept}
    largest, smallest = max(asked.sizes), min(asked.sizes)
    cold = times.get(("cupy-fused", largest), {}).get("cold")
    if cold:
        kernel = registry.load("cupy-fused")(asked.spec, seeded(asked.spec))
        share = _binding(kernel, largest, rates)[0] / cold["p50_s"]
        _predicted(share >= PREDICTED_ROOF, f"fp32 reaches {share:.0%} of the binding roof ({PREDICTED_ROOF:.0%})")
    graph, floor = times.get(("cupy-fused", smallest), {}).get("graph"), rates.get("launch and wait")
    if graph and floor:
        ratio = graph["p50_s"] * floor
        _predicted(
            ratio <= PREDICTED_FLOOR, f"a replay of {smallest} takes {ratio:.2f} launch floors ({PREDICTED_FLOOR})"
        )
    whole, link = times.get(("cupy-fused", largest), {}).get("overlapped"), rates.get("host to device")
    if whole and link:
        share = largest * 4 * asked.spec.n_in / whole["p50_s"] / link
        _predicted(share >= PREDICTED_LINK, f"end to end runs at {share:.0%} of the link ({PREDICTED_LINK:.0%})")


def _predicted(is_confirmed: bool, words: str) -> None:
    say(INFO, f"predicted: {words}: {'confirmed' if is_confirmed else 'refuted'}")


def run(asked: Asked) -> None:
    """Make a run as users do, in the folder that is to be committed."""
    names = ["numpy", *(name for name, _ in variants(asked) if name in RUN)]
    words = [
        "run",
        *names,
        "--profile",
        asked.profile,
        "--spec",
        asked.spec.label(),
        "--out",
        str(asked.out / "results"),
    ]
    made = ran([sys.executable, "-m", "mlpbench", *words], asked, cwd=ROOT)
    (asked.out / "run.log").write_text(made.stdout + made.stderr, encoding="utf-8")
    judge(made.returncode == 0, f"run: {', '.join(names)}: {(made.stderr.strip() or 'done').splitlines()[-1]}")
    say(OK if (asked.out / "results").is_dir() else FAIL, f"run: its records are in {asked.out / 'results'}")
