"""Each wing deleted, and all of them at once, leaves a program that runs and reports."""

import shutil

import pytest

from support.processes import python
from support.sources import ROOT

WINGS = sorted(path.parent.name for path in (ROOT / "bench" / "wings").glob("*/__init__.py"))


def mlpbench(tree, *words):
    ended = python("-P", "-m", "mlpbench", *words, cwd=tree, PYTHONPATH=tree)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.heavy
@pytest.mark.parametrize("gone", [*([wing] for wing in WINGS), WINGS], ids=[*WINGS, "all"])
def test_the_rest_is_a_working_program(tmp_path, gone):
    for name in ("bench", "kernels"):
        shutil.copytree(ROOT / name, tmp_path / "mlpbench" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(ROOT / "mlpbench" / name, tmp_path / "mlpbench" / name)
    for wing in gone:
        shutil.rmtree(tmp_path / "mlpbench" / "bench" / "wings" / wing)
    if len(gone) > 1:
        assert "explain" not in mlpbench(tmp_path, "--help")
        mlpbench(tmp_path, "run", "numpy", "--profile", "smoke", "--results", tmp_path / "results")
        assert "numpy" in mlpbench(tmp_path, "report", "--results", tmp_path / "results")
    else:
        run, *_ = (ROOT / "results" / "reference.txt").read_text(encoding="utf-8").split()
        assert "numpy" in mlpbench(tmp_path, "report", ROOT / "results" / run)
