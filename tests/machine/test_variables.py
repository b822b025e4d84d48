"""The variables of processes: threads of every library, and which are recorded."""

import pytest

from mlpbench.bench.machine import environment, variables
from mlpbench.kernels import base


def test_threads_are_set_for_every_library_and_nothing_else_changes():
    before = {"PATH": "/bin", "OMP_NUM_THREADS": "7"}
    after = variables.with_threads(before, 3)
    assert before == {"PATH": "/bin", "OMP_NUM_THREADS": "7"}
    assert after["PATH"] == "/bin"
    assert {after[name] for name in variables.THREAD_VARIABLES} == {"3"}


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("0", None), ("many", None), ("-1", None)]
)
def test_threads_as_openmp_takes_them(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert environment.collect().threads == (threads or base.processors())


def test_another_interpreter_finds_its_own_packages(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    assert variables.inherited(None)["PYTHONPATH"] == "/ours"
    assert "PYTHONPATH" not in variables.inherited("/other/python")


def test_variables_that_change_what_is_measured_are_recorded_and_others_are_not(monkeypatch):
    recorded = ("OPENBLAS_CORETYPE", "OMP_PROC_BIND", "NUMBA_OPT", "MKL_CBWR", "CUDA_VISIBLE_DEVICES")
    recorded += ("PYTHONMALLOC", "CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_FREEZING")
    others = ("SECRET_TOKEN", "PYTHONPATH", "HOME", "TORCHINDUCTOR_CACHE_DIR")
    for name in (*recorded, *others):
        monkeypatch.setenv(name, "x")
    found = environment.collect().variables
    assert set(recorded) <= set(found)
    assert not set(others) & set(found)
