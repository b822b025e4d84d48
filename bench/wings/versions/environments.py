"""Environments made for a comparison: a folder for each, with a version of a package and what measures it."""

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child
from mlpbench.bench.machine.variables import inherited
from mlpbench.bench.plan import envs
from mlpbench.bench.plan.sweep import Env
from mlpbench.bench.wings.versions.versions import SHORT, Version, git

#: Folder, in that of an environment, of the commit that is installed there.
WORKTREE = "worktree"
#: Resolving, downloading and perhaps compiling a package.
TIMEOUT_S = 3600
#: Of what a tool says when it fails, the most that becomes a line.
_LONGEST = 400


def make(folder: Path, version: Version, more: Sequence[str], repository: Path) -> Env:
    """Make an environment of a version in a new folder, with ``more`` requirements; return it.

    Of a commit, its package is installed from a git worktree of ``repository``. Raises UserError, one line, with the
    words of whatever failed.
    """
    who = version.words
    uv = shutil.which("uv")
    venv = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    _run([*venv, str(folder)], who)
    python = envs.find_python(folder, who)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install = [uv, "pip", "install", "--quiet", "--python", python] if uv else pip
    wheel = write_wheel(folder)
    if version.commit is None:
        _run([*install, str(wheel), str(version.requirement), *more], who)
    else:
        with _worktree(folder / WORKTREE, version.commit, repository) as tree:
            _run([*install, str(wheel), str(tree), *more], who)
    installed = envs.installed(python, version.requirement.name) if version.requirement else None
    (folder / envs.MADE_OF).write_text(version.words, encoding="utf-8")
    return envs.inspect(version.name(installed), python)


def _run(command: Sequence[str], who: str) -> None:
    """Run a tool that makes an environment. Raises UserError with what it said where it fails."""
    ended = child.run(command, {**inherited(command[0]), "NO_COLOR": "1"}, TIMEOUT_S, merged=True)
    if ended.status != 0:
        said = _said(ended.out) if ended.status else ended.how()
        raise UserError(f"{who}: no environment: {said or ended.how()}")


def _said(output: str) -> str:
    """Return what a tool said of its failure in one line: the last error of pip, or all that follows the first."""
    lines = [line.strip(" \u00d7│╰─▶╮╯·") for line in output.splitlines()]
    errors = [number for number, line in enumerate(lines) if line.startswith(("ERROR:", "error:", "fatal:"))]
    of_pip = errors and lines[errors[0]].startswith("ERROR:")
    said = " ".join(filter(None, [lines[errors[-1]]] if of_pip else lines[errors[0] if errors else 0 :]))
    if of_pip and "(from versions: none)" in output:  # what pip says of a name that is wrong, and without a network
        said += "; the index names no version at all: is the name right, and the network there?"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


@contextmanager
def _worktree(folder: Path, commit: str, repository: Path) -> Iterator[Path]:
    """Check a commit out beside the repository, whose own files stay as they are; take it away behind the block."""
    _forget_killed(repository)
    added = git(repository, "worktree", "add", "--quiet", "--detach", str(folder), commit)
    if added.returncode != 0:
        raise UserError(f"{commit[:SHORT]}: git makes no worktree: {_said(added.stderr)}")
    try:
        project = folder / git(repository, "rev-parse", "--show-prefix").stdout.strip()
        if (project / "mlpbench" / "bench").exists():
            raise UserError("this is mlpbench's own repository: ab compares commits of a package that offers kernels")
        if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise UserError(f"{commit[:SHORT]}: no pyproject.toml in this folder at that commit: nothing to install")
        yield project
    finally:
        git(repository, "worktree", "remove", "--force", str(folder))


def _forget_killed(repository: Path) -> None:
    """Let git forget the worktrees of comparisons that were killed: their folders are gone, and it still lists them."""
    for line in git(repository, "worktree", "list", "--porcelain").stdout.splitlines():
        there = Path(line.removeprefix("worktree "))
        ours = (
            line.startswith("worktree ") and there.name == WORKTREE and there.parent.parent.name.startswith("mlpbench-")
        )
        if ours and not there.exists():
            git(repository, "worktree", "remove", "--force", str(there))


def write_wheel(folder: Path) -> Path:
    """Write this mlpbench as a wheel that needs only what measures, into a folder; return its path.

    That is the same code as the one that runs, from a checkout as from a wheel, and nothing has to be built.
    """
    name = f"mlpbench-{envs.VERSION}"
    path = folder / f"{name}-py3-none-any.whl"
    requires = "".join(f"Requires-Dist: {need}\n" for need in envs.NEEDS)
    python = ".".join(map(str, envs.PYTHON))
    texts = {
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: mlpbench\nVersion: {envs.VERSION}\n"
        f"Requires-Python: >={python}\n{requires}",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: mlpbench\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = f"{name}.dist-info/RECORD"
    listed = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for place, content in _contents(texts):
            archive.writestr(place, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            listed.append(f"{place},sha256={digest},{len(content)}")
        archive.writestr(record, "\n".join([*listed, f"{record},,", ""]))
    return path


def _contents(texts: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    for parent, folders, files in os.walk(envs.PACKAGE, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for file in sorted(files):
            whole = Path(parent, file)
            yield f"mlpbench/{whole.relative_to(envs.PACKAGE).as_posix()}", whole.read_bytes()
    for place, text in texts.items():
        yield place, text.encode()
