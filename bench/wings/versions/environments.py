"""Python environments as an axis of a run: found, asked what they have, and made of a version."""

import base64
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import msgspec
from packaging.requirements import Requirement

from mlpbench.bench import values
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child
from mlpbench.bench.machine.child import Ended, inherited
from mlpbench.bench.plan.sweep import Env
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.environment import Environment
from mlpbench.bench.record.fields import SCHEMA, Block, Name, Text
from mlpbench.bench.record.plan import Interpreter
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.bench.wings.versions.versions import SHORT, Version, git

#: What every environment must have: this mlpbench. By name: its stub imports the analysis.
VERSION: str = import_module("mlpbench").__version__
PACKAGE = Path(__file__).parents[3]
#: What the part of mlpbench that measures imports, beside what a kernel itself needs.
NEEDS = ("llvmlite", "msgspec>=0.20", "numpy>=1.26", "pytest>=8.2", "pytest-benchmark>=5.3", "threadpoolctl>=3.5")
#: The oldest Python that mlpbench runs in.
PYTHON = (3, 11)
TIMEOUT_S = 120
#: In an environment that `mlpbench ab` has made: what it was made of, in words.
MADE_OF = "mlpbench-made-of.txt"
#: Folder, in that of an environment, of the commit that is installed there.
WORKTREE = "worktree"
#: Resolving, downloading and perhaps compiling a package.
MAKING_S = 3600
#: Of what a tool says when it fails, the most that becomes a line.
_LONGEST = 400
#: Names become parts of folders and of tables.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)
#: Runs in any Python. Its first argument is what mlpbench needs there, its second what mlpbench is to be.
_QUESTION = """
import json, os, sys
sys.path = [path for path in sys.path if path]
needs, wanted = json.loads(sys.argv[1]), json.loads(sys.argv[2])
found = {"python": list(sys.version_info[:3]), "versions": {}, "broken": {}}
def ask():
    from importlib import import_module, metadata
    for name in needs:
        try:
            found["versions"][name] = metadata.version(name)
            import_module(name.replace("-", "_"))
        except metadata.PackageNotFoundError:
            pass
        except Exception as error:
            found["broken"][name] = "%s: %s" % (type(error).__name__, error)
    if found["broken"] or len(found["versions"]) < len(needs):
        return
    try:
        import mlpbench
        from mlpbench.bench.record.fields import SCHEMA
        found.update(version=mlpbench.__version__, schema=SCHEMA, package=os.path.dirname(mlpbench.__file__))
        if [mlpbench.__version__, SCHEMA] == wanted:
            from mlpbench.bench.machine import environment
            from mlpbench.kernels import registry
            ours = set(registry.third_party())
            points = metadata.entry_points(group=registry.GROUP)
            found["third_party"] = {point.name: point.dist.name for point in points if point.name in ours}
            found["environment"] = environment.collect().as_dict()
    except Exception as error:
        found["error"] = "%s: %s" % (type(error).__name__, error)
if sys.version_info >= (3, 11):
    ask()
print("\\n" + json.dumps(found))
"""


class _Answer(Block, frozen=True, kw_only=True):
    """What an interpreter says: its version, those of what mlpbench needs, what of that is broken, its mlpbench."""

    python: tuple[int, int, int]
    versions: dict[Text, Text]
    broken: dict[Text, Text]
    version: Text | None = None
    schema: int | None = None
    package: Text = ""
    error: Text | None = None
    third_party: dict[Name, Text] = msgspec.field(default_factory=dict)
    environment: Environment = Environment()


