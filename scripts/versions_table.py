"""How often `mlpbench compare RUN --by env` is wrong: copies of one environment, and a version that is 10 % slower.

``python scripts/versions_table.py`` makes six environments (it needs the package index), four with version 1 of a small
kernel package and two with version 2, which spins for a tenth of its time. It measures all of them in one run of 20
repeats, a quarter of an hour on a quiet machine, and prints two rows of the table of
docs/compare-versions.md. ``--run FOLDER`` judges a run that is there already.
"""

import argparse
import sys
import tempfile
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement

from mlpbench.bench.analysis.compare import Comparison, compare
from mlpbench.bench.analysis.sides import Side, by_axis
from mlpbench.bench.cli import app
from mlpbench.bench.cli.progress import Listener, listener
from mlpbench.bench.plan.envs import Env
from mlpbench.bench.plan.versions import Version
from mlpbench.bench.record.runs import Run, read_runs
from mlpbench.bench.run import making
from mlpbench.bench.stats.verdicts import THRESHOLD

#: Name of each environment, and the version of the package in it.
VERSIONS = {"a": 1, "b": 1, "c": 1, "d": 1, "slow-a": 2, "slow-b": 2}
SHARES = {1: 0.0, 2: 0.1}
OWN = "numpy-mine"
SIZES = (1, 10, 100, 1000)
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mine"
version = "{version}"
dependencies = ["mlpbench", "numpy"]
[project.entry-points."mlpbench.kernels"]
numpy-mine = "mine:Mine"
[tool.hatch.build.targets.wheel]
include = ["mine.py"]
"""
KERNEL = """
from mlpbench.bench.measure.instruments import Planted

class Mine(Planted):
    share = {share}
"""


def make(folder: Path, name: str, version: int) -> Env:
    """Make an environment with a version of the package, and the numpy that is here."""
    project = folder / f"mine-{version}"
    project.mkdir(exist_ok=True)
    (project / "pyproject.toml").write_text(PROJECT.format(version=version), encoding="utf-8")
    (project / "mine.py").write_text(KERNEL.format(share=SHARES[version]), encoding="utf-8")
    wanted = Version(name, Requirement(f"numpy=={np.__version__}"))
    return making.make(folder / name, wanted, [str(project)], Path.cwd())


def measure(folder: Path, repeats: int, out: Path) -> Path:
    """Measure all environments in one run; return its folder."""
    words = [f"--env={name}={make(folder, name, version).interpreter.python}" for name, version in VERSIONS.items()]
    sizes = [f"--batch-size={size}" for size in SIZES]
    heard = Listener(lambda _: None)
    listener.set(heard)
    app.invoke(["run", "numpy", OWN, *words, *sizes, f"--repeats={repeats}", "--threads=1", f"--out={out}"])
    if heard.folder is None:
        sys.exit("nothing was measured")
    return heard.folder


def compared(runs: list[Run], one: str, other: str) -> Comparison:
    """Return the comparison of two environments of a run."""
    axis, left, right = by_axis([Side(run) for run in runs], f"env={one},{other}")
    return compare(left, right, THRESHOLD, by=axis)


def rows(runs: list[Run]) -> tuple[list[tuple[str, Counter[str]]], int]:
    """Return what was compared, how often each verdict came out, and the fewest repeats behind any of them."""
    alike, slower, repeats = Counter[str](), Counter[str](), []
    for one, other in combinations(VERSIONS, 2):
        for row in compared(runs, one, other).rows:
            differ = row.baseline_kernel == OWN and VERSIONS[one] != VERSIONS[other]
            (slower if differ else alike)[row.verdict] += 1
            repeats.append(row.speedup.n)
    return [("two copies of one environment", alike), ("the second 10 % slower", slower)], min(repeats)


def main() -> None:
    """Measure, or read a run, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    if asked.run:
        folder = asked.run
    else:
        with tempfile.TemporaryDirectory(prefix="mlpbench-") as scratch:
            folder = measure(Path(scratch), asked.repeats, asked.out)
    print("| what was compared | cases | faster | slower | not slower | undecided |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    table, repeats = rows(read_runs(folder))
    for what, found in table:
        verdicts = " | ".join(str(found[verdict]) for verdict in ("faster", "slower", "not slower", "undecided"))
        print(f"| {what} | {found.total()} | {verdicts} |")
    print(f"\nat least {repeats} repeats count in each case; the run is {folder}")


if __name__ == "__main__":
    main()
