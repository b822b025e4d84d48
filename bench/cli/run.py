"""`mlpbench run`: the sweep, checked, timed, saved and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpbench.bench import values, words
from mlpbench.bench.cli import console, options
from mlpbench.bench.cli import settings as settings_file
from mlpbench.bench.cli.options import Reader, how
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry

if TYPE_CHECKING:
    from mlpbench.bench.plan.sweep import Sweep
    from mlpbench.bench.report.document import Document
    from mlpbench.bench.run.resume import Stopped


@dataclass(frozen=True)
class _How:
    """How a run is shown: options that change no result."""

    dry_run: bool
    verbose: bool
    quiet: bool
    as_json: bool


def run(
    context: typer.Context,
    kernels: options.Kernels = None,
    peers: options.Peers = False,
    every: Annotated[bool, how("--all", help="Every kernel that can run here, not only those that most know.")] = False,
    profile: Annotated[
        str,
        how(
            help="smoke, quick, full, book or gpu: the grid and its budget.",
            autocompletion=options.profiles,
        ),
        Reader(options.profile),
    ] = "quick",
    batch_size: Annotated[
        list[str] | None,
        how(metavar="N", help="Rows per call, or all; may be repeated. Default: the profile's."),
        Reader(values.parse_batch_size),
    ] = None,
    threads: options.Threads = None,
    device: options.Device = None,
    repeats: Annotated[int | None, how(min=1, max=1000, help="Run exactly this many processes per kernel.")] = None,
    budget: Annotated[
        str | None,
        how(
            metavar="TIME",
            help="Repeat for this long, such as 90s or 2m; default: the profile's (quick: 65s).",
        ),
        Reader(values.parse_budget),
    ] = None,
    target: Annotated[
        str | None,
        how(metavar="SHARE", help="Stop early once every interval is within ± this share; default: 5%."),
        Reader(values.parse_target),
    ] = None,
    timeout: options.Timeout = None,
    seed: Annotated[int | None, how(min=0, help="Seed of the running order; default: a new one, recorded.")] = None,
    p99: options.P99 = None,
    cold: options.Cold = False,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    weights: options.Weights = None,
    model: options.Model = None,
    spec: options.Specs = None,
    hidden: options.Hidden = None,
    output: options.Output = None,
    dtype: options.DTypes = None,
    env: options.Envs = None,
    resume: options.Resume = None,
    anyway: options.Anyway = False,
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")] = False,
    verbose: options.Verbose = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing before the end except problems.")] = False,
    as_json: options.AsJson = False,
    suffix: Annotated[str, typer.Option(hidden=True, help="Text after the run's name, for `mlpbench fleet`.")] = "",
) -> None:
    """Time kernels one image at a time and in batches, save the results, and state the finding.

    Every kernel and repeat has its own process, which checks the kernel before it times it. After the profile's repeats
    (quick: 5) the run goes on until every interval is narrow enough or the budget is spent. It names what did not fit.
    Several threads, dtypes or specs make a sweep over every combination.

    Example: mlpbench run numpy numba --batch-size 1 --batch-size 100 --repeats 5
    """
    from mlpbench.bench import cases as cases_
    from mlpbench.bench.cli import resuming
    from mlpbench.bench.data.workload import Options
    from mlpbench.bench.plan import choose, envs, profiles

    how_ = _How(dry_run, verbose, quiet, as_json)
    if resume is not None:
        stopped = resuming.find(context, resume, out)
        options.use(resuming.device(context, stopped))
        stopped = resuming.compared(context, stopped, anyway=anyway)
        _go(context, stopped.sweep, how_, out, stopped)
        return
    resuming.refuse_alone(anyway=anyway)
    options.use(device)
    chosen = profiles.profile(profile)
    aim = choose.find_aim(chosen, repeats, budget, target)
    sizes = tuple(map(values.parse_batch_size, batch_size or ())) or chosen.batch_sizes
    cases = cases_.grid(chosen.modes, sizes)
    of_network = choose.find_network(model, spec, hidden, output, weights)
    computed = Options(data=data, data_dir=data_dir, **of_network)
    spec = [computed.spec] if model else spec
    interpreters = envs.parse(env or ())
    settings = choose.find_settings(computed, spec, threads, dtype, list(interpreters))
    rows = max(cases_.ALL_ROWS, *(case.batch_size for case in cases))
    planned = choose.make_sweep(
        chosen,
        [registry.give(name, elsewhere=bool(interpreters)) for name in kernels or chosen.kernels or ()],
        every,
        peers,
        settings,
        choose.make_workloads(settings, computed, rows),
        cases,
        repeats=repeats,
        seed=seed,
        aim=aim,
        clock=_closer_look(p99, cold=cold or profile == "full"),
        command=settings_file.typed(context),
        options_from_file=settings_file.from_file(context),
        envs={name: envs.inspect(name, python) for name, python in interpreters.items()},
        timeout_s=choose.find_timeout(timeout),
        suffix=suffix,
    )
    _go(context, planned, how_, out)


def _go(
    context: typer.Context,
    planned: Sweep,
    how_: _How,
    out: Path,
    stopped: Stopped | None = None,
) -> None:
    """Carry out a plan, or what is missing of that of a run that has ``stopped``; say what came of it."""
    from mlpbench.bench.cli import announce, resuming
    from mlpbench.bench.cli.progress import carry_out, listener
    from mlpbench.bench.plan import profiles
    from mlpbench.bench.plan.effort import Effort
    from mlpbench.bench.plan.sweep import together
    from mlpbench.bench.run import folder as run_folder
    from mlpbench.bench.run import sweep as sweeps
    from mlpbench.bench.run.resume import take_in

    profile = profiles.profile(planned.plan.profile or "")
    effort = Effort(planned.plan, together((part.setting, part.names) for part in planned.parts))
    if stopped is not None:
        take_in(stopped, effort)
    if how_.dry_run:
        announce.say_what_comes(planned, verbose=True, quiet=how_.quiet)
        _say_sources(context)
        console.out().print("\n".join(f"{kernel} {repeat + 1}" for kernel, repeat in effort.ahead))
        return
    if stopped is None:
        resuming.warn_if_never()
    folder, folders = (stopped.folder, stopped.folders) if stopped else sweeps.open_folders(out, planned)
    if (heard := listener.get()) is not None:
        heard.folder = folder
    with run_folder.held(folder):
        announce.say_what_comes(planned, verbose=how_.verbose, quiet=how_.quiet)
        if stopped is not None:
            resuming.begin(stopped, effort)
        with sweeps.saying_what_is_kept(folder, "run"):
            ended = carry_out(
                planned.plan,
                effort,
                lambda teller: sweeps.execute(planned, folders, teller.phase, effort),
                quiet=how_.quiet,
            )
            sweeps.close(planned, folder, folders, effort, interrupted=not ended)
        if not ended:
            if heard is None:
                _tell_interrupted(folder, how_)
            raise typer.Exit(console.INTERRUPTED)

        def measure_limits() -> None:
            announce.measure_roofs(folders, planned, profile.max_time_s)

        if heard is None:
            _tell(folder, how_, measure_limits)
        else:
            measure_limits()


def _say_sources(context: typer.Context) -> None:
    """Say which options somebody chose, and where; the others have their defaults."""
    for option, value, source in settings_file.sources(context):
        if source != "default" and option != "dry-run":
            console.say(f"--{option} {settings_file.in_words(value)} ({source})")


def _closer_look(p99: str | None, *, cold: bool) -> list[str]:
    """Return pytest's words for the options of that name. Raises UserError for a time that is none."""
    if p99 is not None:
        values.parse_duration(p99)
    return [*([f"--p99={p99}"] if p99 is not None else []), *(["--cold"] if cold else [])]


