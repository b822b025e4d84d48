"""Print which share of a run's wall time was timed rounds: ``python scripts/timed_share.py RUN``."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import read_run, resolve
from mlpbench.bench.record.schema import Record


def rounds_s(record: Record) -> float:
    """Return the seconds of all timed rounds of a process."""
    return sum(sum(case.rounds_s) * case.iterations for case in record.cases)


def main(name: str) -> None:
    """Print the share of a run, and the seconds of rounds of each kernel."""
    run = read_run(resolve(name, Path("results")))
    if run.plan is None or run.ending is None or run.plan.started is None or run.ending.ended is None:
        raise UserError(f"{name}: the run has not ended")
    wall_s = (datetime.fromisoformat(run.ending.ended) - datetime.fromisoformat(run.plan.started)).total_seconds()
    timed = Counter[str]()
    for record in run.records:
        timed[record.kernel] += rounds_s(record)
    print(f"{sum(timed.values()):.1f} s of {wall_s:.0f} s are timed rounds: {sum(timed.values()) / wall_s:.0%}")
    for kernel, seconds in timed.items():
        print(f"{kernel:24} {seconds:.1f} s in {sum(record.kernel == kernel for record in run.records)} processes")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "latest")
    except UserError as error:
        sys.exit(f"{error}")
