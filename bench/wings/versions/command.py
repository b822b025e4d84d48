"""`mlpbench ab`: which of two versions is faster, of a library or of a kernel's own repository."""

from __future__ import annotations

import math
import os
import shlex
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
from mlpbench.bench.plan import sweep
from mlpbench.bench.plan.request import Request
from mlpbench.bench.report import render
from mlpbench.bench.wings.versions import versions
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors

#: Assumed standard deviation of a pair's ratio, on the log scale: on an idle machine, and where processors are busy.
IDLE_SD, BUSY_SD = 0.02, 0.08

if TYPE_CHECKING:
    from mlpbench.bench.analysis.judge import Judged
    from mlpbench.bench.plan.sweep import Env
    from mlpbench.bench.record.environment import Environment
    from mlpbench.bench.wings.versions.versions import Version


def ab(
    context: typer.Context,
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="A requirement, such as numpy==2.3.*, or a commit of the repository here."),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The other version, of the same kind.")],
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="REQUIREMENT", help="A package to install in both environments; may be repeated."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the environments, and say where they are.")] = False,
    fail_if_slower: FailIfSlower = None,
    format: Format = None,  # noqa: A002 - the option's name
    as_json: AsJson = False,
) -> None:
    """Make an environment for each of two versions, time kernels in both in one run, and say which is faster.

    Two commits, such as main and HEAD, are those of the git repository here, whose package offers kernels. Kernels and
    options of `mlpbench run` may follow the versions. Without kernels, the usual ones of the package are timed. Both
    sides of a pair run next to each other, and a budget ends on whole pairs.

    Exit 1 if the new version is slower in any case.

    Example: mlpbench ab "numpy==2.3.*" "numpy==2.4.*" numpy --budget 5m
    """
    cli.check_format(format, as_json=as_json)
    request = options.read_run(context, context.args)  # a mistake there ends it before anything is made
    if request.env:
        raise UserError("ab makes both environments itself: leave --env out, or use `mlpbench run --env`")
    asked = versions.tell_apart((old, new), Path.cwd())
    with _folder(keep=keep) as folder:
        made = _make(folder, asked, also or ())
        first, second = (env.interpreter.name for env in made)
        kernels = [] if request.kernels else _kernels(asked[0], made)
        envs = tuple(f"{env.interpreter.name}={env.interpreter.python}" for env in made)
        request = replace(request, kernels=request.kernels or tuple(kernels), env=envs)
        _say_what_it_shows(request, len(request.kernels))
        runs = _measured(request)
        if keep:
            places = " ".join(f"--env {env}" for env in envs)
            console.say(f"kept, to run again: mlpbench run {shlex.join([*kernels, *context.args])} {places}")
    axis, left, right = sides.by_axis([sides.Side(run) for run in runs], f"env={first},{second}")
    cli.tell(compare_.compare(left, right, fail_if_slower, by=axis), format=format, as_json=as_json)


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


def _say_what_it_shows(request: Request, kernels: int) -> None:
    """Say what the budget of a run can show; nothing of a fixed number of repeats."""
    budget_s = sweep.find_budget_s(request)
    if budget_s is None:
        return
    cases, load = len(sweep.grid(request)), os.getloadavg()[0]
    lasts_s = pair_s(kernels, cases, request.profile.max_time_s, load=load, processors=processors())
    console.say(in_words(budget_s, lasts_s, load, processors()))


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Make the folder of both environments, which goes with the block unless kept; SIGTERM ends it as Ctrl-C does."""
    from mlpbench.bench.machine.child import scratch

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with nullcontext(Path(tempfile.mkdtemp(prefix="mlpbench-ab-"))) if keep else scratch() as folder:
            yield folder
    finally:
        signal.signal(signal.SIGTERM, before)


def _make(folder: Path, asked: Sequence[Version], also: Sequence[str]) -> list[Env]:
    """Make both environments. Raises UserError where that fails, or where both have the same version."""
    from mlpbench.bench.wings.versions import environments

    made = []
    for side, version in zip(("old", "new"), asked, strict=True):
        with console.err().status(f"making an environment of {version.words} …"):
            made.append(environments.make(folder / side, version, also, Path.cwd()))
        there = made[-1].environment
        console.say(
            f"{version.words}: {made[-1].interpreter.name}, Python {there.python.get('version')}, {_libraries(there)}"
        )
    names = {env.interpreter.name for env in made}
    if len(names) == 1:
        raise UserError(f"{asked[0].typed} and {asked[1].typed} are both {names.pop()}: nothing to compare")
    return made


def _kernels(version: Version, made: Sequence[Env]) -> list[str]:
    """Return the kernels that a version is about: of a commit those it offers, of a library those written with it.

    The usual ones of these, where there are any: a budget is for few.
    """
    from packaging.utils import canonicalize_name

    from mlpbench.bench.plan.plan import USUAL

    offered = {name: whose for env in made for name, whose in env.third_party.items()}
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
    return found


def _measured(request: Request) -> list[Judged]:
    """Run kernels in both environments and write the reports; return the runs."""
    carried = carry_out(request, runs_.plan(request))
    console.say(f"results are in {carried.folder}")
    if not carried.finished:
        console.complain("interrupted: what was finished is kept")
        raise typer.Exit(console.INTERRUPTED)
    for reason in carried.measure_limits():
        console.say(reason, "yellow")
    found = judge.read(carried.folder)
    write_reports(render.build(found), carried.folder)
    return found


def _libraries(there: Environment) -> str:
    named = [f"{name} {there.libraries[name]}" for name in ("numpy", "numba") if name in there.libraries]
    blas = [
        f"{pool.get('internal_api')} {pool.get('version')}" for pool in there.blas if pool.get("user_api") == "blas"
    ]
    return ", ".join([*named, *dict.fromkeys(blas)])
