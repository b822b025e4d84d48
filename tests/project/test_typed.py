"""Commands of README and of the docs do what the pages say, typed in their order."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mlpbench.bench.record import runs
from support.processes import python
from support.sources import ROOT, blocks
from support.terminal import git, refused, variables

pytestmark = pytest.mark.heavy

#: Small sweeps in place of the usual ones: every `mlpbench run` below the file's folder takes these as its defaults.
SETTINGS = '[run]\nkernels = ["numpy", "numba"]\nprofile = "smoke"\nbatch-size = [10]\nrepeats = 2\nthreads = 1\n'
#: Commands of the docs that need another machine, a library (the page's too), a file or an hour, or are README's.
NEEDS = re.compile(
    r"mlpbench (ab|fleet|merge)\b|--env|--by env|--model|--peers$|--profile (gpu|full)|--resume|20261124T|numpy-wide"
    r"|array-api|cupy|onnxruntime|report\.html|--profile book|before\*?\.json"
)
#: `.ci/run` types the command that ends in pytest, word for word.
TABLE = re.compile(r"^\| .* \| `((?:mlpbench|pip) [^`]*)` \|$", re.MULTILINE)


def type_commands(commands, folder, **changes):
    """Type commands one after the other; return those that ended with something else than 0 or 1, and their words."""
    failed = []
    for command in commands:
        how = {"cwd": folder, "env": variables(**changes), "capture_output": True, "text": True, "timeout": 900}
        ran = subprocess.run(["bash", "-c", command], check=False, **how)
        if ran.returncode not in (0, 1) or "Traceback" in ran.stderr:
            failed.append((command, ran.returncode, ran.stdout[-500:], ran.stderr[-2000:]))
    return failed


def consoles(path):
    """Return the lines that the consoles of a page show, without prompts."""
    lines = [line for block in blocks(path, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ").partition("  #")[0] for line in lines]


def test_the_readme_typed_in_a_fresh_environment(tmp_path, quicker):
    """Nothing needs what no earlier line has installed."""
    for name in git(ROOT, "ls-files").splitlines():
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    (tmp_path / "clone" / "mlpbench.toml").write_text(SETTINGS, encoding="utf-8")
    readme = ROOT / "README.md"
    first, *others = consoles(readme)
    questions = TABLE.findall(readme.read_text(encoding="utf-8"))
    assert first.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install ")
    assert all("pytest" in command for command in others)
    assert len(questions) >= 5
    fresh = {"PYTHONPATH": quicker.partition(os.pathsep)[0], "VIRTUAL_ENV": "", "PIP_COMPILE": "0"}
    # Whether `ab` decides anything is no question here: it has time for few pairs.
    active = [f". .venv/bin/activate && {command.replace('--budget 2m', '--budget 20s')}" for command in questions]
    assert type_commands([first, *active], tmp_path / "clone", **fresh) == []


def test_commands_of_the_docs(tmp_path, quicker):
    shutil.copytree(ROOT / "results", tmp_path / "results")
    (tmp_path / "mlpbench.toml").write_text(SETTINGS, encoding="utf-8")
    pages = sorted((ROOT / "docs").rglob("*.md"))
    shown = [line for page in pages for line in consoles(page) if line.startswith("mlpbench ")]
    commands = [line for line in dict.fromkeys(["mlpbench run numba numpy", *shown]) if not NEEDS.search(line)]
    assert len(commands) >= 20
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": quicker}
    assert type_commands(commands, tmp_path, **path) == []


def test_the_package_of_the_docs_installed_for_real_is_listed_gated_and_timed(tmp_path, quicker):
    """Its module comes first in the page. Its kernels are treated as our own are."""
    page = "docs/adding-a-kernel.md"
    source, installed, work, results = (tmp_path / name for name in ("source", "installed", "work", "results"))
    source.mkdir()
    (source / "mlpbench_example.py").write_text(blocks(page, "python")[0], encoding="utf-8")
    (source / "pyproject.toml").write_text(*blocks(page, "toml"), encoding="utf-8")
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
