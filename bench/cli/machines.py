"""`mlpbench merge`: results of many machines in one folder."""

from pathlib import Path
from typing import Annotated

import typer

from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results


def merge(
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Folders of results, of one machine's, or of one run.")
    ],
    results: Results = Path("results"),
) -> None:
    """Copy the runs of other folders of results into this one.

    A run that is there already stays as it is: a second time nothing changes. Two different results of one name are
    refused with both paths, and then nothing is copied.

    Example: mlpbench merge /mnt/node1/results /mnt/node2/results
    """
    from mlpbench.bench import words
    from mlpbench.bench.record import merge as merging

    found = merging.merge(sources, results)
    for note in found.notes:
        console.say(note, "yellow")
    for folder in found.added:
        print(folder)  # noqa: T201
    console.say(f"{words.things(len(found.added), 'run')} added to {results}, {len(found.same)} there already")
