"""Virtual environments that cost nothing: without pip, their packages are links to those that the tests have."""

import subprocess
import sys
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


def package(packages, name, version, **files):
    """Install a package that somebody else might have: modules by name, ``entry_points`` among them as text."""
    entry_points = files.pop("entry_points", "")
    info = packages / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    for module, text in files.items():
        (packages / f"{module}.py").write_text(text, encoding="utf-8")
