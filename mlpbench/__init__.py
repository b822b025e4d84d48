"""How much faster is a neural network in batches? In Python: `frame` reads saved results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    import pandas as pd

__version__ = "0.1.0"


def frame(*paths: str | PathLike[str]) -> pd.DataFrame:
    """Return saved results as one frame: a row for each case and repeat, times in seconds.

    Each path is the folder of a run, which `mlpbench run` names at its end, or the file of one record. The columns are
    those of `mlpbench report --format csv`; `bench.analysis.frame` describes them. The first call imports pandas.

    Raises `bench.errors.UserError`, one line, where a path cannot be read or two of them are of one run.
    """
    from pathlib import Path

    from mlpbench.bench.analysis.frame import load

    return load(map(Path, paths))
