"""Virtual environments of links to packages that the tests have, and a stand-in for uv, which asks no index."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from mlpbench.bench.wings.versions.environments import NEEDS
from support.sources import ROOT


def make(folder, *, without=(), instead=None):
    """Make an environment that has what measures, ``without`` some packages; return its folder.

    ``instead``: files of a package that stands in for mlpbench, text by path.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", folder], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    for name in closure([Requirement(need).name for need in NEEDS]) - set(without):
        link(packages, name)
    if instead is None and "mlpbench" not in without:
        (packages / "mlpbench").symlink_to(ROOT / "mlpbench")
    for path, text in (instead or {}).items():
        (packages / path).parent.mkdir(parents=True, exist_ok=True)
        (packages / path).write_text(text, encoding="utf-8")
    return folder


def closure(names):
    """Return distributions with all that they require here."""
    found, left = set(), list(names)
    while left:
        name = left.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or ())
            left += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def link(packages, name):
    """Link what a distribution has installed into the folder of packages of another environment."""
    found = metadata.distribution(name)
    tops = {path.parts[0] for path in found.files or () if path.parts[0] not in ("..", "__pycache__")}
    for top in tops:
        (packages / top).symlink_to(Path(str(found.locate_file(top))))


def package(packages, name, version, kernels, **modules):
    """Install a package that somebody else might have: its kernels, as "module:Class" by name, and its modules."""
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    points = "".join(f"{kernel} = {value}\n" for kernel, value in kernels.items())
    (info / "entry_points.txt").write_text(f"[mlpbench.kernels]\n{points}", encoding="utf-8")
    for module, text in modules.items():
        (packages / f"{module}.py").write_text(text, encoding="utf-8")


SCRIPT = """#!{python}
import sys
sys.path[:0] = {paths!r}
from support import venvs
venvs.uv(sys.argv[1:])
"""


def offer_uv(folder, path=None):
    """Write the stand-in for uv into a folder; return a PATH, ours or another, that finds it before all others."""
    folder.mkdir()
    program = folder / "uv"
    program.write_text(SCRIPT.format(python=sys.executable, paths=[str(ROOT / "tests"), str(ROOT)]), encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{path or os.environ['PATH']}"


def uv(words):
    """Do what uv does with these words."""
    given = [word for word in words if not word.startswith("--")]
    if words[0] == "venv":
        make(Path(given[-1]), without=("mlpbench",))
        return
    python, *wanted = given[2:]
    packages = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    for word in wanted:
        if word.endswith(".whl"):
            zipfile.ZipFile(word).extractall(packages)
        elif Path(word).is_dir():
            project = tomllib.loads((Path(word) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            modules = {path.stem: path.read_text(encoding="utf-8") for path in Path(word).glob("*.py")}
            package(packages, project["name"], project["version"], project["kernels"], **modules)
        elif "==99" in word:
            sys.exit(f"  \u00d7 No solution found:\n  ╰─▶ Because there is no version of {word}, it is unsatisfiable.")
