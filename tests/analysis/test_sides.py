from types import SimpleNamespace as Namespace

import pytest

from mlpbench.bench.analysis import sides
from mlpbench.bench.analysis.sides import parse_sides
from mlpbench.kernels.base import Facts
from support import simulate
from support.terminal import refusal

TIMES = {("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs in a results folder, the second one newer; the working folder is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    skipped = [{"kernel": "cupy", "reason": "no driver"}]
    return [simulate.write_run(tmp_path / "results", TIMES, seed=seed, skipped=skipped) for seed in (1, 2)]


def side(runs, text):
    (found,) = parse_sides(text, runs[0].parents[1])
    return found.run.path, found.kernel


def refused(runs, text):
    return refusal(parse_sides, text, runs[0].parents[1])


def test_a_run_is_named_by_path_id_or_latest_and_a_kernel_with_it_or_alone(runs):
    old, new = runs
    for text, expected in (
        (str(old), (old, None)),
        (old.name, (old, None)),
        ("latest", (new, None)),
        (str(old / "numpy.1.json"), (old / "numpy.1.json", None)),
        ("numpy", (new, "numpy")),  # of the latest run
        ("cupy", (new, "cupy")),  # known there, if only as skipped
        (f"{old.name}:numba", (old, "numba")),
        (f"{old}:numba", (old, "numba")),
        ("latest:numpy", (new, "numpy")),
    ):
        assert side(runs, text) == expected
    old.rename("numpy")
    assert side(runs, "numpy")[1] is None, "a path comes first"
    assert side(runs, "latest:numpy")[1] == "numpy"


def test_unknown_names_suggest_the_nearest(runs, tmp_path):
    old, new = runs
    assert "did you mean numba?" in refused(runs, "nunba")
    assert f"no run, and no kernel of the latest one, {new.name} (numpy, numba, cupy)" in refused(runs, "torch")
    assert f"no kernel 'nunpy' in {old.name} (did you mean numpy?)" in refused(runs, f"{old.name}:nunpy")
    assert f"did you mean {old.name}" in refused(runs, old.name.replace("abcd", "abce"))
    assert "no run, file or folder" in refused(runs, "results/nowhere/")
    assert "names 2 runs" in refused(runs, "0123abcd:numpy")
    for strange in ("", ":", ":numpy", "latest:", "a:b:c"):
        refused(runs, strange)
    assert "/here: `mlpbench run` makes one" in refusal(parse_sides, "numpy", tmp_path / "here")


# What forbids a verdict on kernels off the CPU


def on_card(**describe):
    return Namespace(device="cuda", machine="m", facts=Facts.of(**describe))


H100 = {"device_name": "H100", "device_uuid": "GPU-1", "arithmetic": "fp32", "compute_type": "FP32", "overrides": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"device_uuid": "GPU-2"}, ["device uuid: GPU-1 against GPU-2"]),
        ({"device_uuid": None}, []),  # an older file does not say
        ({"device_uuid": None, "device_name": "A100"}, ["device name: H100 against A100"]),
        ({"arithmetic": "tf32"}, ["arithmetic: fp32 against tf32"]),
        ({"arithmetic": None, "compute_type": "TF32"}, ["compute type: FP32 against TF32"]),
        ({"overrides": "NVIDIA_TF32_OVERRIDE=1"}, ["overrides: nothing against NVIDIA_TF32_OVERRIDE=1"]),
        ({"pool_bytes": 5}, []),
    ],
)
def test_another_card_or_arithmetic_forbids_a_verdict(change, told):
    other = {name: value for name, value in {**H100, **change}.items() if value is not None or name == "overrides"}
    assert sides.that_forbid(on_card(**H100), on_card(**other), together=True) == told
    on_cpu = Namespace(device="cpu", machine="m", facts=Facts())
    assert sides.that_forbid(on_card(**H100), on_cpu, together=True) == [], "NumPy beside a GPU is a fair question"
