"""What import-linter cannot say of the sources: what is declared, who waits for a device, what starts light, sizes."""

import ast
import json
import re
import sys
import tomllib
from collections import Counter

import mlpbench
from support.processes import python
from support.sources import (
    MODULES,
    ROOT,
    SOURCES,
    dead_names,
    exists,
    imports,
    modules_imported,
    name_of,
    parsed,
    top,
    where,
)

BACKENDS = [path for path in MODULES if path.match("kernels/mlp_*.py")]
CONTRACT = {f"mlpbench.kernels.{name}" for name in ("base", "errors", "instructions", "params", "spec")}
PEERS = {"onnxruntime", "onnx", "torch", "jax", "openvino", "sklearn"}
HEAVY = {"pandas", "numba", "llvmlite", "cupy", "vl_convert", "scipy", "pytest", "numpy"} | PEERS
#: What a library may bring along besides what carries its name (cupy: cupyx). NumPy has no erf, SciPy has.
COMPANIONS = {"numpy": {"scipy"}, "numba": {"llvmlite"}, "numba_simd": {"numba", "llvmlite"}, "onnxruntime": {"onnx"}}
#: Modules that wait for a device, and what for; a backend's own wait is what they call.
WAITS = {
    "bench/measure/case.py": "the clock runs until the result is there",
    "kernels/conformance.py": "the gate looks at results; it is never timed",
    "bench/measure/checks.py": "it calls again when the rounds are over",
    "kernels/cuda/kernel.py": "it is the wait of the kernels on a stream of CuPy's",
    "kernels/cuda/fused.py": "code is loaded before it is captured",
    "bench/wings/gpu/roofs.py": "the floor of a launch holds its wait",
    "kernels/own/array_api.py": "a backend's own wait: the standard has none",
    "kernels/cuda/queue.py": "what is timed on the device has to be over before it is read",
    "bench/measure/verdict.py": "`mlpbench show` looks at one result; it is never timed",
}
LINES, FOLDER = 450, 20


def run_python(code, *arguments):
    """Run code in a fresh interpreter; return the top-level packages that it had loaded at its end."""
    code += "\nprint(json.dumps([*sys.modules]), file=sys.stderr)"
    ran = python("-c", f"import json, sys\n{code}", *arguments)
    assert ran.returncode == 0, ran.stderr
    return {top(name) for name in json.loads(ran.stderr.splitlines()[-1])}


def test_the_contracts_name_every_backend():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    contracts = tools["importlinter"]["contracts"]
    backends = {name_of(path) for path in BACKENDS}
    assert len(backends) > 5
    for contract in contracts:
        named = {name for key in ("modules", "forbidden_modules") for name in contract.get(key, ()) if ".mlp_" in name}
        assert named in (set(), backends), contract["name"]


def test_nobody_imports_folders_by_their_bare_names_and_no_test_another():
    """`bench` and `kernels` are other people's packages, and would be second copies of ours."""
    tests = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"support", "mlpbench"}
    wrong = {"bench", "kernels"} | tests
    found = [(path, one) for path in SOURCES for one in imports(path)]
    assert not [where(*one) for one in found if top(one[1].module) in wrong or one[1].module.startswith("test_")]


def test_a_backend_imports_the_contract_and_its_own_library():
    """``mlp_cupy`` has CuPy and `kernels.cuda`; what two backends share has its own package."""
    packages = {name: {"cuda"} for name in ("cupy", "torch", "jax", "onnxruntime")}
    packages |= {"numba": {"numba_jit"}, "numba_simd": {"numba_jit", "numba_simd"}}
    wrong = []
    for path in BACKENDS:
        backend = path.stem.removeprefix("mlp_")
        libraries = sys.stdlib_module_names | {"numpy", *COMPANIONS.get(backend, ())}
        own = tuple(f"mlpbench.kernels.{package}." for package in packages.get(backend, ()))
        for found in imports(path):
            if top(found.module) == "mlpbench":
                allowed = any(name in CONTRACT or f"{name}.".startswith(own) for name in modules_imported(found))
            else:
                allowed = top(found.module) in libraries or top(found.module).startswith(backend)
            if not allowed:
                wrong.append(f"{where(path, found)}: {found.module}")
    assert not wrong


def test_backends_and_what_reads_records_are_imported_without_their_libraries():
    names = [name_of(path) for path in BACKENDS if path.stem != "mlp_numpy"]
    code = "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    assert not run_python(code, *names, "mlpbench.bench.record.runs") & (HEAVY - {"numpy"})


def test_one_wait():
    wrong = []
    for path in MODULES:
        if str(path.relative_to(ROOT)) not in WAITS and path not in BACKENDS:
            calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
            wrong += [where(path, call) for call in calls if getattr(call.func, "attr", None) == "synchronize"]
    assert not wrong
    assert not [path for path in WAITS if not (ROOT / path).is_file()]


def test_nobody_asks_which_backend_it_is():
    """A difference between backends is a method of the kernel, or it does not exist."""
    asks = re.compile(
        r"""\bbackend (==|!=|in|not in) [({\[]*["']|["'] (==|!=) [\w.]*\bbackend\b|match [\w.]*\bbackend:"""
    )
    for line in ("if kernel.backend == 'cupy':", 'if backend in {"cupy"}:', "match kernel.backend:"):
        assert asks.search(line)
    assert not [path for path in MODULES if asks.search(path.read_text(encoding="utf-8"))]


def test_the_command_line_starts_without_heavy_libraries():
    code = """
from mlpbench.bench.cli.app import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as ended:
        assert not ended.code
"""
    words = [["--help"], ["--version"], ["list", "--json"], ["list"]]
    loaded = run_python(code, json.dumps(words))
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_a_file_has_at_most_450_lines_and_a_folder_fits_on_a_screen():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert not {name: length for name, length in lengths.items() if length > LINES}
    sizes = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert not {name_of(folder): size for folder, size in sizes.items() if size > FOLDER}
    top_of_bench = [path for path in (ROOT / "bench").iterdir() if path.name != "__pycache__"]
    assert sum(path.is_file() for path in top_of_bench) <= 9
    assert sum(path.is_dir() for path in top_of_bench) <= 13


def test_what_sources_name_is_there():
    dead = {name_of(path): dead_names(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert not {name: found for name, found in dead.items() if found}


def test_a_module_named_in_a_string_is_there():
    """As of entry points, plugins and processes: no tool sees them. (What a test names in vain, it fails for.)"""
    dotted = re.compile(r"mlpbench\.(bench|kernels)(\.\w*[a-zA-Z])+(:\w+)?")
    paths = [*MODULES, *(ROOT / "scripts").rglob("*.py"), ROOT / "conftest.py"]
    nodes = [(path, node) for path in paths for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)]
    strings = [(path, node) for path, node in nodes if dotted.fullmatch(str(node.value))]
    assert len(strings) > 10
    assert not [where(path, node) for path, node in strings if not exists(node.value.replace(":", "."))]


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
    assert used("tests") <= OF_USERS | EXTRAS["test"] | EXTRAS["train"]
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
    assert not run_python("import mlpbench\nassert 'mlpbench.bench' not in sys.modules") & (OF_USERS | {"_pytest"})
    assert re.fullmatch(r"\d+\.\d+\.\d+", mlpbench.__version__)
