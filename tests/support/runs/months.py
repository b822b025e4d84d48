"""Runs of months on one machine, with a change for good that is known."""

import copy

import numpy as np

from support import simulate, trusting

TIMES = simulate.by_case(numpy={"one": 2e-5, 100: 2e-6}, numba={"one": 6e-6, 100: 6e-7})
ALONE = trusting.block()


def write(folder, runs, change=None, factor=1.08, **block):
    """Write so many runs; return them. From ``change`` on numpy is another one, and takes ``factor`` times as long."""
    rng, written = np.random.default_rng(0), []
    for number in range(runs):
        changed = change is not None and number >= change
        environment = copy.deepcopy(simulate.ENVIRONMENT)
        environment["libraries"]["numpy"] = "2.5.0" if changed else "2.4.6"
        level = float(np.exp(rng.normal(0, 0.004)))
        times = {
            case: time * level * (factor if changed and case[0] == "numpy" else 1.0) for case, time in TIMES.items()
        }
        facts = {"noise": 0.004, "environment": environment, "trust": ALONE, **block}
        written.append(simulate.write_run(folder, times, seed=number, **facts))
    return written
