"""Cold starts and memory: measured in processes of their own, written and told."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine.child import Answer
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.schema import KernelInfo
from mlpbench.bench.report import render
from mlpbench.bench.wings.latency import cold
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.numba_jit import events
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.processes import python
from support.trusting import block as quiet
from support.trusting import write

SPEC = ForwardSpec((3, 2))
CALLS = [["per_sample", 100, 0.002], ["batched", 100, 0.001]]
SECONDS = {"import_s": 0.5, "construct_s": 9.0, "compile_s": 8.5}
FRESH = {"fresh": True, **SECONDS, "first_calls": CALLS, "peak_bytes": 10**8}
FILLED = {**FRESH, "fresh": False, "construct_s": 0.25, "compile_s": 0.0, "peak_bytes": 2**20, "pool_bytes": 2**21}


def test_cold_columns(tmp_path):
    run = write(tmp_path, [quiet(starts=[FRESH, FILLED], compile_s=0.125, pool_bytes=5), quiet()])
    data = frame.load(run)
    first = data[(data["repeat"] == 0) & (data["mode"] == "batched")].iloc[0]
    names = ["import_s", "construct_s", "compile_s", "first_call_s"]
    assert [first[f"fresh_{name}"] for name in names] == [0.5, 9.0, 8.5, 0.001]
    assert [first[f"filled_{name}"] for name in names] == [0.5, 0.25, 0.0, 0.001]
    assert [first[name] for name in ("import_s", "compile_s", "peak_bytes", "pool_bytes")] == [0.1, 0.125, 2**20, 5]
    assert data[data["repeat"] == 1][["fresh_import_s", "filled_import_s", "peak_bytes"]].isna().all(axis=None)
    text = render.render([run], "md")
    first_calls = "one at a time: 2.00 ms, batch 100: 1.00 ms"
    assert f"| numpy | none yet | 500 ms | 9.00 s | 8.50 s | {first_calls} | 95.37 MiB |" in text
    assert "| numpy | kept from before | 500 ms | 250 ms | none |" in text
    run = write(tmp_path / "none", [quiet(no_starts="the process ended with 1: MemoryError")])
    assert "| numpy | no start was measured | the process ended with 1: MemoryError |" in render.render([run], "md")


def starts(kernel, *, fresh=False, **facts):
    """Start a kernel as the suite of a run does."""
    cases = [Case("per_sample", 100), Case("batched", 100), Case("book", 1)]
    suite = Suite(Workload(Options(), rows=200), [kernel], cases, named=True)
    return cold.starts(suite, SimpleNamespace(name=kernel, kernel_info=KernelInfo(describe=facts)), fresh=fresh)


def test_a_start_is_measured_in_a_process_of_its_own_or_has_a_reason(monkeypatch):
    (start,), reason = starts("numpy")
    assert (start.fresh, start.compile_s, reason) == (False, None, None), "NumPy compiles nothing"
    assert list(start.first_calls_s) == [("per_sample", 100), ("batched", 100)]
    assert start.peak_bytes is None or start.peak_bytes > 0
    none, reason = starts("no-such-kernel", fresh=True)
    assert (none, "unknown kernel 'no-such-kernel'" in reason) == ([], True)
    monkeypatch.setattr(cold.child, "ask", lambda *_, **__: pytest.fail("a second process finds no device"))
    none, reason = starts("cupy", fresh=True, compute_mode="exclusive")
    assert (none, "nvidia-smi -c DEFAULT" in reason) == ([], True)


def test_a_fresh_start_finds_empty_caches_and_the_next_one_what_it_left(monkeypatch):
    seen = []

    def ask(_module, _asked, variables, timeout_s):
        seen.append({name: [file.name for file in Path(folder).glob("*")] for name, folder in variables.items()})
        for folder in variables.values():
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / "code").touch()
        return Answer({"import_s": 1.0, "construct_s": 1.0}, None)

    monkeypatch.setattr(cold.child, "ask", ask)
    measured, _ = starts("numpy", fresh=True)
    assert [start.fresh for start in measured] == [True, False]
    assert [set(folders) for folders in seen] == [set(cold.CACHES)] * 2
    assert [[*folders.values()] for folders in seen] == [[[]] * len(cold.CACHES), [["code"]] * len(cold.CACHES)]


def test_numba_tells_what_it_compiles():
    import numba

    events.listen()
    before = events.compiled_s()
    assert numba.njit(lambda x: x + 1)(1) == 2
    assert events.compiled_s() > before
    assert NumpyKernel(SPEC, seeded(SPEC)).compiled_s() is None, "a kernel that does not tell"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be forgotten here")
def test_the_peak_of_memory_is_seen_after_it_is_gone():
    code = """
import numpy as np
from mlpbench.bench.machine.child import Answer
from mlpbench.bench.wings.latency import cold
big = np.ones(60_000_000, np.uint8); del big
before = cold.begin()
big = np.ones(40_000_000, np.uint8); del big
print(cold.peak_bytes() - before)
"""
    assert 35e6 < int(python("-c", code).stdout) < 60e6, "what was there before is not the kernel's"
