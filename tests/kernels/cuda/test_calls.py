"""Every name of CuPy's in our sources is one that CuPy has, and not only the stand-in."""

import re

import pytest

from support.sources import ROOT, exists

SOURCES = [
    *(ROOT / "kernels" / "cuda").glob("*.py"),
    ROOT / "kernels" / "mlp_cupy.py",
    ROOT / "bench" / "wings" / "gpu" / "roofs.py",
    *(ROOT / "scripts" / "acceptance").glob("*.py"),
]
#: An expression of ours that is CuPy's.
NAMES = re.compile(r"\b(?:self\._)?(cupyx?|runtime)((?:\.\w+)+)\(")


def test_cupy_has_every_name():
    pytest.importorskip("cupy", reason="CuPy is not installed")
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    names = {("cupy.cuda." * (top == "runtime")) + top + rest for text in texts for top, rest in NAMES.findall(text)}
    assert {"cupy.cuda.runtime.memcpyAsync", "cupyx.zeros_pinned", "cupy.RawModule"} <= names
    assert not [name for name in sorted(names) if ".cublas." not in name and not exists(name)], (
        "there is no cuBLAS here"
    )
