"""Two versions as people name them: commits of the git repository here, or requirements of one package."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mlpbench.bench.errors import UserError

#: Characters of a commit that names show.
SHORT = 8
#: Of a branch or tag, the most characters that become a name.
_LONGEST = 24


@dataclass(frozen=True)
class Version:
    """A commit of a repository, or a requirement. ``typed``: the word for it."""

    typed: str
    requirement: Requirement | None = None
    commit: str | None = None

    @property
    def words(self) -> str:
        """The version in words: ``main, commit 1a2b3c4d``."""
        return self.typed if self.commit is None else f"{self.typed}, commit {self.commit[:SHORT]}"

    def name(self, installed: str | None) -> str:
        """Return a name for tables and folders, of what is ``installed`` where it is a requirement."""
        if self.commit is not None:
            words = "-".join(re.findall(r"[A-Za-z0-9._]+", self.typed)).lstrip("._-")[:_LONGEST]
            return self.commit[:SHORT] if self.commit.startswith(words) else f"{words}-{self.commit[:SHORT]}"
        return f"{canonicalize_name(self.requirement.name) if self.requirement else self.typed}-{installed}"


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder; nothing that it asks is answered."""
    how = {"capture_output": True, "text": True, "errors": "replace", "stdin": subprocess.DEVNULL}
    return subprocess.run(["git", "-C", str(folder), *words], check=False, **how)  # type: ignore[call-overload,no-any-return]  # noqa: S607


def tell_apart(typed: Sequence[str], folder: Path) -> list[Version]:
    """Return what was typed as two commits of the repository that ``folder`` is in, or as two requirements.

    What git knows is a commit, and a requirement is what git does not know. Raises UserError, one line, where that is
    not clear, or where both are the same.
    """
    inside = shutil.which("git") is not None and git(folder, "rev-parse", "--is-inside-work-tree").returncode == 0
    one, other = found = [_version(text, folder if inside else None) for text in typed]
    if (one.commit is None) != (other.commit is None):
        commit, required = (one, other) if one.commit else (other, one)
        raise UserError(
            f"{commit.typed} is a commit of the repository here{_cut_off(folder)}, and {required.typed} a requirement: "
            "name two of a kind"
        )
    if len({canonicalize_name(side.requirement.name) for side in found if side.requirement}) > 1:
        where = "that the repository here has" if inside else "of a git repository, which this folder is not in"
        raise UserError(f"{one.typed} and {other.typed} are no commits {where}, and as requirements two packages")
    if (one.commit, str(one.requirement)) == (other.commit, str(other.requirement)):
        raise UserError(f"both sides are {one.words if one.commit else one.typed}: nothing to compare")
    return found


def _cut_off(repository: Path) -> str:
    """Say of a shallow clone, which has few commits, how it gets the others."""
    shallow = git(repository, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    return " (a shallow clone: `git fetch --unshallow` brings the others)" if shallow else ""


def _version(text: str, repository: Path | None) -> Version:
    try:
        required = Requirement(text)
    except InvalidRequirement:
        required = None
    commit = None
    if repository is not None:
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")
        commit = git(repository, *words).stdout.strip() or None
    if commit is not None and required is not None and (required.specifier or required.url):
        raise UserError(f"{text!r} is a requirement, and {commit[:SHORT]} has that name here: write the commit instead")
    if commit is None and required is None:
        known = "a commit (this folder is in no git repository)"
        if repository:
            known = f"a commit of the repository here{_cut_off(repository)}"
        raise UserError(f"{text!r} is neither {known} nor a requirement, such as numpy==2.3.*")
    return Version(text, None if commit else required, commit)
