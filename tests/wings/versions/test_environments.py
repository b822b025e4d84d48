"""Environments that are made for a comparison: what goes into them, and what is told where that fails."""

import base64
import csv
import hashlib
import io
import shutil
import zipfile

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import envs
from mlpbench.bench.wings.versions import environments, versions
from support.places import installer
from support.sources import ROOT
from support.terminal import git


@pytest.fixture
def uv(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", installer.offer(tmp_path / "tools"))


def test_the_wheel_is_this_mlpbench_and_needs_only_what_measures(tmp_path):
    with zipfile.ZipFile(environments.write_wheel(tmp_path)) as wheel:
        names = wheel.namelist()
        record = f"mlpbench-{envs.VERSION}.dist-info/RECORD"
        listed = list(csv.reader(io.StringIO(wheel.read(record).decode())))
        assert [row[0] for row in listed] == names
        for name, digest, size in listed[:-1]:
            content = wheel.read(name)
            told = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={told}", len(content))
        metadata = wheel.read(record.replace("RECORD", "METADATA")).decode()
        suite = wheel.read("mlpbench/bench/test_forward.py")
    assert [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        *envs.NEEDS
    ]
    assert suite == (ROOT / "bench" / "test_forward.py").read_bytes()
    assert not [name for name in names if "__pycache__" in name]


def test_what_an_installer_says_of_its_failure_is_one_line(tmp_path, uv):
    (wanted, _) = versions.tell_apart(("mine==99", "mine==1"), tmp_path)
    with pytest.raises(UserError) as error:
        environments.make(tmp_path / "env", wanted, (), tmp_path)
    expected = "mine==99: no environment: No solution found: Because there is no version of mine==99, it is unsatisf"
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "ERROR: Could not find it (from versions: 1, 2)\nERROR: No match for it\n\n[notice] A new pip",
            "ERROR: No match",
        ),
        (
            "ERROR: Could not find it (from versions: none)\nERROR: No match for it\n",
            "ERROR: No match for it; the index names no version at all: is the name right, and the network there?",
        ),
        ("warning: x\nerror: Failed\n  Caused by: no disk", "error: Failed Caused by: no disk"),
        ("fatal: invalid reference: x\n", "fatal: invalid reference: x"),
        ("", ""),
    ],
)
def test_the_failures_of_pip_uv_and_git(output, expected):
    assert environments._said(output).startswith(expected)


def repository(folder, name):
    """Make a repository with a file of this name; return its folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("", encoding="utf-8")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "all")):
        git(folder, *words)
    return folder


def test_a_worktree_of_a_comparison_that_was_killed_is_forgotten(tmp_path):
    repository(tmp_path, "pyproject.toml")
    killed, theirs = (tmp_path / name / "old" / environments.WORKTREE for name in ("mlpbench-1a2b", "other"))
    for folder in (killed, theirs):
        git(tmp_path, "worktree", "add", "--quiet", "--detach", folder)
        shutil.rmtree(folder.parent)
    with environments._worktree(tmp_path / "new", "HEAD", tmp_path):
        listed = git(tmp_path, "worktree", "list", "--porcelain")
    assert str(killed) not in listed
    assert str(theirs) in listed, "what somebody else has lost stays listed"


def test_a_commit_without_a_package_and_mlpbench_itself_are_refused(tmp_path, uv):
    expected = {"file": "no pyproject.toml in this folder", "mlpbench/bench": "this is mlpbench's own repository"}
    for number, (name, said) in enumerate(expected.items()):
        folder = repository(tmp_path / str(number), name)
        with pytest.raises(UserError, match=said):
            environments.make(tmp_path / f"env-{number}", versions._version("HEAD", folder), (), folder)
        assert git(folder, "worktree", "list").count("\n") == 0
