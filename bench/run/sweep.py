"""A sweep carried out: its folders, its processes side by side, and how it ended.

With one setting the folder is the run's own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.sweep import Part, Sweep
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.plan import Ending, PlanHead, SweepHead
from mlpbench.bench.record.runs import RECORD_FILE
from mlpbench.bench.run import folder as run_folder
from mlpbench.bench.run import process
from mlpbench.bench.run.process import Outcome
from mlpbench.bench.words import things


def open_folders(results: Path, sweep: Sweep, below: str = "") -> tuple[Path, list[Path]]:
    """Make the folder of a sweep, with its header, and one for each of its settings, with its plan.

    Return both; with one setting they are the same. ``below``: a folder of the machine to put them in. Raises UserError
    where that cannot be written.
    """
    if not sweep.several:
        (part,) = sweep.parts
        folder = run_folder.open_run(results, sweep.plan, part.workload, below, _environment(part))
        return folder, [folder]
    folder = run_folder.make_folder(results, Path(below) / sweep.plan.run_id)
    folders = [folder / part.setting.label for part in sweep.parts]
    for child, part in zip(folders, sweep.parts, strict=True):
        child.mkdir()
        made = PlanHead(plan=part.plan, computed=run_folder.computed(part.workload))
        run_folder.write_head(child, made, _environment(part))
    # Last: a sweep with a header has all its settings.
    run_folder.write_head(folder, _header(sweep))
    return folder, folders


def _environment(part: Part) -> Environment | None:
    return part.env.environment if part.env else None


def _header(sweep: Sweep) -> SweepHead:
    order = ((sweep.find(name)[1], name, repeat) for name, repeat in sweep.plan.order)
    return SweepHead(
        run_id=sweep.plan.run_id,
        settings=tuple(part.setting for part in sweep.parts),
        order=tuple((part.setting.label, part.names[name], repeat) for part, name, repeat in order),
    )


def execute(
    sweep: Sweep, folders: Sequence[Path], on_phase: Callable[[str, str | None, int, str], None], effort: Effort
) -> Iterator[Outcome]:
    """Run the processes that ``effort`` names, each into its setting's folder.

    ``on_phase(kernel, setting, repeat, phase)`` is called as each process begins to do something else; the setting is
    None where there is one alone. Leaving the iterator early, as Ctrl-C does, stops the process that runs.
    """
    for name, repeat in effort.processes():
        number, part = sweep.find(name)
        kernel, setting = part.names[name], part.setting.words if sweep.several else None
        done = process.run_process(
            part.plan,
            part.workload,
            folders[number],
            (kernel, repeat),
            partial(on_phase, kernel, setting, repeat),
            effort,
            name,
        )
        yield replace(done, setting=setting)


@contextmanager
def saying_what_is_kept(folder: Path, command: str) -> Iterator[None]:
    """Add to an error that ends a run, as a full disk does, how much of it is kept, and which command goes on."""
    try:
        yield
    except UserError as error:
        kept = sum(RECORD_FILE.fullmatch(path.name) is not None for path in folder.rglob("*.json"))
        told = f"{things(kept, 'record')} {'is' if kept == 1 else 'are'} kept in {folder}"
        raise UserError(f"{error}; {told}, and `mlpbench {command} --resume` goes on") from None


def close(sweep: Sweep, folder: Path, folders: Sequence[Path], effort: Effort, *, interrupted: bool) -> None:
    """Write how the sweep ended, as a whole and in each of its settings."""
    whole = effort.ending(interrupted=interrupted)
    if not sweep.several:
        run_folder.close_run(folder, whole)
        return
    for child, part in zip(folders, sweep.parts, strict=True):
        run_folder.close_run(child, effort.ending(interrupted=interrupted, kernels=part.names))
    run_folder.close_run(folder, Ending(spent_s=whole.spent_s, interrupted=interrupted, ended=whole.ended))