def _tell(folder: Path, how_: _How, measure_limits: Callable[[], None]) -> None:
    """Print what was found, then measure the machine's limits and write the reports; exit 1 where a case has no time.

    Whoever waits sees the table before all else. Times that the limits refuse are named below it.
    """
    from mlpbench.bench.cli.report import name_left_out, tell, tell_refused
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.report import render as documents

    document = documents.build(record.read_runs(folder))
    if not how_.as_json:
        tell(document, verbose=how_.verbose)
    if document.cases:
        with console.working("measuring the machine's limits"):
            measure_limits()
    shown, document = document, documents.build(record.read_runs(folder))
    if how_.as_json:
        tell(document, as_json=True)
    else:
        tell_refused(document, shown)
    _write(document, folder, how_)
    left_out = name_left_out(document.runs)
    if left_out or any(run.failures for run in document.runs):
        raise typer.Exit(1)


def _tell_interrupted(folder: Path, how_: _How) -> None:
    """Print what was found before Ctrl-C; the machine's limits are measured when the run goes on to its end."""
    from mlpbench.bench.cli import resuming
    from mlpbench.bench.cli.report import name_left_out, tell
    from mlpbench.bench.record import runs as record
    from mlpbench.bench.report import render as documents

    runs = record.read_runs(folder)
    done, missing = sum(len(run.records) for run in runs), sum(len(run.missing) for run in runs)
    if not done:
        console.complain(f"interrupted before the first process ended: nothing measured, the plan is in {folder}")
        return
    document = documents.build(runs)
    tell(document, as_json=how_.as_json, verbose=how_.verbose)
    _write(document, folder, how_)
    name_left_out(runs)
    which = f"{done} of {done + missing} processes" if missing else words.things(done, "process", "processes")
    kept = f"{which} finished and {'is' if done == 1 else 'are'} kept in {folder}"
    console.complain(f"interrupted: {kept}{resuming.hint('run')}")


def _write(document: Document, folder: Path, how_: _How) -> None:
    """Write the reports, and say where they are and what comes next."""
    from mlpbench.bench.cli.report import print_end, write_reports

    try:
        with console.working("making the page"):
            written = write_reports(document, folder)
    except UserError as error:
        raise UserError(f"{error}; all records are kept in {folder}, and `mlpbench report` shows them") from None
    names = "".join(f", {path.name}" for path in written)
    done = sum(len(run.records) for run in document.runs)
    console.say(f"wrote {words.things(done, 'result file')}{names} to {folder}")
    if not how_.as_json:
        print_end(document, written[-1:])
