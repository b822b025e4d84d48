"""Who may import whom, read from the sources: so a new backend stays one new file, and the clock one clock."""

import ast
import json
import subprocess
import sys
import tomllib

import pytest

from support import simulate
from support.sources import MODULES, ROOT, SOURCES, imports, listed, modules_imported, name_of, parsed, top, where

BACKENDS = [path for path in MODULES if path.match("kernels/mlp_*.py")]
CONTRACT = {f"kernels.{name}" for name in ("base", "errors", "params", "spec", "threads", "libraries")}
PEERS = ("onnxruntime", "onnx", "torch", "jax", "openvino", "sklearn")
LAZY = ("pandas", "numba", "cupy", "altair", "scipy", "pytest", "numpy", *PEERS)

#: What a library may bring along besides what carries its name (cupy: cupyx).
COMPANIONS = {
    "numba": {"llvmlite"},
    "numba_simd": {"numba", "llvmlite"},
    "onnxruntime": {"onnx"},
    "sklearn": {"threadpoolctl"},
}
#: Derived from result files alone: a report can be made where none of the backends is installed.
RIGHT_OF_THE_JSON = (
    "record",
    "schema",
    "untrusted",
    "frame",
    "statistics",
    "summary",
    "axes",
    "planned",
    "runs",
    "compare",
    "comparison",
    "sides",
    "differences",
    "headline",
    "book",
    "book_apart",
    "book_parts",
    "hockney",
    "roofline",
    "attribution",
    "evidence",
    "sustained",
    "explain",
    "explain_words",
    "bandwidth",
    "bandwidth_words",
    "heatmap",
    "scaling",
    "limits",
    "limits_targets",
    "units",
    "trust/judge",
    "trust/harness",
    "trust/findings",
    "trust/percentiles",
    "trust/columns",
    "trust/schema",
    "trust/durations",
    "trust/timeline",
    "commands/report",
    "commands/compare",
    "commands/explain",
    "report/*",
)
#: What measures: no part of a report.
LEFT_OF_THE_JSON = (
    {
        f"bench.{name}"
        for name in ("measure", "workload", "session", "plugin", "runner", "datasets", "mnist", "environment")
    }
    | {f"bench.trust.{name}" for name in ("plugin", "watch", "counters", "spin", "cold", "singles", "inputs", "memory")}
    | {"mlpbench.kernels.conformance", "mlpbench.kernels.weights"}
)
PANDAS = ("bench/analysis/frame.py", "bench/analysis/comparison.py", "bench/report/*.py")
#: Modules that may ask the time or wait besides `bench/measure/case.py`, and what for.
CLOCKS = {
    "bench/measure/instruments.py": "time.perf_counter_ns: a planted slowdown is a share of what it shows; it times no result",
    "bench/data/fetch.py": "time.sleep: a pause before a mirror is asked again",
    "kernels/cuda/events.py": "time.perf_counter: what NVRTC compiles, which CuPy does not tell as Numba does",
}
WAITS = {
    "kernels/conformance.py": "the gate looks at results; it is never timed",
    "bench/data/workload.py": "hits are counted; that is never timed",
    "bench/cli/data.py": "`mlpbench show` looks at one result; it is never timed",
}


