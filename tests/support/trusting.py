"""The block ``trust`` with known answers: a machine that is quiet, until a test says what happens to it."""

import msgspec
import numpy as np
from msgspec.structs import replace

from mlpbench.bench.record import runs
from mlpbench.bench.record.schema import Timing
from mlpbench.bench.record.trust import Trust
from support import simulate

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 2e-6}
CASES = [("per_sample", 100), ("batched", 100)]
SPIN_S = 600e-6
AT = ("batched", 100)
INSTRUCTIONS = 2_400_000  # 4 GHz


def window(mode="batched", batch_size=100, slower=1.0, **changes):
    """Return one window of half a second; ``slower`` stretches the spins around it."""
    quiet = {
        "mode": mode,
        "batch_size": batch_size,
        "waits": False,
        "spins_before_s": [SPIN_S * slower] * 7,
        "spins_after_s": [SPIN_S * slower] * 7,
        **dict.fromkeys(("wall_s", "process_s", "thread_s", "raw_s"), 0.5),
        "tasks": 2,
        "run_delay_s": 0.001,
        "involuntary": 5,
        "voluntary": 1,
        "steal_s": 0.0,
        "throttled_s": 0.0,
        "hot": None,
        "began_utc_s": None,
    }
    assert changes.keys() <= quiet.keys()
    return quiet | changes


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


def block(*windows, **changes):
    """Return the block of one process; without windows, of one quiet case."""
    quiet = {
        "spin": {"name": "llvm-xorshift64", "instructions": INSTRUCTIONS},
        "cpus": 2,
        "windows": list(windows) or [window()],
        "self_test": self_test(),
        "clock": {"clock_s": 3.0, "raw_s": 3.0},
        "disturbed": [],
    }
    return quiet | changes


def quiet(**changes):
    """Return the block of a process whose two cases nothing disturbed."""
    return block(*(window(*case) for case in CASES), **changes)


def hit(**changes):
    """Return the block of a process that ``changes`` befell in the second of its cases."""
    return block(window(*CASES[0]), window(*CASES[1], **changes))


def write(folder, blocks, **settings):
    """Write and read a run of one repeat for each block; None leaves the block out, as older versions did."""
    folder = simulate.write_run(folder, TIMES, repeats=len(blocks), noise=0, **settings)
    for repeat, trust in enumerate(blocks):
        if trust is not None:
            with simulate.edited(folder / f"numpy.{repeat}.json") as content:
                content["mlpbench"]["trust"] = trust
    return runs.read_run(folder)


def timing(data, looks, iterations=10):
    """Return a case whose rounds took ``data`` seconds for a call, beside pairs of looks in µs."""
    info = {"kernel": "numpy", "mode": AT[0], "batch_size": AT[1], "rows_per_round_call": AT[1]}
    looks = [[round(1000 * one) for one in pair] for pair in looks]
    content = {**info, "looks_ns": looks, "iterations": iterations, "rounds_s": data}
    return msgspec.convert(content, Timing)


class Process:
    """What `taken` reads of a record."""

    kernel = "numpy"
    device_times = None

    def __init__(self, *cases, name="wide", processors=1, best_ns=None, windows=()):
        look = {"name": name, "processors": processors, "best_ns": best_ns}
        self.cases = tuple(replace(case, look_processors=processors) for case in cases)
        self.trust = msgspec.convert(block(*windows, look=look), Trust)


def rounds(*groups):
    """Return data and looks of groups of rounds: (how many, seconds for a call, looks in µs before and after)."""
    data = [seconds for number, seconds, _ in groups for _ in range(number)]
    return data, [pair for number, _, pair in groups for _ in range(number)]
