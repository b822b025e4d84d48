"""The package of the docs, installed for real: its kernels are found, gated and timed as our own are."""

import json
import os
from functools import partial

import pytest

from mlpbench.bench.record import runs
from support.processes import python
from support.sources import blocks
from support.terminal import refused

pytestmark = pytest.mark.heavy

#: It has the package: its module comes first.
PAGE = "docs/adding-a-kernel.md"


def test_it_is_listed_gated_and_timed(tmp_path, quicker):
    source, installed, work, results = (tmp_path / name for name in ("source", "installed", "work", "results"))
    source.mkdir()
    (source / "mlpbench_example.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    (source / "pyproject.toml").write_text(*blocks(PAGE, "toml"), encoding="utf-8")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    ran = python("-m", "pip", "install", *offline, "--target", installed, source)
    assert ran.returncode == 0, f"pip could not install the example package (hatchling is needed): {ran.stderr}"
    work.mkdir()
    mlpbench = partial(python, "-m", "mlpbench", cwd=work, PYTHONPATH=f"{installed}{os.pathsep}{quicker}")
    (mine,) = (one for one in json.loads(mlpbench("list", "--json").stdout) if one["name"] == "numpy-wide")
    assert (mine["backend"], mine["available"], mine["reason"]) == ("numpy", True, None)
    (row,) = json.loads(mlpbench("check", "numpy-wide", "--json").stdout)["kernels"]
    assert (row["kernel"], row["verdict"]) == ("numpy-wide", "conforms")
    assert row["accuracy"]["per_sample"] == row["accuracy"]["batched"] > 0.9
    words = ("--profile", "smoke", "--spec", "20-10-3", "--batch-size", 1, "--results", results)
    ran = mlpbench("run", "numpy-wide", *words)
    run = runs.read_run(runs.latest(results))
    assert ran.returncode == bool(refused(run)), ran.stderr
    (record,) = run.records
    assert {(case.mode, case.batch_size) for case in record.cases} == {("per_sample", 100), ("batched", 1)}
    assert record.kernel_info.describe == {"sums": "float64"}
