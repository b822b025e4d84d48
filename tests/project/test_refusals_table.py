"""The script that counts false alarms: what it takes for a refusal, and of how many processes."""

import refusals_table

from mlpbench.bench.record import runs
from support import simulate

TIMES = {("numpy", "batched", 100): 2e-6, ("fast", "batched", 100): 1e-6}
TIMER = {"mode": "batched", "batch_size": 100, "check": "timer", "reason": "9 of 20 rounds are off"}
WRONG = {"mode": "batched", "batch_size": 100, "check": "values", "reason": "off by 0.7"}


def counted(folder, **refusals):
    folder = simulate.write_run(folder, TIMES, repeats=3, noise=0)
    for name, of_process in refusals.items():
        kernel, repeat = name.split("_")
        with simulate.edited(folder / f"{kernel}.{repeat}.json") as content:
            content["mlpbench"]["trust"] = {"refusals": of_process}
    return refusals_table.count(runs.read_run(folder))


def test_every_process_counts_once_for_each_check(tmp_path):
    assert counted(tmp_path / "none") == (6, {}, {})
    assert counted(tmp_path / "once", numpy_0=[TIMER, {**TIMER, "batch_size": 10}]) == (6, {"timer": 1}, {})
    assert counted(tmp_path / "twice", numpy_0=[TIMER], numpy_2=[TIMER]) == (6, {"timer": 3}, {"timer": 3})
    assert counted(tmp_path / "wrong", fast_1=[WRONG], numpy_0=[TIMER]) == (
        6,
        {"timer": 1, "values": 3},
        {"values": 3},
    )
