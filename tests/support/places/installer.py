"""A stand-in for uv, which no index is asked by: environments of links, wheels unpacked, folders copied."""

import os
import sys
import tomllib
import zipfile
from pathlib import Path

from support.places import venvs
from support.sources import ROOT

SCRIPT = """#!{python}
import sys
sys.path[:0] = {paths!r}
from support.places import installer
installer.main(sys.argv[1:])
"""


def offer(folder, path=None):
    """Write the stand-in into a folder; return a PATH, ours or another, that finds it before all others."""
    folder.mkdir()
    program = folder / "uv"
    program.write_text(SCRIPT.format(python=sys.executable, paths=[str(ROOT / "tests"), str(ROOT)]), encoding="utf-8")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{path or os.environ['PATH']}"


def main(words):
    """Do what uv does with these words."""
    given = [word for word in words if not word.startswith("--")]
    if words[0] == "venv":
        venvs.make(Path(given[-1]), without=("mlpbench",))
        return
    python, *wanted = given[2:]
    packages = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    for word in wanted:
        if word.endswith(".whl"):
            zipfile.ZipFile(word).extractall(packages)
        elif Path(word).is_dir():
            project = tomllib.loads((Path(word) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            points = "".join(f"{name} = {value}\n" for name, value in project["kernels"].items())
            files = {path.stem: path.read_text(encoding="utf-8") for path in Path(word).glob("*.py")}
            name, version = project["name"], project["version"]
            venvs.package(packages, name, version, entry_points=f"[mlpbench.kernels]\n{points}", **files)
        elif "==99" in word:
            sys.exit(f"  \u00d7 No solution found:\n  ╰─▶ Because there is no version of {word}, it is unsatisfiable.")
