"""The fastest look of a machine, kept beside its runs from one process to the next."""

from contextlib import suppress
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import identity
from mlpbench.bench.record import look
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.write import write_atomically


def path_for(folder: Path) -> Path:
    """Return where the fastest looks are kept for a run in this folder: in that of its machine."""
    machine = identity.machine_id()
    return next((parent for parent in folder.parents if parent.name == machine), folder.parent) / look.FILE


def known(path: Path) -> tuple[look.BestLook, ...]:
    """Return the fastest looks of a file; none where it is damaged, which `keep` tells."""
    try:
        return look.read(path)
    except UserError:
        return ()


def keep(path: Path, record: Record) -> str | None:
    """Write down what a process saw, where that is faster than all before; return what is wrong with the file.

    A damaged file is replaced. One that cannot be written is left: then each run goes by its own looks.
    """
    problem = None
    try:
        known = look.read(path)
    except UserError as error:
        known, problem = (), f"{error}; it is made anew"
    best = look.fastest(known, look.of_record(record))
    if best != known:
        with suppress(UserError):
            head = look.LookHead(machine=identity.machine_id(), best=best)
            write_atomically(path, look.LookFile(head), replace=True)
    return problem
