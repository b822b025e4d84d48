"""`mlpbench run --env` as people type it: two real environments in one run, and what is told of them everywhere."""

import csv
import json
import re

import pytest

from mlpbench.bench.record import runs
from support import venvs
from support.terminal import called, complaint, refused, typed

SMALL = ("--profile", "smoke", "--batch-size", "10", "--spec", "20-10-3")
#: As slow again as numpy, one row after the other: no other environment has it.
KERNEL = """
from mlpbench.kernels.mlp_numpy import NumpyKernel

class Twice(NumpyKernel):
    def forward(self, x):
        super().forward(x)
        return super().forward(x)
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return venvs.make(tmp_path_factory.mktemp("envs") / "old")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    folder = venvs.make(tmp_path_factory.mktemp("envs") / "new")
    packages = next(folder.glob("lib/python*/site-packages"))
    venvs.package(packages, "twice", "2.5", {"numpy-twice": "twice:Twice"}, twice=KERNEL)
    return folder


def test_what_environments_lack_is_one_line(capsys, tmp_path, old):
    for word in ("old", f"old={tmp_path}", f"old={tmp_path}/none"):
        said = complaint(*called(capsys, "run", "numpy", "--env", word, "--results", tmp_path / "results"))
        assert said.startswith("--env old")
    words = ("numpy-twice", "--env", f"old={old}", *SMALL, "--results", tmp_path / "results")
    assert complaint(*called(capsys, "run", *words)).startswith("numpy-twice is unavailable: unknown kernel")
    assert not (tmp_path / "results").exists()


@pytest.mark.heavy
def test_two_environments_in_one_run(capsys, tmp_path, quicker, old, new):
    words = ("numpy", "numpy-twice", *SMALL, "--env", f"old={old}", "--env", f"new={new}", "--repeats", "2")
    ran = typed("run", *words, cwd=tmp_path, PYTHONPATH=quicker)
    there = runs.read_runs(runs.latest(tmp_path / "results"))
    assert ran.returncode == bool(refused(*there)), ran.stderr
    assert "2 settings: env old; env new" in ran.stderr
    assert "next: mlpbench compare latest --by env, mlpbench explain" in ran.stdout
    assert "numpy-twice is skipped with env old: unknown kernel 'numpy-twice'" in ran.stderr
    assert [run.kernels for run in there] == [("numpy",), ("numpy", "numpy-twice")]
    for run, folder in zip(there, (old, new), strict=True):
        assert run.setting.env == run.plan.env.name == folder.name
        assert not run.failures
        for record in run.records:
            assert record.plan.env.python == str(folder / "bin" / "python")
            assert record.environment.blas, "what was loaded there"
            assert "pandas" not in record.environment.libraries
            assert record.environment.libraries.get("twice") == ("2.5" if folder == new else None)
    # All processes of a repeat run next to each other, whatever their environment.
    header = json.loads((there[0].path.parent / "run.json").read_text())["mlpbench"]
    assert [repeat for *_, repeat in header["order"]] == [0, 0, 0, 1, 1, 1]
    at = ("--results", tmp_path / "results")
    status, out, err = called(capsys, "compare", "latest", "--by", "env", *at)
    assert status in (0, 1, 4), err
    assert "new against old: speedup above 1 is faster" in out
    assert "paired by repeat" in out
    report, data, table = (called(capsys, "report", "--format", kind, *at)[1] for kind in ("md", "json", "csv"))
    assert f"{old}/bin/python" in report
    assert "| env old" in report
    assert re.search(r"\n## One environment against the other\n.*new against old", report, re.DOTALL)
    assert {run["setting"]["env"] for run in json.loads(data)["runs"]} == {"old", "new"}
    assert {row["env"] for row in csv.DictReader(table.splitlines())} == {"old", "new"}
