"""What is installed: one name, with its data, and no more; the same from the checkout and from the source archive."""

import os
import tarfile
import zipfile
from pathlib import PurePosixPath

import pytest

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


@pytest.mark.heavy
def test_the_notebook_is_committed_without_output_and_runs_from_the_wheel(wheel, tmp_path, monkeypatch, quicker):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    # In front of the checkout, which the environment of the tests may have installed too.
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'installed'}{os.pathsep}{quicker}")
    (empty := tmp_path / "empty").mkdir()
    notebook = nbformat.read(ROOT / "docs" / "examples" / "first_look.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell("print(mlpbench.__file__)"))
    place = {"metadata": {"path": str(empty)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, resources=place).execute()
    assert notebook.cells[-1].outputs[0]["text"].startswith(str(tmp_path / "installed"))
    assert any("text/html" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
