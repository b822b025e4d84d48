"""The folder of a run: made before anything is measured, with the plan in it; closed with how the run ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.record import runs, schema, write

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlpbench.bench.plan.plan import Plan


def open_run(results: Path, plan: Plan, below: str = "") -> Path:
    """Make the folder of a run, with the plan in it; ``below`` is a folder of its machine to put it in.

    Raises UserError where that cannot be written.
    """
    folder = make_folder(results, Path(below) / plan.run_id)
    write_plan(folder, plan)
    return folder


def make_folder(results: Path, name: Path | str) -> Path:
    """Make a new folder among the results of this machine. Raises UserError where that is not possible."""
    folder = results / environment.machine_id() / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{folder} is there already and is not overwritten: run again, or choose --out") from None
    except OSError as error:
        raise UserError(
            f"cannot write results to {results}: {error.strerror}; choose another folder with --out"
        ) from None
    return folder


def write_plan(folder: Path, plan: Plan) -> None:
    """Write ``run.json`` of a run."""
    write_header(folder, "plan", plan.as_dict())


def write_header(folder: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write ``run.json``: its content below its kind, and the environment of this process."""
    block = {"schema": schema.SCHEMA, "kind": kind, kind: content, "environment": environment.collect()}
    write.write_atomically(folder / runs.PLAN_FILE, {"mlpbench": block})


def close_run(folder: Path, ending: Mapping[str, Any]) -> None:
    """Add to the plan in ``run.json`` how the run ended: `bench.record.ending.Ending.as_dict`."""
    path = folder / runs.PLAN_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    content["mlpbench"]["ending"] = dict(ending)
    write.write_atomically(path, content, replace=True)
