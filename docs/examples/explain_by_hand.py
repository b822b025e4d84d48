"""The parts of NumPy's speedup, its share of the roof, and its line, from the files of the latest run.

pandas' median of an even number is the mean of the middle two, mlpbench's the geometric mean.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

run = max(Path("results").glob("*/*/run.json"), key=lambda file: file.parent.name).parent
records = [json.loads(file.read_text()) for file in sorted(run.glob("numpy.*.json"))]


def seconds(rounds: list[float]) -> float:
    """Return the time of a repeat: the fastest tenth of its rounds."""
    return float(np.quantile(rounds, 0.1))


rows = []
for record in records:
    small = record["mlpbench"]["anatomy"]
    if small is None:  # later repeats spend their time on the cases
        continue
    calls, l1 = small["two_neurons"], small["in_l1"]
    in_l1_spec = l1["spec"]
    cases = [(c["extra_info"], c["stats"]["data"]) for c in record["benchmarks"]]
    times = {(info["mode"], info["batch_size"]): seconds(data) / info["batch_size"] for info, data in cases}
    rows.append(
        {
            "times": times,
            "one": times["per_sample", 100],
            "call": seconds(calls["one_s"]),
            "call_batch": seconds(calls["batch_s"]),
            "l1_one": seconds(l1["one_s"]),
            "l1_batch": seconds(l1["batch_s"]),
        }
    )
r = pd.DataFrame(rows)  # one row for each repeat
samples = pd.DataFrame([pd.Series(times)["batched"] for times in r["times"]]).median()  # seconds, by batch size
best = int(samples.idxmin())
r["batch"] = [times["batched", best] for times in r["times"]]

roofs = json.loads((run / "roofs.json").read_text())["mlpbench"]["devices"][0]  # the CPU's
rate = {m["name"]: m["work"] / min(m["data"]) for m in roofs["measured"] if m["threads"] == 1}
peak = max(rate["matrix product"], rate["multiply-add"])


def flop_and_bytes(spec: dict[str, Any]) -> tuple[int, int]:
    """Return the operations of a row, and the bytes of weights and biases."""
    weights = sum(a * b for a, b in pairwise(spec["sizes"]))
    biases = sum(spec["sizes"][1:])
    return 2 * weights + biases, (weights + biases) * np.dtype(spec["dtype"]).itemsize


flop, weight_bytes = flop_and_bytes(records[0]["mlpbench"]["spec"])
l1_flop, l1_bytes = flop_and_bytes(in_l1_spec)
level = next(
    (name for name, cache in (("L1", "L1d"), ("L2", "L2"), ("L3", "L3")) if weight_bytes <= roofs["caches"][cache]),
    "DRAM",
)

parts = pd.DataFrame(
    {
        "calls": r["call"] - r["call_batch"] / best,
        "weights": (weight_bytes / rate[level] - weight_bytes / rate["L1"]) * (1 - 1 / best),
        "arithmetic": (r["l1_one"] - r["call"])
        - (r["l1_batch"] - r["call_batch"] / 100)
        + max(0, (weight_bytes - l1_bytes) / rate["L1"] - (flop - l1_flop) / peak),
    }
)
parts["unexplained"] = r["one"] - r["batch"] - parts.sum(axis=1)
print((parts.median() * 1e6).round(2).to_dict(), "microseconds")

share = flop / peak / samples[best]  # of the arithmetic roof, on one thread
print(f"{share:.0%} of the peak of one thread in batches of {best}")

calls_s = (samples * samples.index).sort_index()  # seconds for one call, by batch size
B, t = calls_s.index.to_numpy(float), calls_s.to_numpy()
fit = least_squares(
    lambda u: (u[0] * t[0] + u[1] * B * t[-1] / B[-1]) / t - 1,
    [0.5, 0.5],
    bounds=([0, 0], np.inf),
    loss="soft_l1",
    f_scale=0.05,
    xtol=1e-12,
    ftol=1e-12,
    gtol=1e-12,
)
t0, r_inf = fit.x[0] * t[0], B[-1] / (fit.x[1] * t[-1])
print(f"t0 {t0 * 1e6:.1f} microseconds, r_inf {r_inf:,.0f} samples/s, n_half {t0 * r_inf:.1f} rows")
