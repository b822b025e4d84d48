"""The package of the docs, installed for real: its kernels are found, gated and timed as our own are."""

import json
import os
from functools import partial

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.report import render
from support import doubles
from support.processes import python
from support.sources import ROOT, blocks

pytestmark = pytest.mark.heavy

#: It has the package: its module comes first.
PAGE = "docs/adding-a-kernel.md"
#: Beside the kernel of the package: kernels of one that gives wrong numbers, one that raises, one that dies.
FAULTS = {
    "numpy_no_bias": "support.mutants:BiasDropped",
    "numpy_raises": "RaisesInLargeBatches",
    "numpy_dies": "DiesInLargeBatches",
}
KERNELS = ["numpy-wide", *(name.replace("_", "-") for name in FAULTS)]


@pytest.fixture(scope="module")
def mlpbench(tmp_path_factory, quicker):
    """Run a command where the example package is installed; return the finished process."""
    folder = tmp_path_factory.mktemp("third-party")
    source = folder / "source"
    source.mkdir()
    (source / "mlpbench_example.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    (source / "pyproject.toml").write_text(*blocks(PAGE, "toml"), encoding="utf-8")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    ran = python("-m", "pip", "install", *offline, "--target", folder / "installed", source)
    assert ran.returncode == 0, f"pip could not install the example package (hatchling is needed): {ran.stderr}"
    (folder / "work").mkdir()
    places = (folder / "installed", doubles.offer(folder / "faults", **FAULTS), ROOT / "tests", quicker)
    return partial(python, "-m", "mlpbench", cwd=folder / "work", PYTHONPATH=os.pathsep.join(map(str, places)))


@pytest.fixture(scope="module")
def sweep(mlpbench, tmp_path_factory):
    """One run of all four kernels: the process that ran it, and what it recorded."""
    out = tmp_path_factory.mktemp("results")
    # 200 rows: more than the gate has, so that what raises and what dies does so in the sweep.
    small = ("--profile", "smoke", "--spec", "20-10-3", "--batch-size", 1, "--batch-size", 200)
    ran = mlpbench("run", *KERNELS, *small, "--results", out)
    return ran, runs.read_run(runs.latest(out))


def test_it_is_listed_and_gated_and_a_wrong_one_is_named(mlpbench):
    (mine,) = (one for one in json.loads(mlpbench("list", "--json").stdout) if one["name"] == "numpy-wide")
    assert (mine["backend"], mine["available"], mine["reason"]) == ("numpy", True, None)
    ran = mlpbench("check", "numpy-no-bias", "numpy-wide", "--json")
    assert ran.returncode == 1, ran.stderr
    wrong, right = json.loads(ran.stdout)["kernels"]
    assert (wrong["kernel"], wrong["verdict"]) == ("numpy-no-bias", "non-conforming")
    assert (right["kernel"], right["verdict"]) == ("numpy-wide", "conforms")
    assert right["accuracy"]["per_sample"] == right["accuracy"]["batched"] > 0.9


def test_what_goes_wrong_costs_no_other_kernel_its_results_and_all_are_told_why_a_time_is_missing(sweep):
    ran, run = sweep
    assert ran.returncode == 1, ran.stderr
    timed = {record.kernel: {(case.mode, case.batch_size) for case in record.cases} for record in run.records}
    planned = {("per_sample", 100), ("batched", 1), ("batched", 200)}
    assert timed["numpy-wide"] == planned
    assert timed["numpy-no-bias"] == set(), "a wrong kernel is never timed"
    assert timed["numpy-raises"] == planned - {("batched", 200)}
    assert timed["numpy-dies"] == set()
    (mine,) = (record for record in run.records if record.kernel == "numpy-wide")
    assert mine.kernel_info.describe == {"sums": "float64"}
    page = render.render([run], "md")
    for kernel, phase, words, cases in (
        ("numpy-no-bias", "gate", "does not conform and is not timed", 3),
        ("numpy-raises", "measure", "MemoryError: no room for 200 rows", 1),
        ("numpy-dies", "process", "died of SIGKILL", 1),
    ):
        failures = [failure for failure in run.failures if failure.kernel == kernel]
        assert [failure.phase for failure in failures] == [phase] * cases
        assert all(words in failure.reason for failure in failures)
        assert words in ran.stderr
        assert words in page
