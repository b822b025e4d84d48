"""Write docs/reference.md from the program: kernels, commands with their options, exit statuses.

python scripts/reference.py             writes it
python scripts/reference.py --check     exit 1 if the page is not what the program says
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from mlpbench.bench.cli.app import COMMANDS, app
from mlpbench.kernels import registry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference.md"
HEAD = """# Reference

What kernels, commands and options are there? `python scripts/reference.py` writes this page from the program.
Everywhere `--json` prints JSON instead of a table, and `--results` names the folder of the results.
"""
#: Options that mean the same everywhere.
COMMON = ("--json", "--results")
STATUSES = """
## Exit statuses

| status | |
| --- | --- |
| 1 | a kernel is wrong, failed or is slower |
| 2 | bad input; one line says what is wrong |
| 3, 4 | `compare` finds nothing comparable; with `--strict`, it left cases undecided |
| 130 | Ctrl-C; what was finished is kept, and [`mlpbench run --resume`](resume.md) goes on |
"""


def page() -> str:
    """Return the text of the page."""
    kernels = ", ".join(f"`{name}`" for name in registry.usual())
    peers = ", ".join(f"`{name}`" for name in registry.peers())
    lines = [HEAD, "## Kernels", "", f"Ours: {kernels}.", "", f"[Peers](peers.md): {peers}.", ""]
    group = typer.main.get_command(app)
    for name in COMMANDS:
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        summary = (command.help or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")
        lines += [f"## `mlpbench {name}`", "", summary, "", "| option | |", "| --- | --- |"]
        options = [one for one in command.params if one.param_type_name == "option"]
        if not options:
            lines = lines[:-2]
        for option in (one for one in options if one.opts[-1] not in COMMON):
            words = ", ".join(f"`{word}`" for word in option.opts)
            text = " ".join((option.help or "").split()).replace("|", "\\|")
            lines.append(f"| {words} | {text} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n" + STATUSES


def main() -> int:
    """Write or compare; return the exit status."""
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
