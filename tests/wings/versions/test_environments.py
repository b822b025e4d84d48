"""Environments that are made for a comparison: what goes into them, and what is told where that fails."""

import csv
import io
import sys
import zipfile
from pathlib import Path

import pytest

import mlpbench
from mlpbench.bench.record.fields import SCHEMA
from mlpbench.bench.wings.versions import environments, versions
from support import venvs
from support.processes import interpreter
from support.sources import ROOT
from support.terminal import git, refusal, repository


@pytest.fixture
def uv(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", venvs.offer_uv(tmp_path / "tools"))


def test_the_wheel_is_this_mlpbench_and_needs_only_what_measures(tmp_path):
    with zipfile.ZipFile(environments.write_wheel(tmp_path)) as wheel:
        names = wheel.namelist()
        record = f"mlpbench-{environments.VERSION}.dist-info/RECORD"
        listed = list(csv.reader(io.StringIO(wheel.read(record).decode())))
        assert [row[0] for row in listed] == names
        metadata = wheel.read(record.replace("RECORD", "METADATA")).decode()
        suite = wheel.read("mlpbench/bench/test_forward.py")
    assert [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        *environments.NEEDS
    ]
    assert suite == (ROOT / "bench" / "test_forward.py").read_bytes()
    assert not [name for name in names if "__pycache__" in name]


def make(folder, version):
    with environments.made(folder, version, ()):
        pytest.fail("made")


def test_what_an_installer_says_of_its_failure_is_one_line(tmp_path, uv):
    (wanted, _) = versions.tell_apart(("mine==99", "mine==1"), tmp_path)
    said = refusal(make, tmp_path / "env", wanted)
    expected = "mine==99: no environment: No solution found: Because there is no version of mine==99, it is unsatisf"
    assert said.startswith(expected)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ERROR: It (from versions: 1, 2)\nERROR: No match for it\n\n[notice] A new pip", "ERROR: No match"),
        ("ERROR: It (from versions: none)\nERROR: No match\n", "ERROR: No match; the index names no version at all"),
        ("warning: x\nerror: Failed\n  Caused by: no disk", "error: Failed Caused by: no disk"),
        ("ERROR: usage: pytest\npytest: error: unknown: --x\n  inifile: None", "pytest: error: unknown: --x"),
        ("E  assert 0\n=\nFAILED test_a.py::test_a - assert 0\n1 failed in 3 s", "FAILED test_a.py::test_a - assert 0"),
        ("E   KeyError: 'x'\n===\nERROR test_a.py\n!! stopping !!", "ERROR test_a.py: KeyError: 'x'"),
        ("fatal: invalid reference: x\n", "fatal: invalid reference: x"),
        ("", ""),
    ],
)
def test_the_failures_of_pip_uv_and_git(output, expected):
    assert environments._said(output).startswith(expected)


def test_a_commit_without_a_package_and_mlpbench_itself_are_refused(tmp_path, monkeypatch, uv):
    expected = {"file": "no pyproject.toml in this folder", "mlpbench/bench": "this is mlpbench's own repository"}
    for number, (name, said) in enumerate(expected.items()):
        folder = repository(tmp_path / str(number), {name: ""})
        monkeypatch.chdir(folder)
        assert said in refusal(make, tmp_path / f"env-{number}", versions._version("HEAD", folder))
        assert git(folder, "worktree", "list").count("\n") == 0


# -- asked

#: Of another release: what its interpreter is asked of it.
OTHER = {"mlpbench/__init__.py": '__version__ = "0.0.9"\n', "mlpbench/bench/record/fields.py": "SCHEMA = 1\n"}
NEWER = {
    "mlpbench/__init__.py": f"__version__ = {mlpbench.__version__!r}\n",
    "mlpbench/bench/record/fields.py": f"SCHEMA = {SCHEMA + 1}\n",
}
EMPTY = {**NEWER, "mlpbench/bench/record/fields.py": f"SCHEMA = {SCHEMA}\n"}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["old"], "--env old: write a name and a path, such as --env old=venvs/old"),
        (["old="], "--env old=: write a name"),
        (["../x=here"], "--env ../x=here: '../x' is no name"),
        (["=here"], "'' is no name"),
        (["a=PYTHON", "a=PYTHON"], "the name a is given twice"),
        (["a=gone"], "--env a: gone: no such file or folder"),
        (["a=."], "--env a: .: no bin/python in this folder; name the folder of a venv"),
        (["a=file"], "--env a: file: this file is no interpreter"),
    ],
)
def test_what_is_no_environment_is_told(tmp_path, monkeypatch, texts, expected):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("words", encoding="utf-8")
    texts = [text.replace("PYTHON", sys.executable) for text in texts]
    assert expected in refusal(environments.parse, texts)


