"""`mlpbench list` and `mlpbench env`: the kernels, and whether they can run here; and what here is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Kernels, Peers
from mlpbench.bench.cli.settings import Invocation
from mlpbench.kernels import registry

if TYPE_CHECKING:
    from mlpbench.bench.plan.probe import Probed


def list_kernels(kernels: Kernels = None, peers: Peers = False, as_json: AsJson = False) -> None:
    """Show the kernels, or those that are named, and for each whether it can run here or why not.

    Each backend is tried in a process of its own, side by side; in a terminal, answers show as they come.

    Example: mlpbench list --json
    """
    from mlpbench.bench.plan import probe

    names = [*registry.usual(), *registry.third_party()] if not peers else registry.names()
    names = list(map(registry.give, kernels or ())) or names
    out = console.out()
    if as_json:
        console.print_json([answer.as_dict() for answer in probe.probe_all(names)])
        return
    if not out.is_terminal:
        out.print(_table(names, {answer.name: answer for answer in probe.probe_all(names)}))
        return
    from rich.live import Live

    answers: dict[str, Probed] = {}
    with Live(_table(names, answers), console=out, auto_refresh=False) as live:
        for answer in probe.probe_all(names):
            answers[answer.name] = answer
            live.update(_table(names, answers), refresh=True)


def _table(names: list[str], answers: dict[str, Probed]) -> Table:
    shown = console.table("Kernels", "kernel", "backend", "device", "version", "available")
    for name in names:
        answer = answers.get(name)
        if answer is None:
            shown.add_row(name, "", "", "", Text("asking …", "dim"))
            continue
        verdict = Text("yes", "green") if answer.available else Text(f"no: {answer.reason}", "yellow")
        where = Text(answer.backend or "?"), Text(answer.device or "?")
        shown.add_row(Text(name), *where, answer.version or "-", verdict)
    return shown


def env(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what every result is recorded with: machine, libraries, BLAS and its threads, GPU, commit.

    A settings file is shown too, key by key; `mlpbench run --dry-run` shows where each option of a run comes from.

    Example: mlpbench env --json
    """
    import numpy as np

    from mlpbench.bench.machine import environment

    np.ones((2, 2)) @ np.ones((2, 2))  # BLAS shows once its library is loaded
    found = environment.collect()
    settings = (context.find_object(Invocation) or Invocation()).settings
    if as_json:
        told = {"file": str(settings.file), "options": settings.flat()} if settings.file else None
        console.print_json({**found.as_dict(), "settings": told})
        return
    shown = console.table("Environment", "what", "is")
    for section, content in found.as_dict().items():
        for name, value in environment.flatten(section, content):
            shown.add_row(name, Text(value))
    for key, value in settings.flat().items():
        shown.add_row(Text(f"settings {settings.file}: {key}"), Text(value))
    console.out().print(shown)
    for warning in environment.warnings(found):
        console.say(f"warning: {warning}", "yellow")
