"""The whole way of a kernel on a device, every process real and the device a stand-in: checked, timed, told."""

import json
import os
from types import SimpleNamespace

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import Setting
from mlpbench.bench.record import runs
from mlpbench.bench.record.device import MEASURES
from mlpbench.bench.wings.why import after_run, explain
from support import fake_cupy
from support.terminal import refused, typed

WORDS = ("run", "numpy", "cupy", "--profile", "full", "--batch-size", "1", "--batch-size", "10", "--threads", "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory, quicker):
    """Return a run of NumPy and of the kernel on the stand-in."""
    folder = tmp_path_factory.mktemp("device")
    fake_cupy.write(folder)
    # Filled by the run itself; a start without compiled code has one of its own.
    changes = {"PYTHONPATH": f"{folder}{os.pathsep}{quicker}", "CUPY_CACHE_DIR": str(folder / "cache")}
    process = typed(*WORDS, "--spec", "20-10-3", "--repeats", "1", cwd=folder, **changes)
    found = runs.read_run(runs.latest(folder / "results"))
    assert process.returncode == bool(refused(found)), process.stderr
    return found


@pytest.fixture
def cupy(run):
    return next(record for record in run.records if record.kernel == "cupy")


def test_it_is_measured_as_any_other_with_device_times_beside_the_rounds(run, cupy):
    assert not run.failures
    for found in run.records:
        assert (found.device, found.device_times is not None, len(found.cases)) == (
            ("cuda", True, 3) if found.kernel == "cupy" else ("cpu", False, 3)
        )
    gpu, times = cupy.environment.gpu, cupy.device_times
    assert (gpu.uuid, gpu.name) == (fake_cupy.UUID, "NVIDIA Stand-In"), "the one in use"
    assert [(one.mode, one.rows) for one in times.cases] == [("per_sample", 1), ("batched", 1), ("batched", 10)]
    for case in times.cases:
        assert list(case.times) == [name for name in MEASURES if name != "graph"]
        assert list(case.lost) == ["graph"], "cuBLAS through CuPy cannot be captured"
        assert case.times["enqueue"].seconds["p50"] <= case.times["latency"].seconds["p50"]


def test_each_kernel_is_held_to_the_roofs_of_its_own_device(run):
    cpu, device = json.loads((run.path / "roofs.json").read_text())["mlpbench"]["devices"]
    assert cpu["measured"]
    assert (device["device"], device["reason"]) == ("cuda", None)
    assert device["facts"]["device_name"] == "NVIDIA Stand-In"
    found = explain.find(judge(run), summarize([judge(run)]))
    assert set(found.evidence.roofs) <= {1}, "beside a busy neighbour the processor's are refused"
    assert set(found.devices) == {"cuda"}
    kernels = {kernel.kernel: kernel for kernel in found.kernels}
    assert {name: kernel.device for name, kernel in kernels.items()} == {"numpy": "cpu", "cupy": "cuda"}
    roofs = {share.verdict.binding.roof for share in kernels["cupy"].shares}
    assert roofs <= {"matrix product", "multiply-add", "L2", "empty kernel", "empty graph"}
    text = (run.path / "report.md").read_text()
    assert "Roofs, cuda (NVIDIA Stand-In): " in text
    assert ("Roofs, 1 thread: " in text) == bool(found.evidence.roofs)


def test_a_start_without_compiled_code_compiles_and_the_pool_of_memory_is_told(run, cupy):
    fresh, again = cupy.trust.starts
    assert (fresh.fresh, again.fresh) == (True, False)
    assert fresh.compile_s >= 2 * fake_cupy.COMPILE_S
    assert again.compile_s == 0, "it finds what the first one left"
    assert fresh.compile_s <= fresh.import_s + fresh.construct_s + sum(fresh.first_calls_s.values())
    assert {start.pool_bytes for found in run.records for start in found.trust.starts} == {None, 4096}
    data = frame.load(run.path)
    assert set(data.loc[data["kernel"] == "cupy", "pool_bytes"]) == {4096.0}
    assert data.loc[data["kernel"] == "numpy", "pool_bytes"].isna().all()
    (line,) = (row for row in (run.path / "report.md").read_text().splitlines() if row.startswith("| cupy | none yet"))
    assert line.endswith("| 4 KiB |")


def test_devices_are_those_of_the_kernels_that_run(monkeypatch, tmp_path):
    """Of each setting its own: where the kernel on the device is skipped, nothing asks for the device."""
    asked = []
    monkeypatch.setattr(
        "mlpbench.bench.wings.why.after_run.write", lambda those, *at, **options: asked.append((at, options["devices"]))
    )
    parts = [
        SimpleNamespace(setting=Setting("3-2", 1, dtype), plan=SimpleNamespace(kernels=kernels, binding=None))
        for dtype, kernels in (("float32", ["numpy", "cupy"]), ("float64", ["numpy"]))
    ]
    sweep = SimpleNamespace(parts=parts, devices={"numpy": "cpu", "cupy": "cuda"})
    list(after_run.after_run([tmp_path, tmp_path], sweep))
    assert asked == [((1, "float32"), ["cuda"]), ((1, "float64"), [])]
