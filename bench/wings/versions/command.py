"""`mlpbench ab`: which of two versions is faster, of a library or of a kernel's own repository."""

from __future__ import annotations

import math
import os
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpbench.bench.analysis import compare as compare_
from mlpbench.bench.analysis import judge, sides
from mlpbench.bench.api import run as runs_
from mlpbench.bench.cli import compare as cli
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli.options import AsJson, FailIfSlower, Format
from mlpbench.bench.cli.report import write_reports
from mlpbench.bench.cli.run import carry_out
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine.child import scratch
from mlpbench.bench.plan import sweep
from mlpbench.bench.plan.request import Request
from mlpbench.bench.report import render
from mlpbench.bench.wings.versions import environments, suites, versions
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors

_OLD = "A requirement, such as numpy==2.3.*, or a commit of the repository here."
_WITH = "A package to install in both environments; may be repeated."
_SUITE = "Time the pytest-benchmark suite there, and no kernels."
#: Assumed standard deviation of a pair's ratio, on the log scale: on an idle machine, and where processors are busy.
IDLE_SD, BUSY_SD = 0.02, 0.08

if TYPE_CHECKING:
    from mlpbench.bench.analysis.compare import Comparison
    from mlpbench.bench.wings.versions.environments import Made
    from mlpbench.bench.wings.versions.versions import Version


def ab(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help=_OLD)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The other version, of the same kind.")],
    also: Annotated[list[str] | None, typer.Option("--with", metavar="REQUIREMENT", help=_WITH)] = None,
    suite: Annotated[str | None, typer.Option("--pytest", metavar="PATH", help=_SUITE)] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the environments, and say where they are.")] = False,
    fail_if_slower: FailIfSlower = None,
    format: Format = None,  # noqa: A002 - the option's name
    as_json: AsJson = False,
) -> None:
    """Make an environment for each of two versions, time kernels in both in one run, and say which is faster.

    Two commits, such as main and HEAD, are those of the git repository here, whose package offers kernels. Kernels and
    options of `mlpbench run` may follow the versions. Without kernels, the usual ones of the package are timed. Both
    sides of a pair run next to each other, and a budget ends on whole pairs.

    With --pytest, any package's own pytest-benchmark suite is timed: --pytest benchmarks. More words for pytest may
    stand in the quotes; --with ".[test]" installs what the suite needs. Of a run, --budget, --repeats and --results may
    follow.

    Exit 1 if the new version is slower in any case.

    Example: mlpbench ab "numpy==2.3.*" "numpy==2.4.*" numpy --budget 5m
    """
    cli.check_format(format, as_json=as_json)
    request = options.read_run(context, context.args)  # a mistake there ends it before anything is made
    if request.env:
        raise UserError("ab makes both environments itself: leave --env out, or use `mlpbench run --env`")
    for word in [*context.args, *["--keep"] * keep] if suite is not None else ():
        if word in request.kernels or (word.startswith("-") and word.partition("=")[0] not in suites.OPTIONS):
            raise UserError(f"{word} is for kernels, and --pytest names a suite: it takes {', '.join(suites.OPTIONS)}")
    asked = versions.tell_apart((old, new), Path.cwd())
    with runs_.ended_by_request(), ExitStack() as lasting:
        folder = Path(tempfile.mkdtemp(prefix="mlpbench-ab-")) if keep else lasting.enter_context(scratch())
        made = _make(lasting, folder, asked, also or (), suite=suite is not None)
        if suite is not None:
            comparison = suites.measure(made, shlex.split(suite), request, fail_if_slower)
        else:
            kernels = () if request.kernels else _kernels(asked[0], made)
            envs = tuple(f"{env.name}={env.python}" for env in made)
            comparison = _measured(replace(request, kernels=request.kernels or kernels, env=envs), fail_if_slower)
            if keep:
                places = " ".join(f"--env {env}" for env in envs)
                console.say(f"kept, to run again: mlpbench run {shlex.join([*kernels, *context.args])} {places}")
    cli.tell(comparison, format=format, as_json=as_json)


