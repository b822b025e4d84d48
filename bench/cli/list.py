"""`mlpbench list` and `mlpbench env`: the kernels, and whether they can run here; and what here is."""

from typing import Any

from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, requests
from mlpbench.bench.plan import probe
from mlpbench.bench.plan.request import Request, find_settings, in_words
from mlpbench.kernels import registry
from mlpbench.kernels.networks import NETWORKS


@requests("kernels", "peers")
def list_kernels(request: Request, as_json: AsJson = False) -> None:
    """Show the kernels, or those that are named, and for each whether it can run here or why not.

    Each backend is tried in a separate process.

    Example: mlpbench list --json
    """
    every = registry.names() if request.peers else [*registry.usual(), *registry.third_party()]
    names = list(map(registry.give, request.kernels)) or every
    with console.working("asking …"):
        answers = list(probe.probe_all(names))
    if as_json:
        console.print_json([answer.as_dict() for answer in answers])
        return
    table = console.table("Kernels", "kernel", "backend", "device", "version", "available")
    for answer in answers:
        verdict = Text("yes", "green") if answer.available else Text(f"no: {answer.reason}", "yellow")
        told = answer.name, answer.backend or "?", answer.device or "?", answer.version or "-"
        table.add_row(*map(Text, told), verdict)
    table.caption = f"Networks that --spec knows: {', '.join(NETWORKS)}"
    console.out().print(table)


def env(as_json: AsJson = False) -> None:
    """Show what every result is recorded with: machine, libraries, BLAS and its threads, GPU, commit.

    A settings file is shown too, key by key; `mlpbench run --dry-run` shows where each option of a run comes from.

    Example: mlpbench env --json
    """
    import numpy as np

    from mlpbench.bench.machine import environment

    np.ones((2, 2)) @ np.ones((2, 2))  # BLAS shows once its library is loaded
    here = environment.collect()
    file, settings = find_settings()
    options = {".".join(keys): in_words(value) for keys, value in settings.items()}
    if as_json:
        from_file = {"file": str(file), "options": options} if file else None
        console.print_json({**here.as_dict(), "settings": from_file})
        return
    table = console.table("Environment", "what", "is")
    rows = [row for section, content in here.as_dict().items() for row in _rows(section, content)]
    for name, value in (*rows, *((f"settings {file}: {key}", value) for key, value in options.items())):
        table.add_row(Text(name), Text(value))
    console.out().print(table)
    for warning in environment.warnings(here):
        console.say(f"warning: {warning}", "yellow")


def _rows(section: str, content: Any) -> list[tuple[str, str]]:
    """Return (name, value) rows of one section of an environment, in words; None is "not readable"."""
    if isinstance(content, list | tuple) and content and isinstance(content[0], dict):
        content = dict(enumerate(content))
    if isinstance(content, dict):
        return [row for name, value in content.items() for row in _rows(f"{section} {name}", value)]
    if isinstance(content, list | tuple):
        return [(section, ", ".join(f"{value:.2f}" if isinstance(value, float) else str(value) for value in content))]
    return [(section, "not readable" if content is None else str(content))]
