"""``fleet-<stamp>.json``: one plan on many workers, and what became of each: a second start makes up the rest."""

import hashlib
from pathlib import Path
from typing import Literal

from mlpbench.bench.errors import UserError, user_error
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import SCHEMA, Block, Name, Schema, Text
from mlpbench.bench.record.write import write_atomically


class WorkerEntry(Block, frozen=True, kw_only=True):
    """A worker: its ``name`` in the list, or its address.

    ``runs``: where its results are, below the folder of results; ``problem`` says why it has none.
    """

    name: Text
    runs: tuple[Text, ...] = ()
    problem: Text | None = None

    @property
    def done(self) -> bool:
        """Whether its results are here."""
        return bool(self.runs) and self.problem is None

    @property
    def suffix(self) -> str:
        """The end of its run's name: two workers may start in one second."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:6]


class FleetHead(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of the file. ``words``: of the run, as typed; ``fleet``: its name, a UTC stamp."""

    schema: Schema = SCHEMA
    kind: Literal["fleet"] = "fleet"
    fleet: Name
    words: tuple[Text, ...]
    version: Text
    workers: tuple[WorkerEntry, ...] = ()


class FleetFile(Block, frozen=True):
    """The content of the file."""

    mlpbench: FleetHead


def write(results: Path, head: FleetHead) -> None:
    """Write the file of a fleet over the one before it. Raises UserError where it cannot be."""
    with user_error(f"cannot write results to {results}", "; choose another --results"):
        results.mkdir(parents=True, exist_ok=True)
    write_atomically(results / f"fleet-{head.fleet}.json", FleetFile(head), replace=True)


def newest(results: Path) -> FleetHead:
    """Return the newest fleet of a folder of results. Raises UserError where there is none, or it cannot be read."""
    if not (paths := sorted(results.glob("fleet-*.json"))):
        raise UserError(f"no fleet in {results}: start one without --resume")
    return untrusted.read(paths[-1], FleetFile).mlpbench