def parse(texts: Sequence[str]) -> dict[str, str]:
    """Return the interpreter of each environment that was named as NAME=PATH, in that order. Raises UserError."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise UserError(f"--env {text}: write a name and a path, such as --env old=venvs/old")
        if not _NAME.fullmatch(name):
            raise UserError(f"--env {text}: {name!r} is no name: up to 40 letters, digits, '.', '_' and '-'")
        if name in found:
            raise UserError(f"--env {text}: the name {name} is given twice")
        found[name] = find_python(values.home(Path(path)), f"--env {name}")
    return found


def find_python(path: Path, who: str) -> str:
    """Return the interpreter of a folder, or the file itself. Raises UserError, which begins with ``who``.

    Links are not followed: what makes a virtual environment is the place of its interpreter, which is often a link.
    """
    candidates = [path / "bin" / "python", path / "bin" / "python3", path / "Scripts" / "python.exe"]
    for file in candidates if path.is_dir() else [path]:
        if file.is_file() and os.access(file, os.X_OK):
            return os.path.abspath(file)  # noqa: PTH100 - Path.resolve follows links
    if not path.exists():
        raise UserError(f"{who}: {path}: no such file or folder")
    what = "no bin/python in this folder" if path.is_dir() else "this file is no interpreter"
    raise UserError(f"{who}: {path}: {what}; name the folder of a venv or of a conda environment, or an interpreter")


def inspect(name: str, python: str) -> Env:
    """Return the environment of an interpreter. Raises UserError where it lacks something: one line says what."""
    made_of = Path(python).parent.parent / MADE_OF
    said = untrusted.read_bytes(made_of) if made_of.is_file() else None
    source = clean_text(said.decode(errors="replace")) if said else None
    found = _ask(name, python)
    _refuse_unfit(name, python, found)
    return Env(Interpreter(name, python, found.package, source), found.environment, found.third_party)


def installed(python: str, distribution: str) -> str | None:
    """Return the version of a distribution that an environment has, None where it has none."""
    code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
    return _answer([python, "-c", code, distribution]).out.strip() or None


def _answer(words: Sequence[str]) -> Ended:
    """Run an interpreter under the limits of every child, with none of the variables that are about ours."""
    return child.run(words, inherited(words[0]), TIMEOUT_S)


def _ask(name: str, python: str) -> _Answer:
    needs = [Requirement(need).name for need in NEEDS]
    ended = _answer([python, "-c", _QUESTION, json.dumps(needs), json.dumps([VERSION, SCHEMA])])
    if ended.status is None:
        raise UserError(f"--env {name}: {python} is no Python that can be asked: it {ended.how()}")
    try:
        return untrusted.decode((ended.out.splitlines() or [""])[-1].encode(), Path(python), _Answer)
    except UserError:
        said = (ended.err.splitlines() or [f"it {ended.how()}"])[-1]
        raise UserError(f"--env {name}: {python} does not answer as Python does: {said}") from None


def _refuse_unfit(name: str, python: str, found: _Answer) -> None:
    who, pip = f"--env {name}", f"{shlex.quote(python)} -m pip install"
    if found.python[:2] < PYTHON:
        told, least = ".".join(map(str, found.python)), ".".join(map(str, PYTHON))
        raise UserError(f"{who}: {python} is Python {told}; mlpbench measures in Python {least} or newer")
    for package, why in found.broken.items():
        raise UserError(f"{who}: {package} cannot be imported there: {why}; install it again: {pip} {package}")
    lacks = [
        need
        for need in map(Requirement, NEEDS)
        if need.name not in found.versions or not need.specifier.contains(found.versions[need.name], prereleases=True)
    ]
    wanted = f"mlpbench {VERSION}"
    if lacks:
        told = ", ".join(f"{need.name} {found.versions.get(need.name, '(missing)')}" for need in lacks)
        words = shlex.join(map(str, lacks))
        raise UserError(f"{who}: the environment does not have what mlpbench measures with, {told}: {pip} {words}")
    how = f"install {wanted} there: {pip} --no-deps {shlex.quote(_source())}"
    if found.version is None:
        raise UserError(f"{who}: no mlpbench in this environment ({found.error}); {how}")
    if found.version != VERSION or found.schema != SCHEMA:
        told = f"mlpbench {found.version}, which writes records of schema {found.schema}"
        raise UserError(f"{who}: it has {told}; this is {wanted} with schema {SCHEMA}; {how}")
    if found.error is not None:
        raise UserError(f"{who}: its mlpbench is not this one: {found.error}; {how}")


def _source() -> str:
    """Return what pip installs mlpbench from: the checkout that this is, or its name and version."""
    checkout = PACKAGE.parent
    return str(checkout) if (checkout / "pyproject.toml").is_file() else f"mlpbench=={VERSION}"


# -- made


def make(folder: Path, version: Version, more: Sequence[str], repository: Path) -> Env:
    """Make an environment of a version in a new folder, with ``more`` requirements; return it.

    Of a commit, its package is installed from a git worktree of ``repository``. Raises UserError, one line, with the
    words of whatever failed.
    """
    who = version.words
    uv = shutil.which("uv")
    venv = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    _run([*venv, str(folder)], who)
    python = find_python(folder, who)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install = [uv, "pip", "install", "--quiet", "--python", python] if uv else pip
    wheel = write_wheel(folder)
    if version.commit is None:
        _run([*install, str(wheel), str(version.requirement), *more], who)
    else:
        with _worktree(folder / WORKTREE, version.commit, repository) as tree:
            _run([*install, str(wheel), str(tree), *more], who)
    there = installed(python, version.requirement.name) if version.requirement else None
    (folder / MADE_OF).write_text(version.words, encoding="utf-8")
    return inspect(version.name(there), python)


def _run(command: Sequence[str], who: str) -> None:
    """Run a tool that makes an environment. Raises UserError with what it said where it fails."""
    ended = child.run(command, {**inherited(command[0]), "NO_COLOR": "1"}, MAKING_S, merged=True)
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


def write_wheel(folder: Path) -> Path:
    """Write the mlpbench that runs, as a wheel that needs only what measures, into a folder; return its path."""
    name = f"mlpbench-{VERSION}"
    path = folder / f"{name}-py3-none-any.whl"
    requires = "".join(f"Requires-Dist: {need}\n" for need in NEEDS)
    python = ".".join(map(str, PYTHON))
    texts = {
        f"{name}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: mlpbench\nVersion: {VERSION}\n"
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
    for parent, folders, files in os.walk(PACKAGE, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for file in sorted(files):
            whole = Path(parent, file)
            yield f"mlpbench/{whole.relative_to(PACKAGE).as_posix()}", whole.read_bytes()
    for place, text in texts.items():
        yield place, text.encode()
