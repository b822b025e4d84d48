"""The script for the first card, rehearsed whole: over the stand-in for CuPy, and device kernels run by a CPU."""

import json
import os
import re
import tomllib

import gpu_acceptance
import pytest
from on_cpu.raw import compiler

from mlpbench.bench.analysis.judge import PHASE, judge
from mlpbench.bench.record import runs
from support import fake_cupy
from support.processes import python
from support.sources import ROOT

SCRIPT = ROOT / "scripts" / "gpu_acceptance.py"
#: The stand-in executes raw kernels, and is found by parts that measure roofs within another program.
EXECUTES = f"""
sys.path.append({str(SCRIPT.parent)!r})
from on_cpu.raw import CpuRawKernel
sys.modules["cupy"].RawKernel = fake_cupy.computing(CpuRawKernel)
roofs = sys.modules.get("mlpbench.bench.wings.gpu.roofs")
if roofs is not None:
    vars(roofs).update(fake_cupy.SMALLER)
"""
SMALLER = ("--spec", "12-9-5", "--sizes", "17", "--profile", "smoke", "--seconds", "3600")
SMALLER += ("--variants", "cupy,cupy-fused-u8-graph", "--tests", "tests/kernels/cuda/test_card.py")
#: Parts that have an ok line under the stand-in. What the stand-in is sold with, nobody knows.
PARTS = ("card", "gate", "overrides", "table", "silicon", "tests", "sanitizer", "launches", "run")
#: NVIDIA's tools, as far as the script knows them: what follows their own options is run; of sanitizers, by one.
TOOLS = {
    "compute-sanitizer": """#!/bin/sh
test "$1 $3 $4" = "--tool --error-exitcode 9" || exit 2
tool=$2
shift 4
test $tool != memcheck || "$@" || exit
echo "========= ERROR SUMMARY: 0 errors"
""",
    "ncu": """#!/bin/sh
shift 5
echo "==PROF== Connected to process 1"
"$@" || exit
echo '"ID","Kernel Name","Metric Name","Metric Value"'
for name in gemm bias gemm bias gemm bias_softmax mlp_ffma_few; do echo "\\"0\\",\\"$name\\",\\"time\\",\\"1\\""; done
""",
}
#: What the stand-in cannot do: it holds no stream, nothing is left to wait for, and its times are those of a busy CPU.
BEYOND_IT = ("timer: a stream held", "timer: the same twice", "timer: a call with")


def accept(folder, quicker, *more, executes=EXECUTES, tools=False):
    fake_cupy.write(folder)
    stand_in = folder / "cupy.py"
    stand_in.write_text(stand_in.read_text() + executes)
    (folder / "built").mkdir()
    changes = {"PYTHONPATH": f"{folder}{os.pathsep}{quicker}", "MLPBENCH_ON_CPU_CACHE": str(folder / "built")}
    for name, text in TOOLS.items() if tools else ():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        changes["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return python(SCRIPT, "--out", folder / "found", *more, cwd=folder, **changes)


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
def test_the_whole_script(tmp_path, quicker):
    ran = accept(tmp_path, quicker, *SMALLER, tools=True)
    lines = ran.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    run = judge(runs.read_run(runs.latest(tmp_path / "found" / "results")))
    refused = {failure.phase for failure in run.failures} == {PHASE}  # as beside other tests a time may be
    expected = (*BEYOND_IT, *(["run: numpy"] if refused else []))
    unexpected = [line for line in failed if not line.startswith(tuple(f"FAIL {words}" for words in expected))]
    log = tmp_path / "found" / "run.log"
    assert unexpected == [], log.read_text() if log.exists() else ran.stderr
    assert ran.returncode == 1, "the stand-in is no card"
    kinds = {line.split()[1] for line in lines if line.startswith("ok")}
    assert kinds >= {f"{part}:" for part in PARTS}
    accepted = sum(line.startswith("ok") for line in lines)
    assert lines[-1] == f"ACCEPTED {accepted} of {accepted + len(failed)}"
    found = tmp_path / "found"
    assert json.loads((found / "acceptance.json").read_text())["counts"]["ok"] == accepted
    assert "| cupy-fused-u8-graph | 17 |" in (found / "table.md").read_text()
    assert json.loads((found / "roofs.json").read_text())["measured"]
    assert list((found / "results").rglob("run.json")), "the run that is to be committed"


def test_without_a_card_nothing_else_is_tried(tmp_path, quicker):
    ran = accept(tmp_path, quicker, executes="\nsys.modules['cupy'].cuda.runtime.getDeviceCount = lambda: 0\n")
    assert ran.returncode == 1, ran.stderr
    first, *_, last = ran.stdout.splitlines()
    assert (first, last) == ("FAIL card: no CUDA device: the driver counts 0 of them", "ACCEPTED 0 of 1")


def test_what_is_missing_is_said_before_a_second_is_spent(tmp_path, monkeypatch, capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = {re.match(r"[\w-]+", need)[0].replace("-", "_") for need in project["dependencies"]}
    assert set(gpu_acceptance.NEEDS) == brought | {"cupy"}
    monkeypatch.setattr(gpu_acceptance, "find_spec", lambda name: None if name in ("cupy", "msgspec") else name)
    monkeypatch.setattr("sys.argv", ["gpu_acceptance.py", "--out", str(tmp_path / "found")])
    assert gpu_acceptance.main() == 2
    said = "FAIL not installed: cupy, msgspec; in the checkout, pip install -e '.[cuda12]' brings all\n"
    assert capsys.readouterr().out == said


#: The device is lost at a product of so many rows, and is there again for the next process.
LOSES_ITS_DEVICE = """
cupy, multiply, fetch = sys.modules["cupy"], sys.modules["cupy"].matmul, sys.modules["cupy"].asnumpy
products = cupy._core._routines_linalg
def require_device():
    if lost:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access")
def matmul(a, b, out):
    global lost
    lost = lost or len(a) == 37 and products.get_compute_type("float32") == products.COMPUTE_TYPE_FP32
    require_device()
    return multiply(a, b, out)
def asnumpy(a):
    require_device()
    return fetch(a)
lost, cupy.matmul, cupy.asnumpy = False, matmul, asnumpy
"""


def test_a_kernel_that_is_wrong_or_loses_the_device_does_not_take_the_next_one_with_it(tmp_path, quicker):
    """Every fused program computes the mean of its inputs here. A node may have CuPy, and little else."""
    for name in ("msgspec", "pandas", "typer", "rich"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')")
    variants = ("--variants", "cupy,cupy-fused-u8-graph,cupy-tf32")
    ran = accept(tmp_path, quicker, *SMALLER[:4], *variants, "--part", "gate", executes=LOSES_ITS_DEVICE)
    assert ran.returncode == 0, ran.stderr
    lost, right, wrong = ran.stdout.splitlines()
    assert lost.startswith("FAIL gate: cupy: ")
    assert "cudaErrorIllegalAddress" in lost
    assert wrong.startswith("FAIL gate: cupy-fused-u8-graph: a batch of 37: row ")
    assert right.startswith("ok   gate: cupy-tf32: ")
