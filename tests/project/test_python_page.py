"""What `import mlpbench` offers: the page about it, the stub with its types and the frames themselves say the same."""

import ast
import inspect
import re

import pytest

import mlpbench
from mlpbench.bench.analysis import frame
from mlpbench.bench.api import foreign
from mlpbench.bench.cli import app
from support.sources import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
TABLES = {
    "Results.cases": frame.CASES,
    "Results.repeats": frame.COLUMNS,
    "Results.rounds": frame.ROUNDS,
    "Comparison.cases": frame.COMPARED,
    "PytestBenchmark.benchmarks": foreign.BENCHMARKS,
    "ForeignComparison.cases": foreign.COMPARED,
}
#: How a time says that it is one, or of what that is.
UNIT = r"second|its 95 % interval|the same|over the rounds|of the rounds|call_s|of a round"


@pytest.mark.parametrize("method", TABLES)
def test_the_page_has_every_column_with_its_dtype_and_unit(method):
    section = PAGE.split(f"### `{method}()`\n")[1].split("\n### ")[0]
    shown = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", section, re.MULTILINE)
    assert shown == [(name, dtype, said) for name, (dtype, said) in TABLES[method].items()]
    for name, dtype, said in shown:
        if name.endswith("_s") and dtype == "float64":
            assert re.search(
                r"second|its 95 % interval|the same|over the rounds|of the rounds|call_s|of a round", said
            ), name
    owner, _, attribute = method.partition(".")
    assert callable(getattr(getattr(mlpbench, owner), attribute))


def test_the_page_has_every_name_and_every_method():
    for name in mlpbench.__all__:
        assert f"`{name}" in PAGE, name
    for owner in ("Results", "PytestBenchmark"):
        for name, member in vars(getattr(mlpbench, owner)).items():
            if not name.startswith("_") and inspect.isfunction(member):
                assert f"{name}(" in PAGE, name


def test_the_stub_says_what_the_module_does():
    tree = ast.parse((ROOT / "mlpbench" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(imports) == mlpbench.__all__
    for name, module in imports.items():
        assert getattr(mlpbench, name).__module__ in {module, "mlpbench.bench.errors"}
        assert f"{module}" == f"mlpbench.bench.{next(at for at, names in mlpbench._MODULES.items() if name in names)}"


def test_what_there_is_not_is_said_as_python_says_it():
    with pytest.raises(AttributeError, match="module 'mlpbench' has no attribute 'loda'"):
        mlpbench.loda  # noqa: B018
    assert set(mlpbench.__all__) <= set(dir(mlpbench))


def test_every_option_of_run_can_be_given_in_python():
    """Those that are about a terminal are refused with a reason."""
    from mlpbench.bench.api import run

    (command,) = [one for one in app.app.registered_commands if one.callback and one.callback.__name__ == "run"]
    options = set(inspect.signature(command.callback).parameters) - {"context", "kernels"}
    assert {"profile", "batch_size", "threads", "repeats", "budget", "out"} <= options - run._NOT_HERE
    assert {"as_json", "dry_run", "quiet", "verbose"} == options & run._NOT_HERE
