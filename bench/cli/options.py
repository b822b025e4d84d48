"""Options that several commands share."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

#: The book's network, `kernels.spec.MNIST`, written out: importing it would import NumPy for `--help`.
SIZES = "784-50-100-10"

#: Options of one panel of the help.
what = partial(typer.Option, rich_help_panel="What is computed")
how = partial(typer.Option, rich_help_panel="How it is timed")
closer = partial(typer.Option, rich_help_panel="A closer look")


def _kernels(incomplete: str) -> list[str]:
    """Return the kernels that a shell can complete a word to."""
    from mlpbench.kernels import registry

    return [name for name in registry.names() if name.startswith(incomplete)]


Kernels = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KERNEL",
        help="Kernels by name; default: all available ones, without peers and other packages' kernels.",
        autocompletion=_kernels,
    ),
]
Peers = Annotated[
    bool,
    what(
        "--peers",
        help="Also run every installed peer, such as ONNX Runtime or PyTorch.",
    ),
]
ThirdParty = Annotated[bool, what("--third-party", help="Also run the installed kernels of other packages.")]
Data = Annotated[
    str | None, what(help="digits (ship with mlpbench), mnist, or random. Default: digits where they fit.")
]
DataDir = Annotated[Path | None, what(help="Folder of the MNIST files; default: where `mlpbench fetch` puts them.")]
Weights = Annotated[Path | None, what(help="An .npz file, or the book's .pkl. Default: those shipped.")]
Spec = Annotated[str, what(help="Sizes of the layers.")]
Hidden = Annotated[str, what(help="sigmoid, relu or step.")]
Output = Annotated[str, what(help="softmax or identity.")]
DType = Annotated[str, what(help="float32 or float64.")]
Specs = Annotated[
    list[str] | None,
    what(
        "--spec",
        metavar="SIZES",
        help="Sizes of the layers; may be repeated: an axis of the sweep. Default: 784-50-100-10.",
    ),
]
DTypes = Annotated[
    list[str] | None,
    what(
        "--dtype",
        metavar="DTYPE",
        help="float32 or float64; both (float32,float64) are an axis of the sweep. Default: float32.",
    ),
]
Threads = Annotated[
    list[str] | None,
    how(metavar="N", help="Threads of every library; several (1,2) are an axis of the sweep. Default: all."),
]
Latency = Annotated[
    list[str] | None,
    closer(metavar="N", help="Also time single calls of this batch size; may be repeated. Size 1 is always timed."),
]
P99 = Annotated[
    str | None,
    closer(
        "--p99",
        metavar="TIME",
        help="Find the largest batch with a p99 under this, such as 5ms. Times single calls of every batch size.",
    ),
]
Cold = Annotated[
    bool,
    closer(
        "--cold",
        help="Also start each kernel without compiled code: up to half a minute more. The profile full does.",
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Run folders, result files or run ids. Default: the latest."),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show every case, and all notes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the results.")]
