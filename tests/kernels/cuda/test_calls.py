"""Every call into CuPy in our sources is one that CuPy itself takes, and not the stand-in alone.

No GPU is needed: arguments are counted and named, not passed.
"""

import ast
import inspect
import re

import pytest

from support.sources import ROOT

SOURCES = [
    *sorted((ROOT / "kernels" / "cuda").glob("*.py")),
    ROOT / "kernels" / "mlp_cupy.py",
    ROOT / "bench" / "wings" / "gpu" / "roofs.py",
    *sorted((ROOT / "scripts" / "acceptance").glob("*.py")),
]
#: How an expression of ours begins that is CuPy's.
ROOTS = {
    "cp": "cupy",
    "cupy": "cupy",
    "self._cupy": "cupy",
    "cupyx": "cupyx",
    "self._cupyx": "cupyx",
    "runtime": "cupy.cuda.runtime",
}
#: Methods of what CuPy returns.
METHODS = {
    "cupy.cuda.Stream": ("synchronize", "begin_capture", "end_capture", "wait_event"),
    "cupy.cuda.graph.Graph": ("upload", "launch"),
    "cupy.cuda.Event": ("record",),
    "cupy.ndarray": ("set",),
}
#: What Cython does not tell, as CuPy 14.2's sources have it.
UNTOLD = {
    "cupy.RawKernel": "code, name, options=(), backend='nvrtc', *, jitify=False",
    "cupy.RawModule": "*, code=None, path=None, options=(), backend='nvrtc', name_expressions=None, jitify=False",
    "cupy.cuda.cublas.getVersion": "handle",  # there is no cuBLAS to import it with
}


def calls():
    """Yield each call: where it stands, CuPy's name of what is called, how many arguments, and which by name."""
    of_method = {name: owner for owner, names in METHODS.items() for name in names}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            text, name = ast.unparse(node.func), None
            for begins, stands_for in ROOTS.items():
                if text.startswith(f"{begins}."):
                    name = stands_for + text.removeprefix(begins)
            if name is None and (owner := of_method.get(node.func.attr)) and "kernel" not in text:
                name = f"{owner}.{node.func.attr}"
            if name and re.fullmatch(r"[\w.]+", name):
                given = [keyword.arg for keyword in node.keywords]
                yield f"{path.name}:{node.lineno}: {text}", name, len(node.args), given


def parameters(name, found):
    """Return the parameters of something of CuPy's, as its signature or the first line of its docstring tells them."""
    if name in UNTOLD:
        return inspect.signature(eval(f"lambda {UNTOLD[name]}: 0"))
    if hasattr(found, "nin"):  # a function of each element
        return inspect.signature(eval(f"lambda {', '.join('abc'[: found.nin])}, out=None: 0"))
    try:
        told = inspect.signature(found)
    except ValueError:
        line = found.__doc__.strip().splitlines()[0]
        within = re.search(r"\((.*)\)", line).group(1).split(",")
        names = [one.partition("=") for one in within if one.strip() not in ("", "self")]
        text = ", ".join(f"{name.split()[-1]}{is_given}{default}" for name, is_given, default in names)
        return inspect.signature(eval(f"lambda {text}: 0"))
    kept = [one for one in told.parameters.values() if one.name != "self"]
    return told.replace(parameters=kept)


def test_cupy_takes_every_call_and_has_the_numbers_of_what_is_used():
    found = {name for _, name, _, _ in calls()}
    assert len(found) > 25, "had the sources other names for CuPy, this test would be of nothing"
    assert {f"{owner}.{one}" for owner, names in METHODS.items() for one in names} <= found
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    import cupyx

    runtime = cupy.cuda.runtime
    kinds = (runtime.memcpyHostToDevice, runtime.memcpyDeviceToHost, runtime.memcpyDeviceToDevice)
    assert (*kinds, runtime.cudaDevAttrComputeMode) == (1, 2, 3, 20)
    for where, name, count, given in calls():
        found = {"cupy": cupy, "cupyx": cupyx}[name.partition(".")[0]]
        for part in name.split(".")[1:] if ".cublas." not in name else ():
            found = getattr(found, part)
        try:
            parameters(name, found).bind(*range(count), **dict.fromkeys(given))
        except TypeError as error:
            pytest.fail(f"{where}: {error}")
