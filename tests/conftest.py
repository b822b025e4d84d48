"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from mlpbench.bench.data.datasets import MNIST_FILES, WEIGHTS_FILE, spellings
from support.sources import ROOT

if TYPE_CHECKING:
    from support.reports import Reports

#: In processes that tests start, pytest-benchmark would be off, as it is in a worker of pytest-xdist.
os.environ.pop("PYTEST_XDIST_WORKER", None)
os.environ.pop("COLUMNS", None)  # of the terminal that pytest runs in: a pipe would be as wide

# How long an example takes depends on what else the machine does; and a test finds today what it finds tomorrow.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

# Products in tests are small, and the threads of a BLAS would spin on processors that other tests compute on.
threadpool_limits(1, "blas")

#: Every interpreter runs it as it starts: to fill four times a server's largest cache would take seconds.
SMALL_CACHES = """
import sys

if "mlpbench.bench.wings.why.roofs" in sys.orig_argv:
    from msgspec.structs import replace
    from mlpbench.bench.machine import environment

    machine = environment.machine
    environment.machine = lambda: replace(machine(), caches={"L1d": 2**15, "L2": 2**20})
"""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many of the planted faults were found, where they were looked for."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    planted = [one for one in reports if "test_mutants.py::test_each" in one.nodeid and one.when == "call"]
    if planted:
        found = sum(one.passed for one in planted)
        terminalreporter.write_line(f"{found} of {len(planted)} mutants found")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the key that runs are sealed with be one of these tests, and not the user's."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def mnist_dir(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data folder, which has MNIST's test half and the book's weights: too large to ship with the tests."""
    named = os.environ.get("MLPBENCH_TEST_MNIST")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    complete = all(any((folder / name).is_file() for name in spellings(file)) for file in MNIST_FILES["test"])
    if not complete or not (folder / WEIGHTS_FILE).is_file():
        pytest.skip(f"{folder} lacks MNIST's test half or {WEIGHTS_FILE}; MLPBENCH_TEST_MNIST can name another")
    monkeypatch.setenv("MLPBENCH_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def quicker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PYTHONPATH with which `mlpbench run` is quicker: without the charts' library, and with small caches."""
    folder = tmp_path_factory.mktemp("quicker")
    (folder / "vl_convert.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'vl_convert'\", name='vl_convert')\n"
    )
    (folder / "sitecustomize.py").write_text(SMALL_CACHES)
    return f"{folder}{os.pathsep}{ROOT}"


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    """Return reports that several tests look at."""
    from support.reports import Reports  # what makes them imports pandas, which few tests need

    return Reports(tmp_path_factory.mktemp("reports"))
