"""Parts that ask how fast it is: roofs, the timer against itself, every variant in every size, and a run to be kept."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from acceptance.told import FAIL, INFO, LEAST_S, OK, ROOT, Asked, each, judge, last, made_up, ran, say, variants
from mlpbench.bench.cases import Case
from mlpbench.bench.clock import now
from mlpbench.bench.machine.card import Card
from mlpbench.bench.record.device import DeviceCase
from mlpbench.bench.wings.gpu import measurement
from mlpbench.bench.wings.gpu import roofs as cuda_roofs
from mlpbench.kernels import registry
from mlpbench.kernels.cuda.queue import Queue
from mlpbench.kernels.reference import seeded

if TYPE_CHECKING:
    from mlpbench.kernels.base import Kernel

#: Columns of the table: head, measurement, percentile.
COLUMNS = (
    ("host", "latency", 50),
    ("host", "latency", 99),
    ("cold", "cold", 50),
    ("cold", "cold", 99),
    ("hot", "hot", 50),
    ("graph", "graph", 50),
    ("graph", "graph", 99),
    ("end to end", "end_to_end", 50),
    ("overlapped", "overlapped", 50),
)
#: What is found of each case, one a line.
CASES = "cases.jsonl"
#: What a card is sold with (NVIDIA's data sheets), by words of its name: memory in GB/s; TFLOP/s in fp32, tf32 and
#: fp16, without sparsity.
SOLD = {
    "H100 PCIe": (2039, 51, 378, 756),
    "H100": (3350, 67, 495, 989),
    "H200": (4800, 67, 495, 989),
    "GH200": (4000, 67, 495, 989),
    "B200": (8000, 75, 1100, 2250),
    "A100-SXM4-80GB": (2039, 19.5, 156, 312),
    "A100 80GB PCIe": (1935, 19.5, 156, 312),
    "A100": (1555, 19.5, 156, 312),
    "L40S": (864, 91.6, 183, 362),
    "L4": (300, 30.3, 60, 121),
    "T4": (320, 8.1, None, 65),
    "V100": (900, 15.7, None, 125),
    "A10": (600, 31.2, 62.5, 125),
    "P100": (732, 9.3, None, None),
    "RTX 3090": (936, 35.6, 35.6, 71),
    "RTX 4090": (1008, 82.6, 82.6, 165),
    "RTX 5090": (1792, 104.8, 104.8, 209),
}
#: A roof may be this share of what is sold, from and to: clocks are raised, and lowered. A power cap explains less.
NEAR = (0.5, 1.15)
#: Known lengths of a held stream, and how far the clock of events may be off: a share, and seconds.
SPINS_S, OFF_SHARE, OFF_S = (5e-4, 2e-3, 8e-3), 0.02, 2e-5
#: Rows of the timer's calls: they keep a card far longer than it takes to begin them.
TIMER_ROWS = 200_000
#: Two measurements of one thing may differ by this share.
SAME = 0.05
#: A call whose latency is under this share of its time on the device did not wait for it.
UNWAITED = 0.5
#: Rows at which one program may take over from another.
CROSSING = (17, 1024, 2048, 4096, 8192, 16384, 32768)
#: The kernels of the run, beside NumPy: each of them is started several times.
RUN = ("cupy", "cupy-fused", "cupy-fused-3xtf32", "cupy-fused-u8", "cupy-fused-graph")
#: Of its time, what the run is told to spend.
RUN_SHARE = 0.6
#: Those of which transfers are timed too, in the table.
MOVED = ("cupy", "cupy-fused", "cupy-fused-u8")


def roofs(asked: Asked) -> None:
    """Measure the card's limits, beside what it is sold with."""
    found = cuda_roofs.measure("float32", 0.2)
    card = Card.of(found.facts.get("device_uuid"))
    card.is_throttled()
    is_capped = "power cap" in card.facts().slowed
    (asked.out / "roofs.json").write_bytes(msgspec.json.format(msgspec.json.encode(found.as_dict())))
    name = found.facts["device_name"] or ""
    sold = sold_with(name)
    rates = rates_of(asked)
    for what, rate in sorted(rates.items()):
        say(INFO, f"roofs: {what} {rate:.4g} a second")
    if sold is None:
        say(INFO, f"roofs: what {name} is sold with is not in the list")
        return
    for what, number, unit in zip(("DRAM", "fp32", "tf32", "fp16"), sold, (1e9, 1e12, 1e12, 1e12), strict=True):
        if number and what in rates:
            share = rates[what] / (number * unit)
            words = f"roofs: {what} is {share:.0%} of what the card is sold with"
            if share < NEAR[0] and is_capped:
                say(INFO, f"{words}: its power is capped")
            else:
                judge(NEAR[0] <= share <= NEAR[1], words)


