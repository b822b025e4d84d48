"""The machine as results record it: what is readable, what is not, and what is worth a warning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mlpbench.bench.machine import environment, identity, variables
from mlpbench.bench.record.environment import Commit, Environment
from mlpbench.kernels import base
from support import simulate, terminal

CACHED = (environment.machine, environment.commit, identity.machine_id, identity.processor)


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
    assert found.python["version"] == ".".join(map(str, sys.version_info[:3]))
    assert {"numpy", "numba", "pytest-benchmark"} <= set(found.libraries)
    assert all(found.os[name] for name in ("system", "release", "distribution"))


def test_blas_and_its_threads_show_once_it_is_loaded():
    code = (
        "import json, numpy as np; from mlpbench.bench.machine import environment\n"
        "np.ones((2, 2)) @ np.ones((2, 2)); print(json.dumps(environment.collect().as_dict()))"
    )
    env = variables.with_threads(terminal.variables(), 1)
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout)
    (blas,) = (pool for pool in found["blas"] if pool["user_api"] == "blas")
    assert blas["num_threads"] == found["threads"] == 1
    assert all((blas["internal_api"], blas["version"]))


def test_a_machine_that_hides_itself(monkeypatch, tmp_path):
    """No /sys, no affinity, no load, no processor name: null, not a guess and not a failure."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("sched_getaffinity", "getloadavg"):
        monkeypatch.delattr(os, name, raising=False)
    for name in environment.FORCED_BLAS:
        monkeypatch.delenv(name, raising=False)

    def nowhere(path, *more):
        return tmp_path.joinpath("nowhere", str(path).lstrip("/"), *more)

    for module in (environment, identity):
        monkeypatch.setattr(module, "Path", nowhere)
    machine = environment.machine()
    unknown = {name for name, value in machine.as_dict().items() if value is None}
    assert unknown - {"host"} == {"affinity", "governor", "cores", "load"}
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


def settings(environ=None, **machine):
    return msgspec.convert(simulate.environment(machine=machine, variables=environ or {}), Environment)


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
