"""A ratio to the best peer and a share of the peak, from the files of the latest sweep of the profile `limits`.

These lines take every repeat; where some were disturbed, mlpbench leaves them out. pandas' median of an even number is
the mean of the middle two, mlpbench's the geometric mean.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

sweep = max(Path("results").glob("*/*/run.json"), key=lambda file: file.parent.name).parent
setting = sweep / "784-50-100-10_threads-1"

rows = []
for file in sorted(setting.glob("*.*.json")):
    content = json.loads(file.read_text())
    info, repeat = content["mlpbench"]["kernel_info"], content["mlpbench"]["repeat"]
    for case in content["benchmarks"]:
        facts = case["extra_info"]
        seconds = np.quantile(case["stats"]["data"], 0.1) / facts["rows_per_round_call"]
        if facts["mode"] == "batched":
            rows.append((facts["kernel"], info["peer"], info["returns"], facts["batch_size"], repeat, seconds))
columns = ["kernel", "peer", "returns", "batch_size", "repeat", "sample_s"]
all_times = pd.DataFrame(rows, columns=columns).set_index("repeat")
times = all_times[all_times["batch_size"] == 1]
largest = all_times[(all_times["kernel"] == "numba-simd") & (all_times["batch_size"] == 10_000)]

ours = times[times["kernel"] == "numba-simd"]
peers = times[times["peer"] & (times["returns"] == ours["returns"].iloc[0])]
best = peers.groupby("kernel")["sample_s"].median().idxmin()
ratios = peers[peers["kernel"] == best]["sample_s"] / ours["sample_s"]  # paired: one for each repeat
print(f"{best} takes {ratios.median():.2f} times as long as numba-simd")

peaks = {}  # FLOP/s of one thread by repeat: of the median round, not of the best
for file in setting.glob("roofs-*.json"):
    content = json.loads(file.read_text())["mlpbench"]
    for entry in content["roofs"]["measured"]:
        if (entry["name"], entry["threads"]) == ("multiply-add", 1):
            peaks[content["repeat"]] = entry["work"] / np.median(entry["data"])

sizes = [784, 50, 100, 10]
flop = 2 * sum(a * b for a, b in pairwise(sizes)) + sum(sizes[1:])
shares = flop / largest["sample_s"] / pd.Series(peaks)  # paired, too
print(f"{shares.median():.0%} of the multiply-add peak")
