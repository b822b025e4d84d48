"""Print the prices: lines, words, options, constants and fields of the tree, beside what they may be.

    python scripts/budget.py            exit 1 where something is above its ceiling

`PRICES` has the price of each, and the ceiling that holds until the price is reached: nothing may grow above it. Who
makes something smaller lowers its ceiling; a feature that needs more says what it replaces.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import msgspec
import typer

from mlpbench.bench.cli.app import COMMANDS, app
from mlpbench.bench.record.device import RoofsFile
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.schema import RecordFile
from mlpbench.bench.wings.share.shared import SharedFile

ROOT = Path(__file__).resolve().parent.parent
#: Of each: the price, and the ceiling until then.
PRICES = {
    "bench, core: lines of Python": (12_000, 12_000),
    "bench, wings: lines of Python": (7_000, 7_000),
    "kernels: lines of Python": (9_000, 9_000),
    "kernels: lines of CUDA": (1_200, 1_200),
    "tests: lines of Python": (22_000, 22_000),
    "docs, decisions, changelog: words": (25_000, 25_000),
    "README: words": (900, 900),
    "numeric constants of modules in bench": (150, 120),
    "options of run": (20, 20),
    "options of all commands": (85, 85),
    "classes of bench": (180, 175),
    "fields of the format": (260, 260),
}


def files(*patterns: str) -> list[Path]:
    """Return the committed and new files that match, below the root."""
    words = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def lines(*patterns: str) -> int:
    """Return the lines of some files."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files(*patterns))


def words(*patterns: str) -> int:
    """Return the words of some files."""
    return sum(len(path.read_text(encoding="utf-8").split()) for path in files(*patterns))


def constants_and_classes() -> tuple[int, int]:
    """Return how many names of modules are numbers, or tuples of them, and how many classes there are."""
    constants = classes = 0
    for path in files("bench/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes += sum(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
        for node in tree.body:
            if isinstance(node, ast.Assign):
                names = [name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                if all(isinstance(v, ast.Constant) and type(v.value) in (int, float) for v in values):
                    constants += len(names)
    return constants, classes


def options() -> tuple[int, int]:
    """Return how many options `run` has, and all commands together."""
    group = typer.main.get_command(app)
    commands = {name: group.get_command(None, name) for name in COMMANDS}  # type: ignore[attr-defined]
    counts = {
        name: sum(one.param_type_name == "option" and one.name != "help" for one in command.params)
        for name, command in commands.items()
    }
    return counts["run"], sum(counts.values())


def fields() -> int:
    """Return how many members the types of result files have, each type once."""
    kinds = (RecordFile, RunFile, RoofsFile, SharedFile)
    components = msgspec.json.schema_components(kinds)[1]
    return sum(len(component.get("properties", ())) for component in components.values())


def counted() -> dict[str, int]:
    """Return what there is of each."""
    constants, classes = constants_and_classes()
    of_run, of_all = options()
    return {
        "bench, core: lines of Python": lines("bench/*.py") - lines("bench/wings/*.py"),
        "bench, wings: lines of Python": lines("bench/wings/*.py"),
        "kernels: lines of Python": lines("kernels/*.py"),
        "kernels: lines of CUDA": lines("kernels/*.cu", "kernels/*.cuh"),
        "tests: lines of Python": lines("tests/*.py"),
        "docs, decisions, changelog: words": words("docs/*.md", "CHANGELOG.md"),
        "README: words": words("README.md"),
        "numeric constants of modules in bench": constants,
        "options of run": of_run,
        "options of all commands": of_all,
        "classes of bench": classes,
        "fields of the format": fields(),
    }


def main() -> int:
    """Print the table; return the exit status."""
    found = counted()
    print(f"{'':40}{'now':>8}{'price':>8}{'ceiling':>9}")
    for name, (price, ceiling) in PRICES.items():
        mark = "  above its ceiling" if found[name] > ceiling else "" if found[name] <= price else "  not paid yet"
        print(f"{name:40}{found[name]:>8,}{price:>8,}{ceiling:>9,}{mark}")
    return int(any(found[name] > ceiling for name, (_, ceiling) in PRICES.items()))


if __name__ == "__main__":
    sys.exit(main())
