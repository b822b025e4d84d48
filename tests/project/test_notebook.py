"""The notebook of the docs: as users run it, from the wheel and in an empty folder; its numbers are the commands'."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from support.processes import python
from support.sources import ROOT

NOTEBOOK = ROOT / "docs" / "examples" / "first_look.ipynb"
#: What a cell behind the last one hands over: exactly the numbers that the frames hold, null for a missing one.
TOLD = """
import json
plain = lambda frame: json.loads(json.dumps(frame.astype(object).where(frame.notna(), None).to_dict("records")))
print(json.dumps({
    "from": mlpbench.__file__,
    "run": str(results.runs[0].path),
    "cases": plain(cases),
    "compared": plain(comparison.cases()[["mode", "batch_size", "speedup", "speedup_low", "speedup_high", "verdict"]]),
}))
"""


def test_it_is_committed_without_output():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.heavy
def test_it_runs_from_the_wheel_in_an_empty_folder_and_says_what_the_commands_say(tmp_path, monkeypatch, quicker):
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
    notebook.cells.append(nbformat.v4.new_code_cell(TOLD))
    nbclient.NotebookClient(
        notebook, kernel_name="wheel", timeout=300, resources={"metadata": {"path": str(empty)}}
    ).execute()
    told = json.loads(notebook.cells[-1].outputs[0]["text"])
    assert told["from"].startswith(str(tmp_path / "installed"))
    assert any("text/html" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))

    def command(*more):
        # Its exit status is a verdict, and what a busy machine's is nobody knows.
        done = subprocess.run(
            [sys.executable, "-m", "mlpbench", *more],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": found_first},
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout)

    report = command("report", told["run"], "--format", "json")["cases"]
    for row, case in zip(told["cases"], report, strict=True):
        assert (row["kernel"], row["mode"], row["batch_size"]) == (case["kernel"], case["mode"], case["batch_size"])
        names = ("sample_s", "sample_low_s", "sample_high_s")
        assert [row[name] for name in names] == [case["sample_s"][end] for end in ("value", "low", "high")]
        assert row["speedup"] == (case["speedup"]["value"] if case["speedup"] else None)
    run = told["run"]
    compared = command("compare", f"{run}:numpy", f"{run}:numpy-out", "--json")["cases"]
    for row, case in zip(told["compared"], compared, strict=True):
        assert (row["mode"], row["batch_size"], row["verdict"]) == (case["mode"], case["batch_size"], case["verdict"])
        names = ("speedup", "speedup_low", "speedup_high")
        assert [row[name] for name in names] == [case["speedup"][end] for end in ("value", "low", "high")]
