"""The block ``trust`` with known answers: a machine that is quiet, until a test says what happens to it."""

import msgspec
import numpy as np
from msgspec.structs import replace

from mlpbench.bench.record.schema import Timing
from mlpbench.bench.record.trust import Trust
from support import simulate

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 2e-6}
CASES = [("per_sample", 100), ("batched", 100)]
SPIN_S = 600e-6
AT = ("batched", 100)
INSTRUCTIONS = 2_400_000  # 4 GHz


def self_test(errors=None, noise=0.0, seed=0):
    """Return the harness's own rows: 23 ns and 79 ns a call, and spins that are off by ``errors`` at some lengths.

    Each round is slowed by an exponential factor of mean ``noise``, as other load does; never made faster.
    """
    rng = np.random.default_rng(seed)
    rows = [("per_sample", 0, 100, 2.3e-6), ("batched", 0, 1, 79e-9)]
    rows += [("spin", n, 1, n * SPIN_S * (1 + (errors or {}).get(n, 0.0))) for n in (1, 2, 4)]

    def rounds(time):
        return [time * float(1 + rng.exponential(noise)) if noise else time for _ in range(15)]

    return [
        {"mode": mode, "length": length, "calls": calls, "iterations": 1, "rounds_s": rounds(time)}
        for mode, length, calls, time in rows
    ]


def block(**changes):
    """Return the block of one process."""
    quiet = {
        "spin": {"name": "llvm-xorshift64", "instructions": INSTRUCTIONS},
        "look": {"name": "wide"},
        "cpus": 2,
        "self_test": self_test(),
        "clock": {"clock_s": 3.0, "raw_s": 3.0},
    }
    return quiet | changes


def disturb(folder, hits):
    """Make some cases slow, beside looks that say so: ``hits`` are (kernel, repeat, mode, batch size). Read the run."""
    for path in folder.glob("*.*.json"):
        with simulate.edited(path) as content:
            kernel, repeat = path.name.split(".")[0], content["mlpbench"]["repeat"]
            for case in content["benchmarks"]:
                hit = (kernel, repeat, case["params"]["mode"], case["params"]["batch_size"]) in hits
                case["stats"]["data"] = [seconds * (1.7 if hit else 1) for seconds in case["stats"]["data"]]
                looks = [[50_000 if hit else 25_000] * 2] * len(case["stats"]["data"])
                case["extra_info"] |= {"looks_ns": looks, "look_processors": 1}
            content["mlpbench"]["trust"] = block()
    return simulate.read(folder)


def write_disturbed(folder, *disturbed, **settings):
    """Write and read a run of one repeat for each of ``disturbed``: the cases that something disturbed in it."""
    written = simulate.write_run(folder, TIMES, repeats=len(disturbed), noise=0, **settings)
    return disturb(written, {("numpy", repeat, *case) for repeat, cases in enumerate(disturbed) for case in cases})


def write(folder, blocks, **settings):
    """Write and read a run of one repeat for each block; None leaves the block out, as older versions did."""
    folder = simulate.write_run(folder, TIMES, repeats=len(blocks), noise=0, **settings)
    for repeat, trust in enumerate(blocks):
        if trust is not None:
            with simulate.edited(folder / f"numpy.{repeat}.json") as content:
                content["mlpbench"]["trust"] = trust
    return simulate.read(folder)


def timing(data, looks, iterations=10, waits_s=()):
    """Return a case whose rounds took ``data`` seconds for a call, beside pairs of looks in µs.

    ``waits_s``: for how long of each round its threads waited.
    """
    info = {"kernel": "numpy", "mode": AT[0], "batch_size": AT[1], "rows_per_round_call": AT[1]}
    looks = [[round(1000 * one) for one in pair] for pair in looks]
    content = {
        **info,
        "looks_ns": looks,
        "waits_ns": [round(1e9 * s) for s in waits_s],
        "iterations": iterations,
        "rounds_s": data,
    }
    return msgspec.convert(content, Timing)


class Process:
    """What `taken` reads of a record."""

    kernel, device, device_times = "numpy", "cpu", None

    def __init__(self, *cases, name="wide", processors=1, best_ns=None):
        look = {"name": name, "processors": processors, "best_ns": best_ns}
        self.cases = tuple(replace(case, look_processors=processors) for case in cases)
        self.trust = msgspec.convert(block(look=look), Trust)


def rounds(*groups):
    """Return data and looks of groups of rounds: (how many, seconds for a call, looks in µs before and after)."""
    data = [seconds for number, seconds, _ in groups for _ in range(number)]
    return data, [pair for number, _, pair in groups for _ in range(number)]
