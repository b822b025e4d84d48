"""The harness measured by itself: the null kernel goes the way of every other, and a process writes what it costs."""

import json

from mlpbench.bench.measure import instruments
from mlpbench.bench.record import runs
from support import processes


def test_the_null_kernel_goes_the_way_of_every_other(monkeypatch):
    calls = {"forward": [], "forward_one": []}
    for name, shapes in calls.items():
        monkeypatch.setattr(instruments.NullKernel, name, lambda self, x, shapes=shapes: shapes.append(x.shape))
    costs = instruments.harness()
    assert list(costs) == ["per_sample", "batched"]
    assert set(calls["forward"]) == {(100, 1)}
    assert set(calls["forward_one"]) == {(1,)}
    assert len(calls["forward_one"]) % 100 == 0
    assert min(costs.values()) > 0


def test_a_process_writes_what_it_costs(tmp_path):
    path = tmp_path / "numpy.0.json"
    words = ["--kernel=numpy", "--mode=per_sample", "--mode=batched", "--batch-size=1", "--benchmark-max-time=0.01"]
    ran = processes.bench(*words, f"--benchmark-json={path}")
    assert ran.returncode == 0, ran.stdout
    found = runs.read(path)
    assert len(found.cases) == len(json.loads(path.read_text())["benchmarks"]) == 2, "the harness is no case"
    assert list(found.trust.call_costs_s) == list(instruments.KNOWN)