def test_a_folder_and_its_interpreter_are_one_and_links_are_not_followed(tmp_path):
    """The interpreter of a virtual environment is a link to one that knows nothing of it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    expected = str(tmp_path / "bin" / "python")
    assert environments.parse([f"a={tmp_path}", f"b={expected}"]) == {"a": expected, "b": expected}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("print(json.dumps({'python': [3, 9, 2], 'versions': {}, 'broken': {}}))", "is Python 3.9.2; mlpb"),
        ("raise SystemExit('no library of C')", "does not answer as Python does: no library of C"),
        ("print('hello')", "does not answer as Python does: it ended with 0"),
        ("print('[1, 2]')", "does not answer as Python does"),
        ("while True: print('x' * 100_000)", "is no Python that can be asked: it was stopped: it printed more than"),
        ("os.abort()", "does not answer as Python does: it died of SIGABRT"),
    ],
)
def test_a_program_that_is_no_fit_python(tmp_path, body, expected):
    assert expected in refusal(environments.inspect, "a", interpreter(tmp_path, body))


def test_a_file_that_the_system_cannot_start(tmp_path):
    file = tmp_path / "python"
    file.write_bytes(b"\0 no program")
    file.chmod(0o755)
    for python in (file, "/no-such-python"):
        said = refusal(environments.inspect, "a", str(python))
        assert said.startswith(f"--env a: {python} is no Python that can be asked: it could not be started: {python}: ")


def test_what_the_environment_lacks_is_named_with_the_command_that_installs_it(tmp_path):
    python = str(venvs.make(tmp_path / "venv", without=("numpy", "llvmlite")) / "bin" / "python")
    said = refusal(environments.inspect, "old", python)
    assert said.startswith("--env old: the environment does not have what mlpbench measures with, llvmlite (missing), ")
    assert said.endswith(f"numpy (missing): {python} -m pip install llvmlite 'numpy>=1.26'")


@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        ({}, "no mlpbench in this environment (ModuleNotFoundError: No module named 'mlpbench'); install mlpbench"),
        (OTHER, "it has mlpbench 0.0.9, which writes records of schema 1; this is mlpbench"),
        (NEWER, f"which writes records of schema {SCHEMA + 1}; this is mlpbench {mlpbench.__version__} with schema"),
        (EMPTY, "its mlpbench is not this one: ModuleNotFoundError: No module named 'mlpbench.bench.machine'"),
    ],
)
def test_another_mlpbench_is_refused(tmp_path, instead, expected):
    python = str(venvs.make(tmp_path / "venv", instead=instead) / "bin" / "python")
    said = refusal(environments.inspect, "old", python)
    assert expected in said
    assert f"{python} -m pip install --no-deps " in said


def test_an_environment_tells_its_versions_its_blas_and_the_kernels_of_other_packages(tmp_path):
    folder = venvs.make(tmp_path / "venv")
    (folder / environments.MADE_OF).write_bytes(b"a\xff \x1b[31mtest")
    packages = next(folder.glob("lib/python*/site-packages"))
    venvs.package(packages, "mine", "1.0", {"fast-one": "mine:Fast"})
    found = environments.inspect("new", str(folder / "bin" / "python"))
    assert found.third_party == {"fast-one": "mine"}
    assert found.environment.python["version"] == ".".join(map(str, sys.version_info[:3]))
    assert "numpy" in found.environment.libraries
    assert "numba" not in found.environment.libraries, "measuring needs none of what only the parent needs"
    there, python = found.interpreter, str(folder / "bin" / "python")
    assert (there.name, there.python, there.source) == ("new", python, "a\ufffd test")
    assert there.package == str(packages / "mlpbench")
