"""Python environments as an axis of a run: found, asked what they have, and made of a version."""

import json
import os
import re
import shlex
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from mlpbench.bench.wings.versions.versions import Version, git

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
#: A tool may take so long: one that downloads and perhaps compiles a package, or a suite.
MOST_S = 3600
#: Lines in which pip, uv, git and pytest say what is wrong.
_WRONG = re.compile(r"(ERROR|FAILED|fatal:|(\S+: )?error:)")
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
    checkout = PACKAGE.parent
    source = str(checkout) if (checkout / "pyproject.toml").is_file() else f"mlpbench=={VERSION}"
    how = f"install {wanted} there: {pip} --no-deps {shlex.quote(source)}"
    if found.version is None:
        raise UserError(f"{who}: no mlpbench in this environment ({found.error}); {how}")
    if found.version != VERSION or found.schema != SCHEMA:
        told = f"mlpbench {found.version}, which writes records of schema {found.schema}"
        raise UserError(f"{who}: it has {told}; this is {wanted} with schema {SCHEMA}; {how}")
    if found.error is not None:
        raise UserError(f"{who}: its mlpbench is not this one: {found.error}; {how}")


# -- made


@dataclass(frozen=True)
class Made:
    """An environment that was made of a version: its name in tables, its interpreter, and where the sources are."""

    version: Version
    name: str
    python: str
    sources: Path


@contextmanager
def made(folder: Path, version: Version, more: Sequence[str], *, suite: bool = False) -> Iterator[Made]:
    """Make an environment of a version in a new folder, with ``more`` requirements; its sources last as the block does.

    The package of a commit is installed from a git worktree of the repository here, with the extras that ``.[test]``
    among ``more`` names. ``suite``: as it lies there, and with pytest-benchmark in place of this mlpbench. Raises
    UserError, one line, with the words of whatever failed.
    """
    who = f"{version.words}: no environment"
    uv = shutil.which("uv")
    venv = [uv, "venv", "--quiet", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    with _sources(folder.with_name(f"{folder.name}-sources"), version) as sources:
        run([*venv, str(folder)], who)
        python = find_python(folder, who)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install = [uv, "pip", "install", "--quiet", "--python", python] if uv else pip
        extras = [word for word in more if word.startswith(".[")]
        package = str(version.requirement or "".join([str(sources), *(word[1:] for word in extras)]))
        where = ["--editable"] if suite and version.commit else []
        wanted = [*where, package, "pytest-benchmark" if suite else str(write_wheel(folder))]
        run([*install, *wanted, *(word for word in more if word not in extras)], who)
        code = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
        named = version.requirement and _answer([python, "-P", "-c", code, version.requirement.name]).out.strip()
        (folder / MADE_OF).write_text(version.words, encoding="utf-8")
        yield Made(version, version.name(named or None), python, sources)


def run(command: Sequence[str], who: str) -> None:
    """Run a tool. Raises UserError, which begins with ``who``, with what it said where it fails."""
    ended = child.run(command, {**inherited(command[0]), "NO_COLOR": "1"}, MOST_S, merged=True)
    if ended.status != 0:
        said = _said(ended.out) if ended.status else ended.how()
        raise UserError(f"{who}: {said or ended.how()}")


def _said(output: str) -> str:
    """Return what a tool said of its failure in one line: the last error of pip or pytest, or all behind the first."""
    lines = [line.strip(" \u00d7│╰─▶╮╯·=") for line in output.splitlines()]
    errors = [number for number, line in enumerate(lines) if _WRONG.match(line)]
    the_last = errors and lines[errors[0]].startswith(("ERROR", "FAILED"))
    said = " ".join(filter(None, [lines[errors[-1]]] if the_last else lines[errors[0] if errors else 0 :]))
    if the_last and " - " not in said and (raised := re.findall("^E +(.+)", output, re.MULTILINE)):
        said += f": {raised[-1]}"  # pytest's summary names a file that cannot be imported, and not why
    if the_last and "(from versions: none)" in output:  # what pip says of a wrong name, and without a network
        said += "; the index names no version at all: is the name right, and the network there?"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


@contextmanager
def _sources(folder: Path, version: Version) -> Iterator[Path]:
    """Check a commit out beside the repository, whose own files stay as they are; take it away behind the block.

    Of a requirement the sources are the folder here.
    """
    here = Path.cwd()
    if version.commit is None:
        yield here
        return
    run(["git", "worktree", "add", "--quiet", "--detach", str(folder), version.commit], f"{version.words}: no worktree")
    try:
        project = folder / git(here, "rev-parse", "--show-prefix").stdout.strip()
        if (project / "mlpbench" / "bench").exists():
            raise UserError("this is mlpbench's own repository: ab compares commits of a package that offers kernels")
        if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise UserError(f"{version.words}: no pyproject.toml in this folder at that commit: nothing to install")
        yield project
    finally:
        git(here, "worktree", "remove", "--force", str(folder))


def write_wheel(folder: Path) -> Path:
    """Write the mlpbench that runs, as a wheel that needs only what measures, into a folder; return its path."""
    name, python = f"mlpbench-{VERSION}", ".".join(map(str, PYTHON))
    path, info = folder / f"{name}-py3-none-any.whl", f"{name}.dist-info"
    needs = [f"Requires-Python: >={python}", *(f"Requires-Dist: {need}" for need in NEEDS)]
    texts = {
        "METADATA": ["Metadata-Version: 2.1", "Name: mlpbench", f"Version: {VERSION}", *needs],
        "WHEEL": ["Wheel-Version: 1.0", "Generator: mlpbench", "Root-Is-Purelib: true", "Tag: py3-none-any"],
    }
    with zipfile.ZipFile(path, "w") as archive:
        for parent, folders, files in os.walk(PACKAGE, followlinks=True):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for file in (Path(parent, name) for name in sorted(files)):
                archive.write(file, f"mlpbench/{file.relative_to(PACKAGE).as_posix()}")
        for kind, lines in texts.items():
            archive.writestr(f"{info}/{kind}", "\n".join([*lines, ""]))
        # Digests are for strangers' wheels: this one is installed at once, and goes.
        record = f"{info}/RECORD"
        archive.writestr(record, "".join(f"{name},,\n" for name in (*archive.namelist(), record)))
    return path
