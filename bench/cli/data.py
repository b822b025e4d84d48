"""`mlpbench fetch` and `mlpbench show`: the book's data, and one image of it."""

from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, Data, DataDir, Weights
from mlpbench.bench.errors import UserError
from mlpbench.kernels import registry


def fetch(
    data_dir: DataDir = None,
    test_only: Annotated[
        bool, typer.Option("--test-only", help="Only the test half and the weights: enough to benchmark.")
    ] = False,
) -> None:
    """Download MNIST and the book's weights from their public mirrors, and verify them. Nothing else uses the network.

    Example: mlpbench fetch --test-only
    """
    from mlpbench.bench.data import fetch as download
    from mlpbench.bench.data import mnist

    folder = mnist.resolve_data_dir(data_dir)
    for path in download.fetch(folder, test_only=test_only):
        print(path)  # noqa: T201 - data


def show(
    index: Annotated[int, typer.Argument(help="Which image, from 0.")],
    data: Data = None,
    data_dir: DataDir = None,
    weights: Weights = None,
    kernel: Annotated[str, typer.Option(help="The kernel that classifies it.")] = "numpy",
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the image as PNG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a digit in the terminal with its label and each class's probability, as the book's `img_show` does.

    Example: mlpbench show 0 --png zero.png
    """
    import numpy as np

    from mlpbench.bench.data import show as picture
    from mlpbench.bench.data.workload import Options, Workload
    from mlpbench.bench.measure import verdict

    workload = Workload(Options(data=data, data_dir=data_dir, weights=weights), rows=1)
    picture.check_index(index, workload.dataset)
    _ = workload.params  # bad input is told before anything runs
    said = verdict.probabilities(workload.options, registry.give(kernel), index)
    if "outputs" not in said:
        raise UserError(f"{kernel} is unavailable: {said['reason']}")
    probabilities = np.array(said["outputs"], workload.spec.np_dtype)
    if png is not None:
        picture.save_png(workload.dataset.images[index], png)
        console.say(f"wrote {png}")
    if as_json:
        console.print_json(picture.as_dict(index, workload.dataset, probabilities))
    else:
        console.out().print(picture.show(index, workload.dataset, probabilities))
