"""Options that several commands share."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry

#: The book's network, `kernels.spec.MNIST`, written out: importing it would import NumPy for `--help`.
SIZES = "784-50-100-10"

#: How the name of a run begins.
_STAMP = re.compile(r"\d{8}T\d{6}Z")

#: Options of one panel of the help.
what = partial(typer.Option, rich_help_panel="What is computed")
how = partial(typer.Option, rich_help_panel="How it is timed")
closer = partial(typer.Option, rich_help_panel="A closer look")


@dataclass(frozen=True)
class Reader:
    """What reads each text of an option. It raises for one that the command would refuse later.

    A settings file is held to it at once: nobody could say later that the file holds the text.
    """

    read: Callable[[str], object]


def _one_of(*known: str) -> Reader:
    def read(word: str) -> None:
        if word not in known:
            raise UserError(f"unknown {word!r}{registry.nearest(word, list(known))}; there are {', '.join(known)}")

    return Reader(read)


def _network(sizes: str = SIZES, **changes: str) -> object:
    from mlpbench.kernels.spec import ForwardSpec  # brings NumPy

    return ForwardSpec.parse(sizes, **{"hidden": "sigmoid", "output": "softmax", **changes})


def _hidden(text: str) -> object:
    from mlpbench.kernels.spec import read_hidden

    return read_hidden(text)


def profile(name: str) -> object:
    """Return the profile of a name. Raises UserError for another."""
    from mlpbench.bench.plan import profiles

    return profiles.profile(name)


def _kernels(incomplete: str) -> list[str]:
    """Return the kernels that a shell can complete a word to."""
    return [name for name in registry.names() if name.startswith(incomplete)]


def _runs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the runs that a shell can complete a word to, the newest first.

    Folders are listed and no file is read: a shell waits for this. What cannot be listed is no word.
    """
    results = Path(context.params.get("results") or "results")
    try:
        found = [run.name for machine in results.iterdir() if machine.is_dir() for run in machine.iterdir()]
    except OSError:
        found = []
    names = ["latest", *sorted((name for name in found if _STAMP.match(name) and "." not in name), reverse=True)]
    return [name for name in names if name.startswith(incomplete)]


def sides(context: typer.Context, incomplete: str) -> list[str]:
    """Return what a shell can complete a side of a comparison to: runs, and kernels of the latest of them."""
    return [*_runs(context, incomplete), *_kernels(incomplete)]


def profiles(incomplete: str) -> list[str]:
    """Return the profiles that a shell can complete a word to."""
    from mlpbench.bench.plan.profiles import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]


Kernels = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KERNEL",
        help="Kernels by name, ./mine.py:fast or array-api:torch; default: all that are available, without peers and "
        "other packages' kernels; of `run` those that most know, such as numpy and numba (--all: all).",
        autocompletion=_kernels,
    ),
    Reader(registry.give),
]
Peers = Annotated[
    bool,
    what(
        "--peers",
        help="Also run every installed peer, such as ONNX Runtime or PyTorch.",
    ),
]
Data = Annotated[
    str | None,
    what(help="digits (ship with mlpbench), mnist, or random. Default: digits where they fit."),
    _one_of("digits", "mnist", "random"),
]
DataDir = Annotated[Path | None, what(help="Folder of the MNIST files; default: where `mlpbench fetch` puts them.")]
Weights = Annotated[Path | None, what(help="An .npz file, or the book's .pkl. Default: those shipped.")]


def use(device: str | None) -> None:
    """Let this process, and those that it starts, see one GPU alone. Raises UserError for what is none."""
    if device is not None:
        from mlpbench.bench.machine import card

        os.environ.update(card.chosen(device, os.environ))


Model = Annotated[
    Path | None,
    what(
        "--model",
        metavar="FILE",
        help="A network in a file, .onnx or .safetensors: its sizes, activations and weights.",
    ),
]
Spec = Annotated[str | None, what(help="Sizes of the layers. Default: 784-50-100-10."), Reader(_network)]
Hidden = Annotated[
    str | None,
    what(help="sigmoid, relu, step, tanh, gelu, silu, leaky-relu:SLOPE, or one for each layer. Default: sigmoid."),
    Reader(_hidden),
]
Output = Annotated[
    str | None, what(help="softmax or identity. Default: softmax."), Reader(lambda word: _network(output=word))
]
DType = Annotated[str, what(help="float32 or float64."), Reader(lambda word: values.parse_dtypes([word]))]
Specs = Annotated[
    list[str] | None,
    what(
        "--spec",
        metavar="SIZES",
        help="Sizes of the layers; may be repeated: an axis of the sweep. Default: 784-50-100-10.",
    ),
    Reader(_network),
]
DTypes = Annotated[
    list[str] | None,
    what(
        "--dtype",
        metavar="DTYPE",
        help="float32 or float64; both (float32,float64) are an axis of the sweep. Default: float32.",
    ),
    Reader(lambda word: values.parse_dtypes([word])),
]
Threads = Annotated[
    list[str] | None,
    how(
        metavar="N",
        help="Threads of every library; several (1,2) are an axis of the sweep. Default: all.",
    ),
    Reader(lambda word: values.parse_threads([word])),
]
Envs = Annotated[
    list[str] | None,
    how(
        "--env",
        metavar="NAME=PATH",
        help="A Python environment to measure, its folder or interpreter; several are an axis of the sweep.",
    ),
]
Device = Annotated[
    str | None,
    how(
        "--device",
        metavar="CARD",
        help="The GPU to use: its index, or its UUID as `nvidia-smi -L` shows it. Default: the first that is visible.",
    ),
]
P99 = Annotated[
    str | None,
    closer(
        "--p99",
        metavar="TIME",
        help="Find the largest batch with a p99 under this, such as 5ms. Times single calls of every batch size.",
    ),
    Reader(values.parse_duration),
]
Cold = Annotated[
    bool,
    closer(
        "--cold",
        help="Also start each kernel without compiled code: up to half a minute more. The profile full does.",
    ),
]
Timeout = Annotated[
    str | None,
    how(
        "--timeout",
        metavar="TIME",
        help="Stop a process after this long, such as 5m. Default: up to half the budget, or 10 minutes.",
    ),
    Reader(lambda word: values.parse_budget(word, "timeout")),
]
going_on = partial(typer.Option, rich_help_panel="Go on with a run that has stopped")
Resume = Annotated[
    str | None,
    going_on(
        "--resume",
        metavar="[RUN]",
        help="Run what is missing of a run's plan. Default: the newest run of this machine that has stopped.",
    ),
]
Anyway = Annotated[
    bool, going_on("--anyway", help="Go on though machine, commit, libraries, data or weights differ; reports say so.")
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN", help="Run folders, result files or run ids. Default: the latest.", autocompletion=_runs
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show every case, and all notes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the results.")]
FailIfSlower = Annotated[
    str | None,
    typer.Option(metavar="SHARE", help="Ask of each case whether it is slower by more than this: 5%, or 0.05."),
    Reader(values.parse_threshold),
]
Format = Annotated[
    str | None,
    typer.Option(help="md, or github: annotations, and the table in the job's summary. Default: a table for people."),
]
