"""`mlpbench env`: the machine, the libraries, BLAS and its threads, the GPU."""

from __future__ import annotations

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson


def env(as_json: AsJson = False) -> None:
    """Show what every result is recorded with: machine, libraries, BLAS and its threads, GPU, commit.

    Example: mlpbench env --json
    """
    import numpy as np
    from rich.text import Text

    from mlpbench.bench.machine import environment

    np.ones((2, 2)) @ np.ones((2, 2))  # BLAS shows once its library is loaded
    found = environment.collect()
    if as_json:
        console.print_json(found)
        return
    shown = console.table("Environment", "what", "is")
    for section, content in found.items():
        for name, value in environment.flatten(section, content):
            shown.add_row(name, Text(value))
    out = console.out()
    out.print(shown)
    for warning in environment.warnings(found):
        console.err().print(Text(f"warning: {warning}", "yellow"))
