"""`mlpbench ab`: which of two versions is faster, of a library or of a kernel's own repository."""

from __future__ import annotations

import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from mlpbench.bench import values
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import FailIfSlower, Format
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry

if TYPE_CHECKING:
    from mlpbench.bench.plan.envs import Env
    from mlpbench.bench.plan.versions import Version
    from mlpbench.bench.record.environment import Environment
    from mlpbench.bench.record.runs import Run


def ab(
    context: typer.Context,
    old: Annotated[
        str,
        typer.Argument(metavar="OLD", help="A requirement, such as numpy==2.3.*, or a commit of the repository here."),
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The other version, of the same kind.")],
    also: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="REQUIREMENT", help="What both environments get as well; may be repeated."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the environments, and say where they are.")] = False,
    fail_if_slower: FailIfSlower = "2.5%",
    format: Format = None,  # noqa: A002 - the option's name
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Make an environment for each of two versions, time kernels in both in one run, and say which is faster.

    Two commits, such as main and HEAD, are those of the git repository here, whose package offers kernels. Behind the
    versions stand kernels and options as `mlpbench run` takes them. Without kernels, those of the package are timed.

    Exit 1 if the new version is slower in any case, 4 if any may be and was not decided.

    Example: mlpbench ab "numpy==2.3.*" "numpy==2.4.*" numpy --budget 5m
    """
    from mlpbench.bench.analysis import compare as compare_
    from mlpbench.bench.analysis import sides
    from mlpbench.bench.cli import compare as cli
    from mlpbench.bench.plan import versions
    from mlpbench.bench.report.sections.compare import versions_apart

    cli.check_format(format, as_json=as_json)
    threshold = values.parse_threshold(fail_if_slower)
    named = _kernels_named(context)
    asked = versions.tell_apart((old, new), Path.cwd())
    with _folder(keep=keep) as folder:
        made = _make(folder, asked, also or ())
        first, second = (env.interpreter.name for env in made)
        kernels = [] if named else _kernels(asked[0], made)
        runs = _measured(context, [*kernels, *context.args], made)
        if keep:
            places = " ".join(f"--env {env.interpreter.name}={env.interpreter.python}" for env in made)
            console.say(f"kept, to run again: mlpbench run {shlex.join([*kernels, *context.args])} {places}")
    if not runs:
        return
    axis, left, right = sides.by_axis([sides.Side(run) for run in runs], f"env={first},{second}")
    found = compare_.compare(left, right, threshold, by=axis)
    said = versions_apart(found, first, second)
    if as_json:
        console.print_json({**found.as_dict(), "conclusion": said})
    elif format:
        cli.write(found, said, format)
    else:
        cli.show(found, details=False)
        console.out().print(Text(said, "bold"))
    cli.end(found)


def _run_with(context: typer.Context, words: Sequence[str]) -> Any:
    """Return the context of `mlpbench run` with these words, and with the settings file and the words of ours."""
    root = context.find_root()
    return root.command.commands["run"].make_context("run", list(words), parent=root)  # type: ignore[attr-defined]


def _kernels_named(context: typer.Context) -> bool:
    """Return whether kernels stand behind the versions; a mistake there is told before anything is made."""
    with _run_with(context, context.args) as parsed:
        if parsed.params["env"]:
            raise UserError("ab makes both environments itself: leave --env out, or use `mlpbench run --env`")
        return bool(parsed.params["kernels"])


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """Make the folder of both environments, which goes with the block, or if it is kept only where the block failed.

    A request to end ends the block as Ctrl-C does.
    """
    from mlpbench.bench.machine import guard

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as at_end:
            if keep:
                folder = Path(tempfile.mkdtemp(prefix="mlpbench-ab-"))
                at_end.callback(shutil.rmtree, folder, ignore_errors=True)
            else:
                folder = at_end.enter_context(guard.OURS.folder())
            yield folder
            if keep:
                at_end.pop_all()
    finally:
        signal.signal(signal.SIGTERM, before)


def _make(folder: Path, asked: Sequence[Version], also: Sequence[str]) -> list[Env]:
    """Make both environments. Raises UserError where that fails, or where both have the same version."""
    from mlpbench.bench.run import making

    made = []
    for side, version in zip(("old", "new"), asked, strict=True):
        with console.err().status(f"making an environment of {version.words} …"):
            made.append(making.make(folder / side, version, also, Path.cwd()))
        there = made[-1].environment
        console.say(f"{version.words}: {made[-1].interpreter.name}, Python {there.python.version}, {_libraries(there)}")
    names = {env.interpreter.name for env in made}
    if len(names) == 1:
        raise UserError(f"{asked[0].typed} and {asked[1].typed} are both {names.pop()}: nothing to compare")
    return made


def _kernels(version: Version, made: Sequence[Env]) -> list[str]:
    """Return the kernels that a version is about: of a library those written with it, of a commit those it offers."""
    from packaging.utils import canonicalize_name

    offered = {name: whose for env in made for name, whose in env.third_party.items()}
    if version.requirement is None:
        found = list(offered)
        what = "offers no kernel in the entry point group mlpbench.kernels"
    else:
        package = canonicalize_name(version.requirement.name)
        known = {name: registry.load(name).distributions for name in (*registry.usual(), *registry.peers())}
        known |= {name: (whose,) for name, whose in offered.items()}
        found = [name for name, of in known.items() if package in map(canonicalize_name, of)]
        what = f"no kernel is written with {package}"
    if not found:
        raise UserError(f"{version.words}: {what}: name the kernels to time behind the versions, such as numpy")
    return found


def _measured(context: typer.Context, words_of_run: Sequence[str], made: Sequence[Env]) -> list[Run]:
    """Run kernels in both environments and write the reports; return the runs, none of a dry run."""
    from mlpbench.bench.cli.progress import Listener, listener
    from mlpbench.bench.cli.report import write_reports
    from mlpbench.bench.record import runs
    from mlpbench.bench.report import render

    heard = Listener(lambda _: None)
    before = listener.set(heard)
    envs = [f"--env={env.interpreter.name}={env.interpreter.python}" for env in made]
    try:
        with _run_with(context, [*words_of_run, *envs]) as asked:
            asked.command.invoke(asked)
    except typer.Exit:  # after Ctrl-C
        console.complain("interrupted: what was finished is kept")
        raise
    finally:
        listener.reset(before)
        if heard.folder is not None:
            console.say(f"results are in {heard.folder}")
    if heard.folder is None:
        return []
    found = runs.read_runs(heard.folder)
    write_reports(render.build(found), heard.folder)
    return found


def _libraries(there: Environment) -> str:
    named = [f"{name} {there.libraries[name]}" for name in ("numpy", "numba") if name in there.libraries]
    blas = [f"{pool.internal_api} {pool.version}" for pool in there.blas if pool.user_api == "blas"]
    return ", ".join([*named, *dict.fromkeys(blas)])