def sold_with(name: str) -> tuple[float | None, ...] | None:
    """Return the numbers of `SOLD` for the name of a card; None for one that is not in it, and for a slice of one."""
    if "MIG" in name.split():
        return None
    return next((numbers for words, numbers in SOLD.items() if re.search(rf"\b{words}\b", name)), None)


def rates_of(asked: Asked) -> dict[str, float]:
    """Return the best of each roof that was measured: FLOP/s by arithmetic, bytes, launches or copies a second.

    Without any where they could not be measured.
    """
    rates: dict[str, float] = {}
    kept = asked.out / "roofs.json"
    for one in json.loads(kept.read_text(encoding="utf-8"))["measured"] if kept.exists() else ():
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
    rows = min(TIMER_ROWS, max(asked.sizes))
    x = kernel.nearest(made_up(asked.spec, rows))
    pair = [_case(kernel, rows, x) for _ in range(2)]
    lost = [one.lost["cold"] for one in pair if "cold" in one.lost]
    if lost:
        say(FAIL, f"timer: no time on the device: {lost[0]}")
        return
    colds = [one.times["cold"].seconds["p50"] for one in pair]
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


def _case(kernel: Kernel, rows: int, x: np.ndarray, *, moves: bool = False) -> DeviceCase:
    sampler = measurement.Sampler(lambda: False, timeout_s=0.15)
    return measurement.measure_case(kernel, Case("batched", rows), x, sampler, moves=moves)


