"""One image in the terminal, its label and each class's probability; or as a PNG file. The book's ``img_show``."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from mlpbench.bench.data.datasets import Dataset
from mlpbench.bench.data.mnist import SIDE
from mlpbench.bench.errors import UserError, user_error
from mlpbench.kernels.files import write_whole

#: From paper to ink, where there are no colours: each character stands for two pixels, one above the other.
RAMP = " .:-=+*#%@"
BAR_WIDTH = 16
#: Pixels of a PNG file on each side of a pixel of the image.
_SCALE = 10


def show(index: int, dataset: Dataset, probabilities: NDArray[Any]) -> RenderableType:
    """Return what rich prints for row ``index``: the image, its label, and the probabilities (n_classes,) as bars.

    Half blocks in grey where the console has colours, else ASCII characters: in a file or a pipe it reads as well.
    28 columns by 14 lines for the image; the whole fits into 80 columns. Raises UserError as `check_index` does.
    """
    check_index(index, dataset)
    return _Shown(as_dict(index, dataset, probabilities))


def as_dict(index: int, dataset: Dataset, probabilities: NDArray[Any]) -> dict[str, Any]:
    """Return the same for programs: JSON's types only. ``pixels`` are 28 rows of 28 numbers, 0 (paper) to 255 (ink).

    ``label`` and ``right`` are None where the data has no labels; of two classes equally probable, the first is
    the ``answer``. Raises UserError as `check_index` does.
    """
    check_index(index, dataset)
    values = [float(p) for p in np.asarray(probabilities).reshape(-1)]
    label = None if dataset.labels is None else int(dataset.labels[index])
    answer = int(np.argmax(values))
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
        "pixels": _pixels(dataset.images[index]).tolist(),
    }


def check_index(index: int, dataset: Dataset) -> None:
    """Raise UserError unless ``dataset`` has a row ``index``, counted from 0, and its rows are images of 28x28."""
    if not 0 <= index < len(dataset):
        raise UserError(f"there is no image {index}: {dataset.name} has rows 0 to {len(dataset) - 1}")
    if dataset.n_in != SIDE * SIDE:
        raise UserError(f"{dataset.name} rows of {dataset.n_in} values are no images of {SIDE}x{SIDE} pixels")


def save_png(image: NDArray[Any], path: Path) -> None:
    """Write one image (784,) or (28, 28) as a grey PNG file of 280x280 pixels.

    An existing PNG file of that name is replaced, in one step. Raises UserError for a name that does not end in
    ``.png``, a path that cannot be written, and where Pillow is not installed.
    """
    if path.suffix.lower() != ".png":
        raise UserError(f"{path} is no name for a PNG file: let it end in .png")
    try:
        from PIL import Image
    except ImportError:
        raise UserError("saving a PNG file needs Pillow: pip install -e '.[png]'") from None

    picture = Image.fromarray(_pixels(image).repeat(_SCALE, axis=0).repeat(_SCALE, axis=1))
    content = io.BytesIO()
    picture.save(content, format="PNG")
    with user_error(f"cannot write {path}"):
        write_whole(path, content.getvalue())


def _pixels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image as (28, 28) bytes; floats are taken to be in [0, 1]."""
    square = image.reshape(SIDE, SIDE)
    return np.asarray(square if square.dtype == np.uint8 else np.rint(np.clip(square, 0, 1) * 255), np.uint8)


@dataclass(frozen=True)
class _Shown:
    """What `show` returns: it looks at the console only when it is printed."""

    facts: dict[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = console.color_system is None or console.no_color or options.ascii_only
        pixels = np.array(self.facts["pixels"], np.uint8)
        beside = Table.grid(padding=(0, 2))
        beside.add_column(width=SIDE, no_wrap=True, overflow="crop")
        beside.add_column()
        beside.add_row(_in_ascii(pixels) if plain else _in_grey(pixels), self._probabilities(plain=plain))
        yield Group(self._heading(), Text(), beside)

    def _heading(self) -> Text:
        f = self.facts
        text = Text(f"{f['data']}, image {f['index']} (0 to {f['rows'] - 1}): ")
        if f["label"] is not None:
            text.append(f"label {f['label']}, ")
        text.append(f"the network says {f['answer']}")
        if f["right"] is not None:
            text.append(" (right)" if f["right"] else " (wrong)", style="green" if f["right"] else "red")
        return text

    def _probabilities(self, *, plain: bool) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("class", justify="right", no_wrap=True, overflow="crop")
        table.add_column("probability", justify="right", no_wrap=True, overflow="crop")
        table.add_column("", width=BAR_WIDTH, no_wrap=True, overflow="crop")
        table.add_column("", no_wrap=True, overflow="crop")
        for number, probability in enumerate(self.facts["probabilities"]):
            marks = [word for word in ("label", "answer") if self.facts[word] == number]
            # NaN, from a network that is broken, gets no bar.
            filled = round(min(max(probability, 0.0), 1.0) * BAR_WIDTH) if np.isfinite(probability) else 0
            bar = ("#" if plain else "█") * filled
            style = "bold" if "answer" in marks else ""
            table.add_row(str(number), f"{probability:.4f}", bar, ", ".join(marks), style=style)
        return table


def _in_grey(pixels: NDArray[np.uint8]) -> Text:
    """Return 14 lines of upper half blocks: the foreground is one row of pixels, the background the next."""
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        for up, low in zip(upper, lower, strict=True):
            text.append("▀", style=f"rgb({up},{up},{up}) on rgb({low},{low},{low})")
        text.append("\n")
    text.right_crop()
    return text


def _in_ascii(pixels: NDArray[np.uint8]) -> Text:
    """Return 14 lines of characters, darker where there is more ink."""
    ink = (pixels[::2].astype(np.int64) + pixels[1::2]) * (len(RAMP) - 1)
    levels = (ink + 255) // 510
    return Text("\n".join("".join(RAMP[level] for level in row) for row in levels), no_wrap=True)
