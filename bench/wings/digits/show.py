"""`mlpbench show`: one image in the terminal, its label and each class's probability."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, requests
from mlpbench.bench.data.datasets import SIDE, Dataset
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan.request import Request
from mlpbench.bench.plan.sweep import make_options
from mlpbench.kernels import reference

#: From paper to ink, where there are no colours: each character stands for two pixels, one above the other.
RAMP = " .:-=+*#%@"


@requests("data", "model")
def show(
    request: Request,
    index: Annotated[int, typer.Argument(metavar="N", help="Which image, from 0.")],
    as_json: AsJson = False,
) -> None:
    """Show a digit in the terminal with its label and each class's probability, as the book's `img_show` does.

    Example: mlpbench show 0
    """
    workload = Workload(make_options(request), rows=1)
    check_index(index, workload.dataset)
    x = workload.dataset.inputs(workload.spec.np_dtype, index + 1)[index]
    facts = as_dict(index, workload.dataset, reference.forward(workload.spec, workload.params, x))
    if as_json:
        console.print_json(facts)
        return
    out = console.out()
    out.print(picture(facts, plain=out.color_system is None or out.no_color or out.options.ascii_only))


def check_index(index: int, dataset: Dataset) -> None:
    """Raise UserError unless ``dataset`` has a row ``index``, counted from 0, and its rows are images of 28x28."""
    if not 0 <= index < len(dataset):
        raise UserError(f"there is no image {index}: {dataset.name} has rows 0 to {len(dataset) - 1}")
    if dataset.images[0].size != SIDE * SIDE:
        raise UserError(f"{dataset.name} rows of {dataset.images[0].size} values are no images of {SIDE}x{SIDE} pixels")


def as_dict(index: int, dataset: Dataset, probabilities: NDArray[Any]) -> dict[str, Any]:
    """Return row ``index`` as JSON can hold it. ``pixels`` are 28 rows of 28 numbers, 0 (paper) to 255 (ink).

    ``label`` and ``right`` are None where the data has no labels; of two classes equally probable, the first is the
    ``answer``.
    """
    values = np.asarray(probabilities, np.float64).reshape(-1).tolist()
    label = None if dataset.labels is None else int(dataset.labels[index])
    answer = int(np.argmax(values))
    image = dataset.images[index].reshape(SIDE, SIDE)
    pixels = image if image.dtype == np.uint8 else np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return {
        "index": index,
        "data": dataset.name,
        "rows": len(dataset),
        "sha256": dataset.sha256,
        "source": dataset.source,
        "label": label,
        "answer": answer,
        "right": None if label is None else label == answer,
        "probabilities": values,
        "pixels": pixels.tolist(),
    }


def picture(facts: Mapping[str, Any], *, plain: bool) -> RenderableType:
    """Return what rich prints for an image of `as_dict`: it fits into 80 columns.

    The image has 28 columns and 14 lines, of half blocks in grey, or where it is to be ``plain`` of ASCII characters.
    """
    heading = Text(f"{facts['data']}, image {facts['index']} (0 to {facts['rows'] - 1}): ")
    if facts["label"] is not None:
        heading.append(f"label {facts['label']}, ")
    heading.append(f"the network says {facts['answer']}")
    if facts["right"] is not None:
        heading.append(" (right)" if facts["right"] else " (wrong)", style="green" if facts["right"] else "red")
    beside = Table.grid(padding=(0, 2))
    beside.add_column(width=SIDE, no_wrap=True, overflow="crop")
    pixels = np.array(facts["pixels"], np.uint8)
    beside.add_row(_in_ascii(pixels) if plain else _in_grey(pixels), _probabilities(facts, "#" if plain else "█"))
    return Group(heading, Text(), beside)


def _probabilities(facts: Mapping[str, Any], block: str) -> Table:
    table = Table("class", "probability", "", "", box=None, pad_edge=False, header_style="bold")
    for column in table.columns[:2]:
        column.justify = "right"
    width = table.columns[2].width = 16
    for number, probability in enumerate(facts["probabilities"]):
        marks = [word for word in ("label", "answer") if facts[word] == number]
        filled = round(np.nan_to_num(probability) * width)  # NaN, from a network that is broken, gets no bar
        style = "bold" if "answer" in marks else ""
        table.add_row(str(number), f"{probability:.4f}", block * min(filled, width), ", ".join(marks), style=style)
    return table


def _in_grey(pixels: NDArray[np.uint8]) -> Text:
    """Return 14 lines of upper half blocks: the foreground is one row of pixels, the background the next."""
    lines = (
        Text.assemble(*(("▀", f"rgb({up},{up},{up}) on rgb({low},{low},{low})") for up, low in zip(*rows, strict=True)))
        for rows in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True)
    )
    return Text("\n", no_wrap=True).join(lines)


def _in_ascii(pixels: NDArray[np.uint8]) -> Text:
    """Return 14 lines of characters, darker where there is more ink."""
    ink = (pixels[::2].astype(np.int64) + pixels[1::2]) * (len(RAMP) - 1)
    levels = (ink + 255) // 510
    return Text("\n".join("".join(RAMP[level] for level in row) for row in levels), no_wrap=True)
