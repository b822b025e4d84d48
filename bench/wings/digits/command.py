"""`mlpbench fetch` and `mlpbench show`: the book's data, and one image of it."""

from typing import Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import AsJson, requests
from mlpbench.bench.plan.request import Request


def fetch() -> None:
    """Download MNIST and the book's weights from their public mirrors, and verify them. Nothing else uses the network.

    They go into the folder that the variable MLPBENCH_DATA names, or into the user's cache.

    Example: mlpbench fetch
    """
    from mlpbench.bench.wings.digits import fetch as download

    for path in download.fetch(say=console.say):
        print(path)  # noqa: T201 - data


@requests("data", "model")
def show(
    request: Request,
    index: Annotated[int, typer.Argument(metavar="N", help="Which image, from 0.")],
    as_json: AsJson = False,
) -> None:
    """Show a digit in the terminal with its label and each class's probability, as the book's `img_show` does.

    Example: mlpbench show 0
    """
    from mlpbench.bench.data.workload import Workload
    from mlpbench.bench.plan.sweep import make_options
    from mlpbench.bench.wings.digits import show as picture
    from mlpbench.kernels import reference

    workload = Workload(make_options(request), rows=1)
    picture.check_index(index, workload.dataset)
    x = workload.dataset.inputs(workload.spec.np_dtype, index + 1)[index]
    facts = picture.as_dict(index, workload.dataset, reference.forward(workload.spec, workload.params, x))
    if as_json:
        console.print_json(facts)
        return
    out = console.out()
    out.print(picture.show(facts, plain=out.color_system is None or out.no_color or out.options.ascii_only))