def run_python(code, *arguments):
    """Run code in a fresh interpreter; return the modules that it prints as JSON on its last line of stderr."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr.splitlines()[-1]))


def test_the_scanner_sees_every_kind_of_import(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        "from typing import TYPE_CHECKING\nimport a.b\nif TYPE_CHECKING:\n    from c import d\n"
        "class X:\n    import e\n    def f(self):\n        from g import h\n"
    )
    found = [(i.module, i.name, i.at_import, i.only_types) for i in imports(source)]
    assert found == [
        ("typing", "TYPE_CHECKING", True, False),
        ("a.b", None, True, False),
        ("c", "d", False, True),
        ("e", None, True, False),
        ("g", "h", False, False),
    ]


def test_there_is_something_to_look_at():
    assert len(MODULES) > 40
    assert any(path.name == "mlp_numpy.py" for path in BACKENDS)
    patterns = [f"bench/{name}.py" for name in RIGHT_OF_THE_JSON] + [*PANDAS, *CLOCKS, *WAITS]
    unused = [pattern for pattern in patterns if not any(path.match(pattern) for path in MODULES)]
    assert not unused, "an exception or rule for a file that is not there"


def test_kernels_never_import_bench():
    kernels = [path for path in MODULES if top(name_of(path)) == "kernels"]
    wrong = [where(path, found) for path in kernels for found in imports(path) if top(found.module) == "bench"]
    assert not wrong


def test_a_backend_imports_the_contract_and_its_own_library():
    """``mlp_cupy`` has CuPy and its own ``kernels.cupy_*``, or a package; what two share has its own module."""
    wrong = []
    for path in BACKENDS:
        backend = path.stem.removeprefix("mlp_")
        libraries = sys.stdlib_module_names | {"numpy", *COMPANIONS.get(backend, ())}
        for found in imports(path):
            if top(found.module) == "kernels":
                modules = modules_imported(found) - {"kernels"}
                library = backend.partition("_")[0]  # numba_simd shares numba's own modules
                own = (f"kernels.{library}_", f"kernels.{backend}.")
                allowed = any(m in CONTRACT or m.startswith(own) for m in modules)
            else:
                allowed = top(found.module) in libraries or top(found.module).startswith(backend)
            if not allowed:
                wrong.append(f"{where(path, found)}: {found.module}")
    assert not wrong


@pytest.mark.parametrize("path", [path for path in BACKENDS if path.stem != "mlp_numpy"], ids=name_of)
def test_a_backends_module_imports_without_its_library(path):
    backend = path.stem.removeprefix("mlp_")
    code = "import sys, json, importlib; importlib.import_module(sys.argv[1]); "
    loaded = run_python(f"{code}print(json.dumps([*sys.modules]), file=sys.stderr)", name_of(path))
    assert not [name for name in loaded if top(name) in {backend, *COMPANIONS.get(backend, ())}]


def test_pandas_and_plots_have_their_places():
    """Other modules may name their types, which imports nothing."""
    wrong = []
    for path in MODULES:
        barred = set() if listed(path, PANDAS) else {"pandas"}
        barred |= set() if path.match("bench/report/plots*.py") else {"altair", "matplotlib"}
        wrong += [where(path, found) for found in imports(path) if top(found.module) in barred and not found.only_types]
    assert not wrong


def test_one_clock():
    """Only `bench.measure.case` asks the time, pytest-benchmark apart; nothing else waits for a device."""
    wrong = []
    for path in MODULES:
        relative = str(path.relative_to(ROOT))
        if relative not in {"bench/measure/case.py", *CLOCKS}:
            wrong += [where(path, found) for found in imports(path) if top(found.module) in {"time", "timeit"}]
        # A backend's own wait is what `measure` calls.
        if relative not in {"bench/measure/case.py", *WAITS} and path not in BACKENDS:
            calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
            wrong += [where(path, call) for call in calls if getattr(call.func, "attr", None) == "synchronize"]
    assert not wrong


def test_nobody_asks_which_backend_it_is():
    """A difference between backends is a method of the kernel, or it does not exist."""
    assert asks_for_backend(ast.parse("if kernel.backend == 'cupy': pass"))
    assert asks_for_backend(ast.parse("if backend in ('cupy', 'numba'): pass"))
    assert asks_for_backend(ast.parse("match kernel.backend:\n    case 'cupy': pass"))
    assert not asks_for_backend(ast.parse("if backend is None: pass"))
    assert not [where(path, node) for path in MODULES for node in asks_for_backend(parsed(path))]


def asks_for_backend(tree):
    asked = []
    for node in ast.walk(tree):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        sides += [node.subject] if isinstance(node, ast.Match) else []
        names = {getattr(side, "id", None) or getattr(side, "attr", None) for side in sides}
        texts = [
            c for side in sides for c in ast.walk(side) if isinstance(c, ast.Constant) and isinstance(c.value, str)
        ]
        if "backend" in names and (texts or isinstance(node, ast.Match)):
            asked.append(node)
    return asked


def test_nothing_right_of_the_json_names_a_kernel_or_the_clock():
    wrong = []
    for path in MODULES:
        if not listed(path, [f"bench/{name}.py" for name in RIGHT_OF_THE_JSON]):
            continue
        for found in imports(path):
            named = modules_imported(found)
            if named & LEFT_OF_THE_JSON or any(name.startswith("mlpbench.kernels.mlp_") for name in named):
                wrong.append(where(path, found))
            if top(found.module) in {"numba", "cupy", "cupyx", "pytest", "pytest_benchmark"}:
                wrong.append(where(path, found))
    assert not wrong


def test_a_report_needs_no_kernel(tmp_path):
    """Everything right of the JSON runs where the backends cannot even be imported."""
    times = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
    run = simulate.write_run(tmp_path, {**times, ("numba", "per_sample", 100): 3e-6, ("numba", "batched", 100): 2e-6})
    code = """
import json, sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Refuse(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("numba", "llvmlite", "cupy", "mlpbench.kernels.mlp_", "mlpbench.kernels.conformance", "mlpbench.bench.measure.case")):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
from mlpbench.bench.analysis import compare, sides
from mlpbench.bench.record import runs
from mlpbench.bench.report import render
run = runs.read_run(Path(sys.argv[1]))
for name in ("md", "csv", "json", "html"):
    assert render.render([run], name)
assert compare.compare(sides.Side(run, "numpy"), sides.Side(run, "numba")).rows
print(json.dumps([*sys.modules]), file=sys.stderr)
"""
    loaded = run_python(code, run)
    assert "pandas" in loaded
    assert not {name for name in loaded if top(name) in {"pytest", "numba", "cupy"}}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["list", "--json"], ["list"]], ids=" ".join
)
def test_the_command_line_starts_without_heavy_libraries(arguments):
    code = """
import json, sys
from mlpbench.bench.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code
print(json.dumps([*sys.modules]), file=sys.stderr)
"""
    loaded = {top(name) for name in run_python(code, *arguments)}
    assert "typer" in loaded
    assert not loaded & set(LAZY)


def test_commands_import_what_they_need_when_they_run():
    light = sys.stdlib_module_names | {"typer", "rich", "bench", "kernels"}
    commands = [path for path in MODULES if path.match("bench/commands/*.py") or path.match("bench/cli/app.py")]
    assert commands
    wrong = [
        f"{where(path, found)}: {found.module}"
        for path in commands
        for found in imports(path)
        if found.at_import and top(found.module) not in light
    ]
    assert not wrong


def test_a_file_has_at_most_300_lines():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: length for name, length in lengths.items() if length > 300}


def test_what_is_installed_is_bench_and_kernels():
    """Tests, results and conftest must never land in somebody's site-packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["bench", "kernels"]
    assert "Private :: Do Not Upload" in project["project"]["classifiers"]
    assert not (ROOT / "tests" / "__init__.py").exists()
    assert not (ROOT / "tests" / "bench").exists()