def table(asked: Asked) -> None:
    """Time every variant in every size; write a table of percentiles and of the share of the binding roof.

    Each size has a process of its own. What it found is kept, also where its time is over.
    """
    (asked.out / CASES).write_text("", encoding="utf-8")
    for done, rows in enumerate(asked.sizes):
        # A size ten times as large takes longer, and the last one longest.
        seconds = (asked.left_s() - LEAST_S) / (1 + (len(asked.sizes) - 1 - done) / 2)
        timed = ran(asked.words("timed", sizes=str(rows), seconds=f"{seconds:.0f}"), seconds)
        for line in timed.stdout.splitlines():
            print(line, flush=True)
        if timed.returncode:
            say(FAIL, f"table: {rows:,} rows ended with status {timed.returncode}: {last(timed.stderr)}")
    kept = [json.loads(line) for line in (asked.out / CASES).read_text(encoding="utf-8").splitlines()]
    heads = ["kernel", "rows", *(f"{head} p{percentile} us" for head, _, percentile in COLUMNS)]
    lines = [f"| {' | '.join(heads)} | of the roof | bound by |", "|" + " --- |" * (len(heads) + 2)]
    for one in sorted(kept, key=lambda one: registry.names().index(one["kernel"])):
        share = f"{one['roof_s'] / one['times']['cold']['seconds']['p50']:.0%}" if _is_bound(one) else "-"
        cells = [_us(one, measure, percentile) for _, measure, percentile in COLUMNS]
        lines.append(f"| {one['kernel']} | {one['batch_size']:,} | {' | '.join(cells)} | {share} | {one['bound']} |")
    (asked.out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in lines:
        say(INFO, line)
    timed_ones = sum("cold" in one["times"] for one in kept)
    judge(bool(timed_ones), f"table: {timed_ones} of {len(kept)} cases have a time on the device")


def timed(asked: Asked) -> None:
    """Time every variant in one size; add a line to `CASES` for each."""
    (rows,) = asked.sizes
    x, rates = made_up(asked.spec, rows), rates_of(asked)

    def time_one(name: str, kernel_class: type[Kernel]) -> None:
        kernel = kernel_class(asked.spec, seeded(asked.spec))
        inputs = kernel.nearest(x)
        found = _case(kernel, rows, inputs, moves=name in MOVED)
        roof_s, bound = _binding(kernel, rows, rates)
        with (asked.out / CASES).open("a", encoding="utf-8") as cases:
            told = {"kernel": name, "rows": rows, "roof_s": roof_s, "bound": bound, **msgspec.to_builtins(found)}
            cases.write(json.dumps(told) + "\n")
        kernel.to_host(kernel.from_host(inputs[:1]))  # raises where the device is lost

    each(asked, "timed", time_one)


def _is_bound(one: dict[str, Any]) -> bool:
    return bool(one["roof_s"]) and "cold" in one["times"]


def _us(one: dict[str, Any], measure: str, percentile: int) -> str:
    spread = one["times"].get(measure)
    return f"{1e6 * spread['seconds'][f'p{percentile}']:.4g}" if spread else "-"


def _binding(kernel: Kernel, rows: int, rates: dict[str, float]) -> tuple[float, str]:
    """Return the least seconds that arithmetic and memory need for a call, and which of both binds."""
    spec = kernel.spec
    item = 1 if kernel.describe().input_dtype == "uint8" else spec.np_dtype.itemsize
    moved = rows * (spec.n_in * item + spec.n_out * spec.np_dtype.itemsize)
    flop = 2 * rows * sum(n_in * n_out for n_in, n_out in spec.layers)
    arithmetic = "fp32" if kernel.arithmetic == "dtype" else kernel.arithmetic
    peak = rates.get("tf32", 0.0) / 3 if arithmetic == "3xtf32" else rates.get(arithmetic, 0.0)
    known = {"memory": (moved, rates.get("DRAM", 0.0)), arithmetic: (flop, peak)}
    of = {name: work / rate for name, (work, rate) in known.items() if rate}
    bound = max(of, key=lambda name: of[name], default="-")
    return of.get(bound, 0.0), bound


def thresholds(asked: Asked) -> None:
    """Time each program of the fused kernels at the sizes around which one takes over from the other."""

    def time_one(name: str, kernel_class: type[Kernel]) -> None:
        kernel: Any = kernel_class(asked.spec, seeded(asked.spec))
        chosen, most = kernel._programs, max(asked.sizes)  # noqa: SLF001 - what nobody else needs to choose
        for rows in (size for size in CROSSING if size <= most):
            x, took = kernel.nearest(made_up(asked.spec, rows)), {}
            for program in chosen[1:] if len(chosen) > 2 else chosen:
                kernel._programs = (replace(program, up_to=None),)  # noqa: SLF001
                kernel._launches.clear()  # noqa: SLF001
                times = _case(kernel, rows, x).times
                if "cold" in times:
                    took[f"{program.rows_per_block} rows a block"] = times["cold"].seconds["p50"]
            own = next(one for one in chosen if one.up_to is None or rows <= one.up_to).rows_per_block
            told = ", ".join(f"{words} {1e6 * seconds:.4g} us" for words, seconds in took.items())
            best = min(took, key=lambda words: took[words], default="nothing was timed")
            say(INFO, f"thresholds: {name}, {rows:,} rows: {told}; the fastest has {best}, chosen {own} rows a block")

    each(replace(asked, variants=("cupy-fused", "cupy-fused-3xtf32")), "thresholds", time_one)


def run(asked: Asked) -> None:
    """Make a run as users do, in the folder that is to be committed."""
    names = ["numpy", *(name for name, _ in variants(asked) if name in RUN)]
    results = asked.out / "results"
    # The budget is for timing; a run also starts, measures the limits, and writes.
    options = {"profile": asked.profile, "spec": asked.spec.label(), "results": str(results)}
    if asked.profile != "smoke":
        options["budget"] = f"{max(10.0, RUN_SHARE * asked.left_s()):.0f}s"
    words = ["run", *names, *(word for name, value in options.items() for word in (f"--{name}", value))]
    made = ran([sys.executable, "-m", "mlpbench", *words], asked.left_s() - LEAST_S, cwd=ROOT)
    (asked.out / "run.log").write_text(made.stdout + made.stderr, encoding="utf-8")
    judge(made.returncode == 0, f"run: {', '.join(names)}: {last(made.stderr, 'done')}")
    say(OK if results.is_dir() else FAIL, f"run: its records are in {results}")
