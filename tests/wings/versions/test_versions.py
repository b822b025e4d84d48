"""Two versions as people type them: commits of a repository, or requirements; what is unclear is refused in a line."""

import pytest

from mlpbench.bench.wings.versions import versions
from support.terminal import git, refusal, repository


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a repository with two commits, a tag on the first, and branches whose names are requirements as well."""
    folder = repository(tmp_path_factory.mktemp("repository"), {"file": "one"}, {"file": "two"})
    git(folder, "tag", "v1/first", "HEAD~1")
    git(folder, "branch", "numpy==2.3")
    return folder


def test_commits_are_named_by_what_was_typed_and_say_which_they_are(folder):
    first, second = versions.tell_apart(("v1/first", "main"), folder)
    assert first.commit == git(folder, "rev-parse", "HEAD~1")
    assert (first.requirement, second.requirement) == (None, None)
    assert first.name(None) == f"v1-first-{first.commit[:8]}"
    assert second.words == f"main, commit {second.commit[:8]}"
    (by_hash, parent) = versions.tell_apart((second.commit[:12], "HEAD~1"), folder)
    assert (by_hash.name(None), parent.name(None)) == (second.commit[:8], f"HEAD-1-{first.commit[:8]}")


def test_a_shallow_clone_is_told(folder, tmp_path):
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{folder}", "clone")
    for typed in (("HEAD", "HEAD~1"), ("HEAD", "v1")):
        said = refusal(versions.tell_apart, typed, tmp_path / "clone")
        assert "the repository here (a shallow clone: `git fetch --unshallow` brings" in said


def test_requirements_are_named_by_what_was_installed(tmp_path):
    for text in ("NumPy==2.3.*", "numpy", "numpy[x]>=2 ; python_version > '3'"):
        found, _ = versions.tell_apart((text, "numpy==2.4.*"), tmp_path)
        assert (found.commit, found.name("2.3.5")) == (None, "numpy-2.3.5")


@pytest.mark.parametrize(
    ("inside", "typed", "expected"),
    [
        (True, "main HEAD", "both sides are main, commit "),
        (True, "main numpy==2.4.*", "main is a commit of the repository here, and numpy==2.4.* a requirement"),
        (True, "numpy==2.3 HEAD~1", "'numpy==2.3' is a requirement, and "),
        (True, "gone HEAD", "HEAD is a commit of the repository here, and gone a requirement"),
        (True, "gone lost", "gone and lost are no commits that the repository here has, and as requirements two"),
        (True, "no/ref/ HEAD", "'no/ref/' is neither a commit of the repository here nor a requirement"),
        (True, "--all HEAD", "'--all' is neither"),
        (False, "main HEAD", "main and HEAD are no commits of a git repository, which this folder is not in"),
        (False, "numpy numpy", "both sides are numpy: nothing to compare"),
        (False, "numpy==2.3 numba==0.61", "as requirements two packages"),
        (False, "numpy== numpy", "'numpy==' is neither a commit (this folder is in no git repository) nor a requirem"),
        (False, "./here numpy", "'./here' is neither"),
    ],
)
def test_what_is_unclear_is_refused(folder, tmp_path, monkeypatch, inside, typed, expected):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert expected in refusal(versions.tell_apart, typed.split(), folder if inside else tmp_path)
