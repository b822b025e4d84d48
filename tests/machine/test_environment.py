"""The machine as results record it: what is readable, what is not, and what is worth a warning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mlpbench.bench.machine import environment
from mlpbench.bench.record.environment import Commit, Environment
from mlpbench.kernels import base
from support import simulate
from support.terminal import variables

CACHED = (environment.machine, environment.machine_id, environment.commit, environment._processor)


@pytest.fixture(autouse=True)
def fresh():
    """Nothing here is remembered from before, or for later."""
    for function in CACHED:
        function.cache_clear()
    yield
    for function in CACHED:
        function.cache_clear()


def test_everything_that_a_result_must_say_is_there():
    found = environment.collect()
    assert msgspec.convert(json.loads(json.dumps(found.as_dict())), Environment) == found, "a file holds it as it is"
    assert found.machine.cpu_model
    assert found.machine.logical_cpus == os.cpu_count()
    assert found.python.version == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "numba", "pytest-benchmark"} <= set(found.libraries)
    assert all((found.os.system, found.os.release, found.os.distribution))


def test_blas_and_its_threads_show_once_it_is_loaded():
    code = (
        "import json, numpy as np; from mlpbench.bench.machine import environment\n"
        "np.ones((2, 2)) @ np.ones((2, 2)); print(json.dumps(environment.collect().as_dict()))"
    )
    env = environment.set_threads(variables(), 1)
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    (blas,) = (pool for pool in found["blas"] if pool["user_api"] == "blas")
    assert blas["num_threads"] == found["threads"] == 1
    assert all((blas["internal_api"], blas["version"]))


def test_threads_are_set_for_every_library_and_nothing_else_changes():
    before = {"PATH": "/bin", "OMP_NUM_THREADS": "7"}
    after = environment.set_threads(before, 3)
    assert before == {"PATH": "/bin", "OMP_NUM_THREADS": "7"}
    assert after["PATH"] == "/bin"
    assert {after[name] for name in environment.THREAD_VARIABLES} == {"3"}


@pytest.mark.parametrize(
    ("value", "threads"), [("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("0", None), ("many", None), ("-1", None)]
)
def test_threads_as_openmp_takes_them(monkeypatch, value, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert environment.collect().threads == (threads or base.processors())


XEON = "Intel(R) Xeon(R) Gold 6230 CPU @ 2.1GHz"
#: What Linux says on x86, what `lscpu` says on ARM, and `sysctl` on two Macs; the folder's name that it makes.
TOLD = {
    f"processor: 0\ncpu family\t: 6\nmodel\t\t: 85\nmodel name: {XEON}\n\nmodel: 1\n": "intel-xeon-gold-6230-f6-m85",
    "Architecture:  aarch64\nModel name:    Neoverse-N1\nCPU family:    -\nModel:         1\n": "neoverse-n1-m1",
    "machdep.cpu.brand_string: Apple M1\nmachdep.cpu.core_count: 8\n": "apple-m1",
    f"machdep.cpu.family: 6\nmachdep.cpu.model: 9\nmachdep.cpu.brand_string: {XEON}\n": "intel-xeon-gold-6230-f6-m9",
    "model name: ../\x1b[2J/etc <b>": "2j-etc-b",
}


@pytest.mark.parametrize(("text", "name"), TOLD.items())
def test_the_machines_name_is_fit_for_a_folder_and_is_not_the_hosts(monkeypatch, text, name):
    monkeypatch.setattr(environment, "_descriptions", lambda: iter(["", "processor: 0", text]))
    assert environment.machine_id() == f"{name}-{os.cpu_count()}cpu"


def test_where_no_file_tells_programs_are_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(environment.host, "read_text", lambda path: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(environment._descriptions()) == [""], "neither is installed"
    for name, says in (("lscpu", "Model name: Neoverse-N1"), ("sysctl", "machdep.cpu.brand_string: Apple M1")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (tmp_path / name).chmod(0o755)
    assert len(list(environment._descriptions())) == 3
    assert environment.machine().cpu_model == "Neoverse-N1"


def test_a_machine_that_hides_itself(monkeypatch, tmp_path):
    """No /sys, no affinity, no load, no processor name: null, not a guess and not a failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("sched_getaffinity", "getloadavg", "sysconf"):
        monkeypatch.delattr(os, name, raising=False)
    for name in environment.FORCED_BLAS:
        monkeypatch.delenv(name, raising=False)

    def nowhere(path, *more):
        return tmp_path.joinpath("nowhere", str(path).lstrip("/"), *more)

    monkeypatch.setattr(environment, "Path", nowhere)
    machine = environment.machine()
    assert {name for name, value in machine.as_dict().items() if value is None} == {
        *("affinity", "governor", "cores", "memory_bytes", "load")
    }
    assert machine.caches == {}
    assert all((machine.cpu_model, machine.name))
    assert base.processors() == os.cpu_count()
    assert environment.warnings(environment.collect()) == []


