"""The script for the first card, rehearsed whole: over the stand-in for CuPy, and device kernels run by a CPU."""

import json
import os
import subprocess
import sys

import pytest

from support import fake_cupy
from support.on_cpu.raw import compiler
from support.sources import ROOT
from support.terminal import variables

SCRIPT = ROOT / "scripts" / "gpu_acceptance.py"
#: The stand-in executes raw kernels, and is found by parts that measure roofs within another program.
EXECUTES = """
from support.on_cpu.raw import CpuRawKernel
sys.modules["cupy"].RawKernel = fake_cupy.computing(CpuRawKernel)
roofs = sys.modules.get("mlpbench.bench.machine.cuda_roofs")
if roofs is not None:
    vars(roofs).update(fake_cupy.SMALLER)
"""
SMALLER = (
    *("--spec", "12-9-5", "--sizes", "1,17", "--profile", "smoke", "--seconds", "900"),
    *(
        "--variants",
        "cupy,cupy-fused,cupy-fused-fp16,cupy-fused-u8-graph",
        "--tests",
        "tests/kernels/cuda/test_card.py",
    ),
)
#: What the stand-in cannot do: it holds no stream, and nothing is left to wait for.
BEYOND_IT = ("timer: a stream held", "timer: the same twice", "timer: a call without its wait")


def accept(folder, quicker, *more, executes=EXECUTES):
    fake_cupy.write(folder)
    stand_in = folder / "cupy.py"
    stand_in.write_text(stand_in.read_text() + executes)
    (folder / "built").mkdir()
    changes = {"PYTHONPATH": f"{folder}{os.pathsep}{quicker}", "MLPBENCH_ON_CPU_CACHE": str(folder / "built")}
    words = [sys.executable, str(SCRIPT), "--out", str(folder / "found"), *more]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=variables(**changes))


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
def test_the_whole_script(tmp_path, quicker):
    ran = accept(tmp_path, quicker, *SMALLER)
    lines = ran.stdout.splitlines()
    failed = [line for line in lines if line.startswith("FAIL")]
    unexpected = [line for line in failed if not line.startswith(tuple(f"FAIL {words}" for words in BEYOND_IT))]
    log = tmp_path / "found" / "run.log"
    assert unexpected == [], log.read_text() if log.exists() else ran.stderr
    assert ran.returncode == 1, "the stand-in is no card"
    kinds = {line.split()[1] for line in lines if line.startswith("ok")}
    assert kinds >= {f"{part}:" for part in ("card", "gate", "overrides", "table", "silicon", "tests", "run")}
    accepted = sum(line.startswith("ok") for line in lines)
    assert lines[-1] == f"ACCEPTED {accepted} of {accepted + len(failed)}"
    found = tmp_path / "found"
    assert json.loads((found / "acceptance.json").read_text())["counts"]["ok"] == accepted
    assert "| cupy-fused | 17 |" in (found / "table.md").read_text()
    assert json.loads((found / "roofs.json").read_text())["measured"]
    assert list((found / "results").rglob("run.json")), "the run that is to be committed"


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
def test_a_kernel_that_is_wrong_is_not_accepted(tmp_path, quicker):
    """Here every program computes the mean of its inputs."""
    ran = accept(tmp_path, quicker, *SMALLER[:4], "--part", "gate", executes="")
    assert ran.returncode == 0, ran.stderr
    assert "FAIL gate: cupy-fused: a batch of 37: off by" in ran.stdout
    assert "ok   gate: cupy: " in ran.stdout


def test_without_a_card_nothing_else_is_tried(tmp_path, quicker):
    ran = accept(tmp_path, quicker, executes="\nsys.modules['cupy'].cuda.runtime.getDeviceCount = lambda: 0\n")
    assert ran.returncode == 1, ran.stderr
    assert ran.stdout.splitlines()[0] == "FAIL card: no CUDA device: the driver counts 0 of them"
    assert ran.stdout.splitlines()[-1] == "ACCEPTED 0 of 1"
