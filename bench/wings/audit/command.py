"""`mlpbench audit`: every check on some kernels, those of each run and those that take longer, one line for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from mlpbench.bench.cases import CPU
from mlpbench.bench.cli import console, options
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.request import Request

if TYPE_CHECKING:
    from mlpbench.bench.analysis.judge import Judged

#: The checks, and what each of them asks. docs/evidence/honesty.md says more.
CHECKS = {
    "values": "results are right for inputs that it has not seen",
    "inputs": "its inputs stay as they are",
    "aliasing": "later calls leave new results alone",
    "memory": "inputs that it has not seen take as long as others",
    "transfers": "it does no work in to_host",
    "threads": "no more threads work than were given",
    "timer": "rounds take as long on another clock",
    "wait": "calls last as long as the device works",
    "roofline": "it is no faster than the machine can be",
    "functions": "it replaces nothing in what measures it",
    "affinity": "it uses no other processors",
    "priority": "it runs as it was scheduled",
}
PASSED, REFUSED, NOT_CHECKED = "passed", "refused", "not checked"
STYLES = {PASSED: "green", REFUSED: "bold red", NOT_CHECKED: "yellow"}


@options.requests("kernels", "threads")
def audit(request: Request, as_json: options.AsJson = False) -> None:
    """Run every check on kernels, in two processes each: those of a run, and whether one changes what measures it.

    Each kernel has one line for each check: passed, refused, or not checked, with the reason. Exit 1 if one is refused.

    Example: mlpbench audit numpy ./mine.py:fast
    """
    from mlpbench.bench.analysis.judge import judge
    from mlpbench.bench.api import run as runs_
    from mlpbench.bench.machine.child import scratch
    from mlpbench.bench.record import runs

    if not request.kernels:
        raise UserError("name the kernels to audit, such as numpy or ./mine.py:fast")
    # Two processes: what rests on a time needs both.
    planned = runs_.plan(replace(request, repeats=2, audit=True))
    with scratch() as made, console.working("measuring"):
        carried = runs_.carry_out(planned, made)
        if not carried.finished:
            raise typer.Exit(console.INTERRUPTED)
        carried.measure_limits()
        run = judge(runs.read_run(carried.folder))
        found = {kernel: list(verdicts(run, kernel)) for kernel in planned.sweep.plan.kernels}
    if as_json:
        as_dicts = {kernel: [{"check": c, "verdict": v, "why": w} for c, v, w in own] for kernel, own in found.items()}
        console.print_json({"kernels": as_dicts})
    for kernel, lines in found.items() if not as_json else ():
        shown = console.table(kernel, "check", "verdict", "")
        for check, verdict, why in lines:
            shown.add_row(check, Text(verdict, STYLES[verdict]), Text(why))
        console.out().print(shown)
    if any(verdict == REFUSED for own in found.values() for _, verdict, _ in own):
        raise typer.Exit(1)


def verdicts(run: Judged, kernel: str) -> Iterator[tuple[str, str, str]]:
    """Yield each check of a kernel in a judged run with its verdict, and what it asks or why it is not passed."""
    records = [record for record in run.records if record.kernel == kernel]
    failures = [failure for record in records for failure in record.failures]
    if broken := next((one for one in failures if one.check is None), None):
        yield "gate", REFUSED, broken.reason
        return
    yield "gate", PASSED, "it agrees with the reference"
    refused = {one.check: one.reason for one in failures}
    seen = {one.check: one.reason for record in records for one in record.trust.refusals}
    impossible = _impossible(run, kernel)
    for check, asks in CHECKS.items():
        if check in refused:
            yield check, REFUSED, refused[check]
        elif check in seen:
            yield check, NOT_CHECKED, f"one process of {len(records)} says: {seen[check]}"
        elif check in impossible:
            yield check, NOT_CHECKED, impossible[check]
        else:
            yield check, PASSED, asks


def _impossible(run: Judged, kernel: str) -> dict[str, str]:
    """Return the checks that nobody can make of a kernel here, and why."""
    from mlpbench.bench.analysis.times import unchecked

    record = next(record for record in run.records if record.kernel == kernel)
    device, found = record.device or CPU, dict[str, str]()
    if device == CPU:
        found["wait"] = "it computes on the CPU"
    else:
        found["transfers"] = "it computes on a device, where transfers are work"
        if record.device_times is None:
            found["wait"] = "its device's own clock is not known"
    roofs = run.roofs.by_device.get(device) if run.roofs else None
    if unchecked(record) or roofs is None or not roofs.measured:
        found["roofline"] = "it skips work" if record.facts.skips_work else "the machine's limits are not known"
    if not hasattr(os, "sched_getaffinity"):
        found |= dict.fromkeys(("affinity", "priority"), "the system does not tell")
    return found