def in_words(budget_s: float, pair_s: float, load: float, processors: int) -> str:
    """Return what a budget can show, as a share that most cases decide, and the budget that decides 5 %."""
    scatter = IDLE_SD + (BUSY_SD - IDLE_SD) * min(1.0, load / processors)
    pairs = int(budget_s / pair_s)
    needed = next((n for n in range(2, 500) if _decides(scatter, n) <= 0.05), 500)
    more = f"; for 5 %: {math.ceil(needed * pair_s / 60)} min" if needed > pairs else ""
    if pairs < 2:
        return f"{budget_s:.0f} s: fewer than two pairs{more}"
    return f"{budget_s:.0f} s: about {pairs} pairs, which decide {100 * _decides(scatter, pairs):.0f} %{more}"


def pair_s(kernels: int, cases: int, case_s: float, *, load: float, processors: int) -> float:
    """Return the seconds that both sides of every kernel are taken to need for one repeat.

    A process takes 1.5 s beside its cases, and a case a tenth more than its timed rounds.
    """
    return 2 * kernels * (1.5 + cases * 1.1 * case_s) * max(1.0, (1 + load) / processors)


def _decides(scatter: float, pairs: int) -> float:
    """Return the share by which four of five cases are shown not to be slower, from so many pairs of equal sides."""
    from mlpbench.bench.stats import estimates

    degrees = pairs - 1 + estimates.MOST_DEGREES
    factor = estimates.MEDIAN_FACTORS.get(pairs, math.sqrt(math.pi / 2))
    return math.expm1((estimates.student(0.975, degrees) + 0.84) * scatter * factor / math.sqrt(pairs))


def _say_what_it_shows(request: Request, budget_s: float) -> None:
    """Say what the budget of a run can show."""
    cases, load = len(sweep.grid(request)), os.getloadavg()[0]
    lasts_s = pair_s(len(request.kernels), cases, request.profile.max_time_s, load=load, processors=processors())
    console.say(in_words(budget_s, lasts_s, load, processors()))


def _make(
    lasting: ExitStack, folder: Path, asked: Sequence[Version], also: Sequence[str], *, suite: bool
) -> list[Made]:
    """Make both environments. Raises UserError where that fails, or where both have the same version."""
    made = []
    for side, version in zip(("old", "new"), asked, strict=True):
        with console.working(f"making an environment of {version.words} …"):
            made.append(lasting.enter_context(environments.made(folder / side, version, also, suite=suite)))
        console.say(f"{version.words}: {made[-1].name}")
    if made[0].name == made[1].name:
        raise UserError(f"{asked[0].typed} and {asked[1].typed} are both {made[0].name}: nothing to compare")
    return made


def _kernels(version: Version, made: Sequence[Made]) -> tuple[str, ...]:
    """Return the kernels that a version is about: of a commit those it offers, of a library those written with it.

    The usual ones of these, where there are any: a budget is for few.
    """
    from packaging.utils import canonicalize_name

    from mlpbench.bench.plan.plan import USUAL

    inspected = (environments.inspect(env.name, env.python) for env in made)
    offered = {name: whose for env in inspected for name, whose in env.third_party.items()}
    if version.requirement is None:
        found = list(offered)
        what = "offers no kernel in the entry point group mlpbench.kernels"
    else:
        package = canonicalize_name(version.requirement.name)
        known = {name: registry.load(name).distributions for name in (*registry.usual(), *registry.peers())}
        known |= {name: (whose,) for name, whose in offered.items()}
        written = [name for name, of in known.items() if package in map(canonicalize_name, of)]
        found = [name for name in written if name in USUAL] or written
        what = f"no kernel is written with {package}"
    if not found:
        raise UserError(f"{version.words}: {what}: name the kernels to time behind the versions, such as numpy")
    return tuple(found)


def _measured(request: Request, threshold: float | None) -> Comparison:
    """Run kernels in both environments and write the reports; return the comparison."""
    if (budget_s := sweep.find_budget_s(request)) is not None:
        _say_what_it_shows(request, budget_s)
    carried = carry_out(request, runs_.plan(request))
    console.say(f"results are in {carried.folder}")
    if not carried.finished:
        console.complain("interrupted: what was finished is kept")
        raise typer.Exit(console.INTERRUPTED)
    for reason in carried.measure_limits():
        console.say(reason, "yellow")
    found = judge.read(carried.folder)
    write_reports(render.build(found), carried.folder)
    names = ",".join(env.partition("=")[0] for env in request.env)
    axis, left, right = sides.by_axis([sides.Side(run) for run in found], f"env={names}")
    return compare_.compare(left, right, threshold, by=axis)
