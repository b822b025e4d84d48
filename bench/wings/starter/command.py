"""`mlpbench new`: writes `kernels/own/template.py` under another name."""

import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels import own


def new(path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as mine.py.")]) -> None:
    """Write a file with a kernel to start from, and say how to run it. An existing file is not changed.

    Example: mlpbench new mine.py
    """
    if path.suffix != ".py":
        raise UserError(f"{path}: a kernel's file ends in .py")
    template = resources.files(own).joinpath("template.py").read_text(encoding="utf-8")
    with user_error(f"cannot write {path}"), path.open("x", encoding="utf-8") as file:
        file.write(template)
    typed = shlex.quote(f"{path}:fast")
    console.say(f"wrote {path}: try `mlpbench check {typed}`, then `mlpbench run numpy {typed}`")