def test_caches_are_read_in_bytes(monkeypatch, tmp_path):
    there = [(1, "Data", "48K"), (1, "Instruction", "32K"), (3, "Unified", "36608K")]
    for index, (level, kind, size) in enumerate(there):
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(environment, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    assert environment._caches() == {"L1d": 49152, "L1i": 32768, "L3": 36608 * 1024}


def test_the_commit_of_this_checkout():
    root = Path(environment.__file__).resolve().parents[2]
    found = environment.commit()
    if not (root / ".git").exists():
        pytest.skip("not in a git checkout")
    ran = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert found.commit == (ran.stdout.strip() if ran.returncode == 0 else None)
    assert found.dirty in (True, False, None)


@pytest.mark.parametrize("what", ["no git", "no checkout"])
def test_without_git_there_is_no_commit(monkeypatch, tmp_path, what):
    if what == "no git":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setattr(environment, "__file__", str(tmp_path / "bench" / "machine" / "environment.py"))
    assert environment.commit() == Commit()


def test_what_pytest_benchmark_compares_has_no_host_name():
    assert set(environment.machine_info()) == {"system", "machine", "cpu"}
    assert environment.machine_info()["cpu"]["brand_raw"] == environment.machine().cpu_model


def settings(variables=None, **machine):
    return msgspec.convert(simulate.environment(machine=machine, variables=variables or {}), Environment)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (settings(governor="powersave"), ["powersave", "set it to performance"]),
        (settings(load=[2.1, 0, 0]), ["the load is 2.1 on 4 processors", "stop it or wait"]),
        (settings(load=[0.6, 0, 0], affinity=[3]), ["the load is 0.6 on 1 processors"]),
        (settings(load=[2.1, 0, 0], affinity=None), ["on 4 processors"]),
        (settings({"OPENBLAS_CORETYPE": "Haswell"}), ["OPENBLAS_CORETYPE=Haswell", "unset it"]),
    ],
)
def test_what_makes_numbers_worse_is_said_with_what_to_do(found, words):
    (warning,) = environment.warnings(found)
    assert environment.warnings(settings(governor="performance", load=[1.9, 9, 9])) == [], "of a quiet machine"
    assert all(word in warning for word in words), warning


def test_variables_that_change_what_is_measured_are_recorded_and_others_are_not(monkeypatch):
    telling = (
        "OPENBLAS_CORETYPE",
        "OMP_PROC_BIND",
        "NUMBA_OPT",
        "MKL_CBWR",
        "CUDA_VISIBLE_DEVICES",
        "PYTHONMALLOC",
        "CUBLAS_WORKSPACE_CONFIG",
        "TORCHINDUCTOR_FREEZING",
    )
    others = ("SECRET_TOKEN", "PYTHONPATH", "HOME", "TORCHINDUCTOR_CACHE_DIR")
    for name in (*telling, *others):
        monkeypatch.setenv(name, "x")
    found = environment.collect().variables
    assert set(telling) <= set(found)
    assert not set(others) & set(found)


def test_a_section_as_rows_for_people():
    content = {"name": "box", "load": [0.5, 1.0], "affinity": [0, 1], "caches": {"L1d": 32}, "governor": None}
    rows = dict(environment.flatten("machine", content))
    assert " ".join(rows) == "machine name machine load machine affinity machine caches L1d machine governor"
    assert list(rows.values()) == ["box", "0.50, 1.00", "0, 1", "32", "not readable"]
    blas = environment.flatten("blas", [{"version": "1"}, {"version": "2"}])
    assert blas == [("blas 0 version", "1"), ("blas 1 version", "2")]
    assert environment.flatten("threads", 2) == [("threads", "2")]
    assert environment.flatten("blas", []) == [("blas", "")]
