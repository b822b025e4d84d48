"""The suite's own options for pytest; the clock's are pytest-benchmark's."""

from pathlib import Path

import pytest

from mlpbench.bench import cases as cases_
from mlpbench.kernels.spec import MNIST


def add(parser: pytest.Parser) -> None:
    """Add the suite's own options; the clock's are pytest-benchmark's."""
    group = parser.getgroup("mlpbench", "mlpbench: what is computed")
    many = {"action": "append", "default": []}
    group.addoption(
        "--kernel",
        metavar="NAME",
        help="a kernel to time, may be repeated; default: every available one but peers",
        **many,
    )
    group.addoption(
        "--mode", metavar="MODE", help=f"{', '.join(cases_.MODES)}; may be repeated; default: the first two", **many
    )
    group.addoption("--batch-size", metavar="N", help="rows per call, or all (10,000); may be repeated", **many)
    group.addoption(
        "--per-sample-rows",
        metavar="N",
        default=str(cases_.PER_SAMPLE_ROWS),
        help="rows that a round of per_sample takes, one at a time; default: %(default)s",
    )
    group.addoption("--data", metavar="NAME", help="digits, mnist or random; default: digits where they fit")
    group.addoption("--model", metavar="FILE", type=Path, help="weights or a network; default: those shipped")
    group.addoption("--spec", help=f"sizes of the layers and activations; default: {MNIST.text}")
    group.addoption("--dtype", default=MNIST.dtype, help="float32 or float64; default: %(default)s")
    group.addoption(
        "--mlpbench-run", metavar="FILE", type=Path, help="run.json of the run that this process belongs to"
    )
    group.addoption("--mlpbench-repeat", metavar="K", type=int, default=0, help="which repeat of that run this is")
    group.addoption(
        "--mlpbench-looks", metavar="FILE", type=Path, help="look.json, the fastest looks of this machine so far"
    )
    _add_trust(parser)


def _add_trust(parser: pytest.Parser) -> None:
    group = parser.getgroup("mlpbench-trust", "mlpbench: what is looked at besides the times")
    group.addoption("--p99", metavar="TIME", help="a budget, as 5ms: time single calls of every batch size")
    group.addoption("--mlpbench-audit", action="store_true", help="ask too whether the kernel changes what measures it")
    group.addoption("--cold", action="store_true", help="start the kernel without compiled code too, which compiles it")
