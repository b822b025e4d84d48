"""What `import mlpbench` offers: the page about it and the stub with its types say the same."""

import ast
import inspect
from dataclasses import fields

import pytest
import typer

import mlpbench
from mlpbench.bench.cli import app
from mlpbench.bench.plan.request import Request
from support.sources import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cases", "repeats", "rounds", "compared"])
def test_columns_say_dtype_and_unit(name):
    shown = mlpbench.columns(name)
    assert list(shown) == ["name", "dtype", "holds"]
    assert shown["name"].is_unique
    in_seconds = shown[shown["name"].str.endswith("_s") & (shown["dtype"] == "float64")]
    assert in_seconds["holds"].str.contains("second|interval|the same|of? the rounds|call_s|of a round").all()


def test_the_page_has_every_name_and_every_method():
    for name in mlpbench.__all__:
        assert f"`{name}" in PAGE, name
    for name, member in vars(mlpbench.Results).items():
        if not name.startswith("_") and inspect.isfunction(member):
            assert f"{name}(" in PAGE, name


def test_the_stub_says_what_the_module_does():
    tree = ast.parse((ROOT / "mlpbench" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(imports) == mlpbench.__all__
    with pytest.raises(AttributeError, match="module 'mlpbench' has no attribute 'loda'"):
        mlpbench.loda  # noqa: B018
    with pytest.raises(mlpbench.UserError, match=r"unknown frame 'case' \(did you mean cases\?\); there are cases, "):
        mlpbench.columns("case")
    for name, module in imports.items():
        assert getattr(mlpbench, name).__module__ in {module, "mlpbench.kernels.errors"}
        assert f"{module}" == f"mlpbench.bench.{next(at for at, names in mlpbench._MODULES.items() if name in names)}"


def test_every_option_of_run_can_be_given_in_python():
    """Those that are about a terminal are missing."""
    command = typer.main.get_command(app.app).get_command(None, "run")
    options = {parameter.name for parameter in command.params}
    assert options - {each.name for each in fields(Request)} == {"as_json", "dry_run", "verbose"}
