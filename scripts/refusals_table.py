"""Counts how many honest processes were refused, by check: `python scripts/refusals_table.py RESULTS...`.

Each argument is a run, or a folder of runs, of honest kernels: every refusal in them is a false alarm. "Seen" are the
processes in which a check spoke against a kernel, "refused" those whose kernel lost a time for it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from mlpbench.bench.analysis.judge import PHASE, judge
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record.runs import Run


def count(run: Run) -> tuple[int, Counter[str], Counter[str]]:
    """Return the processes of a run with a time or a refusal; those in which each check spoke, and that lost a time."""
    seen, refused = Counter[str](), Counter[str]()
    measured = [record for record in run.records if record.cases or record.trust.refusals]
    for record in measured:
        seen.update({one.check for one in record.trust.refusals})
    for record in judge(run).records:
        refused.update({one.check for one in record.failures if one.phase == PHASE and one.check is not None})
    return len(measured), seen + (refused - seen), refused


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    processes, seen, refused = 0, Counter[str](), Counter[str]()
    for folder in parser.parse_args().results:
        heads = [folder] if (folder / "run.json").is_file() else [path.parent for path in folder.rglob("run.json")]
        try:
            found = [count(run) for head in sorted(heads) for run in runs.read_runs(head)]
        except UserError as error:
            parser.error(str(error))
        if not found:
            parser.error(f"{folder}: there is no run in it")
        for number, spoke, lost in found:
            processes += number
            seen += spoke
            refused += lost
    print(f"{processes} processes")
    print("| check | seen | refused |\n| --- | ---: | ---: |")
    for check in sorted(seen | refused):
        print(f"| `{check}` | {seen[check]} | {refused[check]} |")
    print(f"| any | | {sum(refused.values())} |")


if __name__ == "__main__":
    main()
