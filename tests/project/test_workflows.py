"""The workflows of docs/ci.md: they are YAML that both services take, and their lines run as they stand there."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from mlpbench.bench.record import runs
from mlpbench.bench.wings.versions import environments
from support.places import installer
from support.sources import ROOT

PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
PULL, MERGE, WEEKLY = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
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


def lines_of(workflow):
    """Return the lines that a job types, and its variables."""
    if "jobs" in workflow:
        (job,) = workflow["jobs"].values()
        return [step["run"] for step in job["steps"] if "run" in step], job.get("env", {})
    (job,) = workflow.values()
    return job["script"], job["variables"]


def test_each_workflow_measures_both_sides_in_one_job():
    for workflow in (PULL, MERGE, WEEKLY):
        lines, variables = lines_of(workflow)
        assert "MLPBENCH" in variables
        assert sum(line.startswith("mlpbench ab ") for line in lines) == 1
        assert lines[0] == 'pip install "$MLPBENCH" uv'


@pytest.fixture
def checkout(tmp_path):
    """Return a clone, on a branch behind which stand two commits, of a repository whose main has one."""
    upstream, clone = tmp_path / "upstream", tmp_path / "clone"
    who = ("-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false")

    def git(*words, at=clone):
        subprocess.run(["git", *who, *map(str, words)], cwd=at, check=True, capture_output=True)

    upstream.mkdir()
    git("init", "--quiet", "--initial-branch=main", at=upstream)
    for version, folder in ((1, upstream), (2, clone)):
        if version == 2:
            git("clone", "--quiet", upstream, clone, at=tmp_path)
            git("switch", "--quiet", "--create", "slower")
        (folder / "pyproject.toml").write_text(PROJECT.format(version=version), encoding="utf-8")
        (folder / "mine.py").write_text(KERNEL.format(version=version), encoding="utf-8")
        git("add", ".", at=folder)
        git("commit", "--quiet", "-m", version, at=folder)
    return clone


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return environments.write_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def path(tmp_path):
    """Return a PATH with pip and mlpbench of the interpreter that runs this, whatever else is on it."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not installed")
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("pip", "mlpbench"):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def typed(workflow, wheel, cwd, path, quicker, **variables):
    """Run the lines of a job, each in a shell of its own as services do; return status, stdout and stderr of the last.

    pip finds that all of it is installed: it asks no index, and changes nothing.
    """
    lines, given = lines_of(workflow)
    env = {**os.environ, **given, **variables, "MLPBENCH": str(wheel), "PATH": path, "PYTHONPATH": quicker}
    env |= {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    for number, line in enumerate(lines, start=1):
        ran = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
        if number < len(lines):
            assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
    return ran


@pytest.mark.heavy
def test_on_github_a_slower_head_is_an_error_in_its_pull_request(checkout, wheel, tmp_path, path, quicker):
    summary = tmp_path / "summary.md"
    ran = typed(
        PULL,
        wheel,
        checkout,
        installer.offer(tmp_path / "tools", path),
        quicker,
        GITHUB_ACTIONS="true",
        GITHUB_BASE_REF="main",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert ran.returncode in (0, 1), ran.stderr
    found = runs.read_runs(runs.latest(checkout / "results"))
    assert [run.plan.env.source.partition(",")[0] for run in found] == ["origin/main", "HEAD"]
    annotations = [line for line in ran.stdout.splitlines() if line.startswith("::")]
    verdicts = re.findall(r"\| (slower|undecided|not slower|faster)\b[^|]*\|$", summary.read_text(), re.MULTILINE)
    assert len(verdicts) == 2
    assert len(annotations) == sum(verdict in ("slower", "undecided") for verdict in verdicts)
    assert (ran.returncode == 1) == ("slower" in verdicts)


@pytest.mark.heavy
def test_on_gitlab_the_table_is_an_artifact(checkout, wheel, tmp_path, path, quicker):
    """`mlpbench ab` is measured above. Here it says with which words it was called, and which commit is the base."""
    program = tmp_path / "programs" / "mlpbench"
    program.write_text('#!/bin/sh\necho "| $@ |"\nexec git rev-parse FETCH_HEAD origin/main\n', encoding="utf-8")
    target = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    ran = typed(MERGE, wheel, checkout, path, quicker, **target)
    assert ran.returncode == 0, ran.stderr
    words, base, main = ran.stdout.splitlines()
    assert words == "| ab FETCH_HEAD HEAD --format md |"
    assert base == main
    assert (checkout / "slower.md").read_text() == ran.stdout
    assert MERGE["slower"]["artifacts"]["paths"] == ["slower.md", "results"]
