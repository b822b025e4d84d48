"""The notebook of the docs: as users run it, from the wheel and in an empty folder."""

import json
import os
import sys
import zipfile

import pytest

from support.processes import python
from support.sources import ROOT

NOTEBOOK = ROOT / "docs" / "examples" / "first_look.ipynb"


@pytest.mark.heavy
def test_it_is_committed_without_output_and_runs_from_the_wheel_in_an_empty_folder(tmp_path, monkeypatch, quicker):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    built = python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "wheel", cwd=ROOT)
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path / "installed")
    # In front of the checkout, which the environment of the tests may have installed too.
    found_first = os.pathsep.join((str(tmp_path / "installed"), quicker))
    spec = tmp_path / "jupyter" / "kernels" / "wheel"
    spec.mkdir(parents=True)
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": words, "display_name": "wheel", "language": "python", "env": {"PYTHONPATH": found_first}})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    empty = tmp_path / "empty"
    empty.mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell("print(mlpbench.__file__)"))
    nbclient.NotebookClient(
        notebook, kernel_name="wheel", timeout=300, resources={"metadata": {"path": str(empty)}}
    ).execute()
    assert notebook.cells[-1].outputs[0]["text"].startswith(str(tmp_path / "installed"))
    assert any("text/html" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
