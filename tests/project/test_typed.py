"""Commands of README and of the docs do what the pages say, typed in their order."""

import json
import os
import re
import shutil
import subprocess
from functools import partial

import pytest

from mlpbench.bench.record import runs
from support import idx_files
from support.processes import python
from support.sources import ROOT, blocks
from support.terminal import git, refused, variables

pytestmark = pytest.mark.heavy

#: Small sweeps in place of the usual ones: every `mlpbench run` below the file's folder takes these as its defaults.
SETTINGS = '[run]\nkernels = ["numpy", "numba"]\nprofile = "smoke"\nbatch-size = [10]\nrepeats = 2\nthreads = 1\n'
#: Commands of the docs that need another machine, a library, a file or an hour, or are README's.
NEEDS = re.compile(
    r"mlpbench (ab|fleet|merge)\b|--env|--by env|--model|--peers$|--profile (gpu|full)|--resume|numpy-wide"
    r"|array-api|cupy|onnxruntime|--profile book"
)
#: Benchmarks as anybody may have them.
BENCHMARKS = "def test_old(benchmark):\n    benchmark(sorted, range(9))\n\n\ntest_new = test_old\n"
#: Every interpreter runs it as it starts: `mlpbench fetch` gets the files of a folder on this machine.
MIRROR = """
import sys

if sys.orig_argv[-1] == "fetch":
    import gzip, hashlib, pathlib
    from mlpbench.bench.wings.digits import fetch

    mirror = pathlib.Path({!r})
    hashes = {{file.name: hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest() for file in mirror.iterdir()}}
    fetch.REMOTES = [fetch.Remote(*file, mirrors=(mirror.as_uri(),)) for file in hashes.items()]
"""
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


@pytest.fixture(scope="module")
def clone(tmp_path_factory, quicker):
    """Return a clone with the environment that README's first command makes, and what it needs to be typed in."""
    folder = tmp_path_factory.mktemp("typed") / "clone"
    for name in git(ROOT, "ls-files").splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / "mlpbench.toml").write_text(SETTINGS, encoding="utf-8")
    first = consoles(ROOT / "README.md")[0]
    assert first.startswith("python3 -m venv .venv && . .venv/bin/activate && pip install ")
    fresh = {"PYTHONPATH": quicker.partition(os.pathsep)[0], "VIRTUAL_ENV": "", "PIP_COMPILE": "0"}
    assert type_commands([first], folder, **fresh) == []
    return folder, fresh | {"PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def test_the_readme_typed_in_a_fresh_environment(clone, tmp_path):
    """Nothing needs what no earlier line has installed; neither do MNIST and the page."""
    folder, fresh = clone
    questions = TABLE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert all("pytest" in command for command in consoles(ROOT / "README.md")[1:])
    assert len(questions) >= 5
    # Whether `ab` decides anything is no question here: it has time for few pairs.
    questions = [command.replace("--budget 2m", "--budget 20s") for command in questions]
    assert type_commands(["mlpbench run --profile smoke", *questions], folder, **fresh) == []
    assert type_commands(["mlpbench report -o page.html"], folder, **fresh | {"PYTHONPATH": ""}) == []
    mirror, hook = tmp_path / "mirror", tmp_path / "hook"
    mirror.mkdir()
    idx_files.write(mirror, idx_files.TEST, 200, zipped=True)
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(MIRROR.format(str(mirror)), encoding="utf-8")
    fetched = fresh | {"PYTHONPATH": hook, "MLPBENCH_DATA": tmp_path / "mnist"}
    assert type_commands(["mlpbench fetch", "mlpbench run numpy --data mnist"], folder, **fetched) == []


def test_commands_of_the_docs(clone, tmp_path):
    """In the environment of README's first command, page by page; one page is about benchmarks of other projects."""
    folder, fresh = clone
    (folder / "mine.py").unlink(missing_ok=True)  # README's, which `mlpbench new` does not overwrite
    (tmp_path / "test_mine.py").write_text(BENCHMARKS, encoding="utf-8")
    pages = {page.name: consoles(page) for page in sorted((ROOT / "docs").rglob("*.md"))}
    foreign = [line for line in pages.pop("benchmarks.md") if line.startswith(("mlpbench ", "for "))]
    shown = [line for page in pages.values() for line in page if line.startswith("mlpbench ")]
    commands = [line for line in dict.fromkeys(["mlpbench run numba numpy", *shown]) if not NEEDS.search(line)]
    assert (len(commands) >= 20, len(foreign) >= 4) == (True, True)
    drawn = [line for line in commands if ".html" in line]
    assert type_commands([line for line in commands if line not in drawn], folder, **fresh) == []
    assert type_commands(drawn, folder, **fresh | {"PYTHONPATH": ""}) == []
    quick = fresh | {"PYTEST_ADDOPTS": "--benchmark-max-time=0.02"}
    assert type_commands(foreign, tmp_path, **quick) == []


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
