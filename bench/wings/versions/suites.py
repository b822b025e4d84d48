"""Anybody's pytest-benchmark suite in two environments: fresh processes in turns, whose files `compare` judges.

The files say when they were made, so a later `mlpbench compare` of ``old.*.json`` and ``new.*.json`` pairs them too.
"""

from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from datetime import UTC, datetime
from glob import escape
from itertools import count
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.analysis import compare
from mlpbench.bench.analysis.compare import Comparison
from mlpbench.bench.cli import console
from mlpbench.bench.clock import now
from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.write import write_document
from mlpbench.bench.report.formats import markdown
from mlpbench.bench.report.sections.compare import blocks
from mlpbench.bench.stats.estimates import LEAST_REPEATS
from mlpbench.bench.wings.versions import environments
from mlpbench.bench.wings.versions.environments import Made

#: Options of a run that a suite has too.
OPTIONS = ("--repeats", "--budget", "--results")
#: Seconds for pairs where nobody says how many.
BUDGET_S = 300.0
SIDES = ("old", "new")


def measure(made: Sequence[Made], typed: Sequence[str], request: Request, threshold: float | None) -> Comparison:
    """Run a suite, ``typed`` as pytest takes it, in both environments by turns; return the comparison of all pairs.

    Raises UserError where the suite has no benchmarks, or fails; what was measured stays in a folder of its results.
    """
    folder = request.results / f"ab-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with user_error(f"cannot write to {folder}"):
        folder.mkdir(parents=True)
    console.say(f"what is measured goes to {folder}")
    began = now()
    for done in count(1):
        for side, env in list(zip(SIDES, made, strict=True))[:: 1 if done % 2 else -1]:
            with console.working(f"pair {done}: {env.name}"):
                _run(env, typed, folder / f"{side}.{done}.json")
        pair_s = (now() - began) / done
        most = request.repeats or max(LEAST_REPEATS, int((request.budget_s or BUDGET_S) / pair_s))
        if done == 1:
            _judge(folder, made, threshold)  # a suite that cannot be compared ends here
            console.say(f"a pair of processes takes {pair_s:.1f} s: about {words.things(most, 'pair')}")
        if done >= most:
            break
    found = _judge(folder, made, threshold)
    write_document(folder / "report.md", markdown.page(f"{found.candidate} against {found.baseline}", blocks(found)))
    return found


def _judge(folder: Path, made: Sequence[Made], threshold: float | None) -> Comparison:
    old, new = (f"{escape(str(folder))}/{side}.*.json" for side in SIDES)
    found = compare.of_files(old, new, threshold)
    if found is None:
        raise UserError("--pytest needs mlpbench's folder bench/wings/ci, and it is not there")
    return replace(found, baseline=made[0].name, candidate=made[1].name)


def _run(env: Made, typed: Sequence[str], file: Path) -> None:
    """Run the suite in a fresh process. Raises UserError where it fails, or has no benchmark."""
    options = ("--benchmark-only", f"--benchmark-json={file.resolve()}", "--quiet", "-p", "no:cacheprovider")
    who = f"{env.version.words}: pytest"
    with chdir(env.sources):
        environments.run([env.python, "-m", "pytest", *typed, *options], who)
    if not file.exists():
        raise UserError(f"{who}: no benchmark in {' '.join(typed)}")
