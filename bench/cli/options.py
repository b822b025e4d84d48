"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

#: The book's network, `kernels.spec.MNIST`, written out: importing it would import NumPy for `--help`.
SIZES = "784-50-100-10"

_WHAT = "What is computed"

Kernels = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KERNEL]...", help="Kernels by name; every available one but the peers if none is named."),
]
Peers = Annotated[
    bool,
    typer.Option(
        "--peers",
        help="And every available peer: runtimes that one might use instead, such as ONNX Runtime or PyTorch.",
        rich_help_panel=_WHAT,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="digits (ship with mlpbench), mnist, or random. Default: digits where they fit.", rich_help_panel=_WHAT
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Folder of the MNIST files; default: where `mlpbench fetch` puts them.", rich_help_panel=_WHAT),
]
Weights = Annotated[
    Path | None, typer.Option(help="An .npz file, or the book's .pkl. Default: those shipped.", rich_help_panel=_WHAT)
]
Spec = Annotated[str, typer.Option(help="Sizes of the layers.", rich_help_panel=_WHAT)]
Hidden = Annotated[str, typer.Option(help="sigmoid, relu or step.", rich_help_panel=_WHAT)]
Output = Annotated[str, typer.Option(help="softmax or identity.", rich_help_panel=_WHAT)]
DType = Annotated[str, typer.Option(help="float32 or float64.", rich_help_panel=_WHAT)]
Specs = Annotated[
    list[str] | None,
    typer.Option(
        "--spec",
        metavar="SIZES",
        help="Sizes of the layers; may be repeated: an axis of the sweep. Default: 784-50-100-10.",
        rich_help_panel=_WHAT,
    ),
]
DTypes = Annotated[
    list[str] | None,
    typer.Option(
        "--dtype",
        metavar="DTYPE",
        help="float32 or float64; both (float32,float64) are an axis of the sweep. Default: float32.",
        rich_help_panel=_WHAT,
    ),
]
Threads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N",
        help="Threads of every library; several (1,2) are an axis of the sweep. Default: all.",
        rich_help_panel="How it is timed",
    ),
]
Latency = Annotated[
    list[str] | None,
    typer.Option(
        metavar="N",
        help="Time single calls of this batch size too; may be repeated. Batch size 1 always is.",
        rich_help_panel="A closer look",
    ),
]
P99 = Annotated[
    str | None,
    typer.Option(
        "--p99",
        metavar="TIME",
        help="Find the largest batch whose p99 stays under this, as 5ms; times single calls of every batch size.",
        rich_help_panel="A closer look",
    ),
]
Cold = Annotated[
    bool,
    typer.Option(
        "--cold",
        help="Start each kernel without compiled code too: up to half a minute more for each. The profile full does.",
        rich_help_panel="A closer look",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of the results.")]
