"""The workflows of docs/ci.md: the lines of the one for GitHub run as they stand there."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from mlpbench.bench.record import runs
from mlpbench.bench.wings.versions import environments
from support import venvs
from support.sources import ROOT
from support.terminal import git

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
PULL, *_ = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PROJECT = """
[project]
name = "mine"
version = "{version}"
[project.kernels]
numpy-mine = "mine:Mine"
[tool.mlpbench]
threads = 1
[tool.mlpbench.run]
profile = "smoke"
spec = "20-10-3"
batch-size = 10
repeats = 1
"""
#: The head needs twice the time of the base.
KERNEL = """
from mlpbench.kernels.mlp_numpy import NumpyKernel

class Mine(NumpyKernel):
    distributions = ("mine",)

    def forward(self, x):
        return [super(Mine, self).forward(x) for _ in range({version})][-1]
"""


@pytest.fixture
def checkout(tmp_path):
    """Return a clone, on a branch behind which stand two commits, of a repository whose main has one."""
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", upstream)
    for version, folder in (("1", upstream), ("2", clone)):
        if folder == clone:
            git(tmp_path, "clone", "--quiet", upstream, clone)
            git(clone, "switch", "--quiet", "--create", "slower")
        (folder / "pyproject.toml").write_text(PROJECT.format(version=version), encoding="utf-8")
        (folder / "mine.py").write_text(KERNEL.format(version=version), encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", version)
    return clone


@pytest.fixture
def path(tmp_path):
    """Return a PATH with pip and mlpbench of the interpreter that runs this, and the stand-in for uv."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    (folder := tmp_path / "programs").mkdir()
    for name in ("pip", "mlpbench"):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return venvs.offer_uv(tmp_path / "tools", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.heavy
def test_on_github_a_slower_head_is_an_error_in_its_pull_request(checkout, tmp_path, path, quicker):
    """Each line in a shell of its own. pip finds that all of it is installed: it asks no index, and changes nothing."""
    ((job,), summary) = PULL["jobs"].values(), tmp_path / "summary.md"
    lines, given = [step["run"] for step in job["steps"] if "run" in step], job["env"]
    env = {**os.environ, **given, "PATH": path, "PYTHONPATH": quicker, "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}
    env |= {"MLPBENCH": str(environments.write_wheel(tmp_path)), "PIP_NO_DEPS": "1", "GITHUB_ACTIONS": "true"}
    env |= {"GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(summary)}
    for line in lines:
        words = ["bash", "-eo", "pipefail", "-c", line]
        ran = subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0 or line == lines[-1], (line, ran.stdout, ran.stderr)
    assert ran.returncode in (0, 1), ran.stderr
    found = runs.read_runs(runs.latest(checkout / "results"))
    assert [run.plan.env.source.partition(",")[0] for run in found] == ["origin/main", "HEAD"]
    annotations = [line for line in ran.stdout.splitlines() if line.startswith("::")]
    verdicts = re.findall(r"\| (slower|undecided|not slower|faster)\b[^|]*\|$", summary.read_text(), re.MULTILINE)
    assert len(verdicts) == 2
    assert len(annotations) == sum(verdict in ("slower", "undecided") for verdict in verdicts)
    assert (ran.returncode == 1) == ("slower" in verdicts)
