"""The block ``trust`` with known answers: a machine that is quiet, until a test says what happens to it."""

import msgspec
from msgspec.structs import replace

from mlpbench.bench.record.schema import Timing
from mlpbench.bench.record.trust import Trust
from support import simulate

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 2e-6}
AT = ("batched", 100)


def block(**changes):
    """Return the block of one process on a quiet machine."""
    return {"look": {"name": "wide"}, "call_costs_s": {"per_sample": 23e-9, "batched": 79e-9}, **changes}


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


def write(folder, blocks, times=TIMES, kernel="numpy", repeats=None, **settings):
    """Write and read a run in which repeats of a kernel have these blocks, by default one each.

    None leaves the block out, as older versions did.
    """
    folder = simulate.write_run(folder, times, repeats or len(blocks), noise=0, **settings)
    for repeat, trust in enumerate(blocks):
        if trust is not None:
            with simulate.edited(folder / f"{kernel}.{repeat}.json") as content:
                content["mlpbench"]["trust"] = trust
    return simulate.read(folder)


def timing(data, looks, iterations=10, waits_s=()):
    """Return a case whose rounds took ``data`` seconds a call, beside pairs of looks in µs, and waits of threads."""
    content = {"kernel": "numpy", "mode": AT[0], "batch_size": AT[1], "rows_per_round_call": AT[1]}
    content |= {"looks_ns": [[round(1000 * one) for one in pair] for pair in looks], "iterations": iterations}
    return msgspec.convert({**content, "waits_ns": [round(1e9 * s) for s in waits_s], "rounds_s": data}, Timing)


class Process:
    """What `taken` reads of a record."""

    kernel, device, device_times = "numpy", "cpu", None

    def __init__(self, *cases, name="wide", processors=1, best_ns=None):
        look = {"name": name, "best_ns": [] if best_ns is None else [[processors, best_ns]]}
        self.cases = tuple(replace(case, look_processors=processors) for case in cases)
        self.trust = msgspec.convert(block(look=look), Trust)


def rounds(*groups):
    """Return data and looks of groups of rounds: (how many, seconds for a call, looks in µs before and after)."""
    data = [seconds for number, seconds, _ in groups for _ in range(number)]
    return data, [pair for number, _, pair in groups for _ in range(number)]
