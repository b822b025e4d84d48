"""What is imported is declared, what is declared is imported; and `import mlpbench` costs nothing."""

import ast
import json
import re
import sys
import tomllib

from support.processes import python
from support.sources import MODULES, ROOT, SOURCES, imports, parsed, top

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: What is imported under another name than it is installed by, or comes with what is installed.
INSTALLED_BY = {
    "array_api_compat": {"array-api-compat"},
    "_pytest": {"pytest"},
    "cupy": {"cupy-cuda12x", "cupy-cuda13x"},
    "cupyx": {"cupy-cuda12x", "cupy-cuda13x"},
    "jaxlib": {"jax"},
    "onnxruntime": {"onnxruntime", "onnxruntime-gpu"},
    "pynvml": {"nvidia-ml-py"},
    "pytest_benchmark": {"pytest-benchmark"},
    "sklearn": {"scikit-learn"},
    "triton": {"torch"},
    "vl_convert": {"vl-convert-python"},
    "yaml": {"pyyaml"},
}
#: Started, or loaded by what is started, and imported by nobody.
TOOLS = {"hatchling", "import-linter", "mypy", "pandas-stubs", "pre-commit", "pytest-rerunfailures", "pytest-xdist"}
TOOLS |= {"array-api-strict", "axe-core-python", "ruff", "scipy-stubs"}
OURS = {"mlpbench", "support", "acceptance", "on_cpu", *(path.stem for path in (ROOT / "scripts").rglob("*.py"))}


def declared(requirements):
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


CORE = declared(PROJECT["dependencies"])
EXTRAS = {name: declared(said) - {"mlpbench"} for name, said in PROJECT["optional-dependencies"].items()}
OF_USERS = CORE.union(*(EXTRAS[name] for name in EXTRAS if name not in {"docs", "test", "train"}))


def libraries(path):
    """Return the distributions that a module imports, those too that a kernel asks for with `kernels.base.require`."""
    names = {top(found.module) for found in imports(path)}
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Call(func=ast.Name(id="require"), args=[ast.Constant(value=str(name)), *_]):
                names.add(top(name))
    names -= sys.stdlib_module_names | OURS
    return {distribution for name in names for distribution in INSTALLED_BY.get(name, {name})}


def used(*folders):
    """Return the distributions that are imported below top-level folders."""
    return set().union(*(libraries(path) for path in SOURCES if path.relative_to(ROOT).parts[0] in folders))


def test_what_users_get_is_what_is_imported_and_what_tests_and_scripts_need_is_declared():
    assert used("bench", "kernels", "mlpbench") == OF_USERS
    tests = used("tests") - CORE
    assert tests <= OF_USERS | EXTRAS["test"] | EXTRAS["train"]
    assert EXTRAS["test"] - TOOLS <= tests
    assert EXTRAS["test"] >= TOOLS
    assert used("scripts") >= EXTRAS["train"]


def test_what_an_extra_brings_is_imported_when_it_is_needed():
    optional = OF_USERS - CORE
    at_import = [(path, top(found.module)) for path in MODULES for found in imports(path) if found.at_import]
    assert not [(path, name) for path, name in at_import if INSTALLED_BY.get(name, {name}) & optional]


def test_advice_names_an_extra_that_there_is():
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        assert "install 'mlpbench[" not in source, path
        for extras in re.findall(r"'\.\[([\w,-]+)\]'", source):
            assert set(extras.split(",")) <= set(EXTRAS), path


def test_importing_mlpbench_loads_no_library():
    code = "import json, sys, mlpbench; print(json.dumps([mlpbench.__version__, *sys.modules]))"
    version, *loaded = json.loads(python("-c", code).stdout)
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert not {top(name) for name in loaded} & (OF_USERS | {"_pytest"})
    assert "mlpbench.bench" not in loaded
