"""What is installed: one name, with its data, and no more; the same from the checkout and from the source archive."""

import os
import tarfile
import zipfile
from pathlib import PurePosixPath

import pytest

from support import fake_cupy
from support.processes import python
from support.sources import ROOT


def build(kind, source, folder):
    """Build a wheel or an sdist with the very tool that pip starts; return its path."""
    ran = python("-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=source)
    assert ran.returncode == 0, ran.stderr
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_a_wheel_holds_one_package_and_its_data(wheel):
    """Other people's `bench` and `kernels` are never touched; tests and results land in nobody's site-packages."""
    names = [PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()]
    package = {str(name) for name in names if name.parts[0] == "mlpbench"}
    assert {name.parts[0] for name in names} == {"mlpbench", f"{wheel.stem.rpartition('-py3')[0]}.dist-info"}
    linked = [(ROOT / folder, f"mlpbench/{folder}") for folder in ("bench", "kernels")]
    expected = {f"mlpbench/{path.name}" for path in (ROOT / "mlpbench").iterdir() if path.is_file()}
    for folder, below in linked:
        files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        expected |= {f"{below}/{path.relative_to(folder)}" for path in files}
    assert package == expected
    data = ("bench/data/digits.npz", "kernels/data/mnist.npz", "bench/report/formats/page/page.html.j2", "py.typed")
    assert {f"mlpbench/{file}" for file in data} <= package
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert f"\nProject-URL: Issues, {os.environ.get('MLPBENCH_URL', 'https://example.org/mlpbench')}/issues\n" in text


def test_the_source_archive_builds_the_same_wheel(wheel, tmp_path):
    archive = build("sdist", ROOT, tmp_path / "sdist")
    with tarfile.open(archive) as files:
        assert not [file for file in files if file.issym()], "a system without links could not unpack it"
        files.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    assert build("wheel", source, tmp_path / "wheel").read_bytes() == wheel.read_bytes()


def executed(name, folder, changes, *more):
    """Return a notebook of the docs, executed in a folder, with texts of its cells changed, and more cells."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    notebook = nbformat.read(ROOT / "docs" / "examples" / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is committed without output"
    notebook.cells += map(nbformat.v4.new_code_cell, more)
    for cell in notebook.cells:
        for old, new in changes.items():
            cell.source = cell.source.replace(old, new)
    place = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, resources=place).execute()
    return [cell.get("outputs", ()) for cell in notebook.cells]


@pytest.mark.heavy
def test_the_notebook_runs_from_the_wheel(wheel, tmp_path, monkeypatch, quicker):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    # In front of the checkout, which the environment of the tests may have installed too.
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'installed'}{os.pathsep}{quicker}")
    (empty := tmp_path / "empty").mkdir()
    outputs = executed("first_look.ipynb", empty, {}, "print(mlpbench.__file__)")
    assert outputs[-1][0]["text"].startswith(str(tmp_path / "installed"))
    assert any("text/html" in output.get("data", {}) for of_cell in outputs for output in of_cell)


@pytest.mark.heavy
def test_the_notebook_for_a_card_comes_to_its_page_with_a_stand_in_for_cupy(tmp_path, monkeypatch):
    """The stand-in has the arithmetic of `cupy` alone. CUDA, 2 GB, is not installed."""
    fake_cupy.write(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    changes = {"https://example.org/mlpbench.git": str(ROOT), "%pip": "#", "--budget 2m": "--profile smoke"}
    *_, checked, _, _, page = executed("gpu.ipynb", tmp_path, changes)
    assert "conforms" in "".join(output.get("text", "") for output in checked)
    assert any("NVIDIA Stand-In" in output.get("data", {}).get("text/html", "") for output in page)
