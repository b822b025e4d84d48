"""The machine as results record it: its name, what is readable, what is not, and what is worth a warning."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mlpbench.bench.machine import environment
from mlpbench.bench.record.environment import Commit, Environment
from mlpbench.kernels import base
from support import simulate

CACHED = [getattr(environment, name) for name in ("machine", "commit", "machine_id", "processor", "host", "boot")]


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
    # What pytest-benchmark compares has no host name.
    cpu = {"brand_raw": found.machine.cpu_model}
    assert environment.machine_info() == {"system": found.os["system"], "machine": found.machine.arch, "cpu": cpu}


@pytest.mark.parametrize(
    ("value", "given"), [("3", 3), ("4,2", 4), (" 2 ", 2), ("", None), ("0", None), ("many", None), ("-1", None)]
)
def test_threads_as_openmp_takes_them(monkeypatch, value, given):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert environment.collect().threads == (given or base.processors())


def test_variables_that_change_what_is_measured_are_recorded_and_others_are_not(monkeypatch):
    recorded = ("OPENBLAS_CORETYPE", "OMP_PROC_BIND", "NUMBA_OPT", "MKL_CBWR", "CUDA_VISIBLE_DEVICES")
    recorded += ("PYTHONMALLOC", "CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_FREEZING")
    others = ("SECRET_TOKEN", "PYTHONPATH", "HOME", "TORCHINDUCTOR_CACHE_DIR")
    for name in (*recorded, *others):
        monkeypatch.setenv(name, "x")
    found = environment.collect().variables
    assert set(recorded) <= set(found)
    assert not set(others) & set(found)


@pytest.fixture
def root(monkeypatch, tmp_path):
    """Return the folder that stands in for the root of a system, in which nothing is yet, and no program either."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(environment, "Path", lambda path, *more: tmp_path.joinpath(str(path).lstrip("/"), *more))
    for name in ("_IDS", "_BOOT"):
        there = getattr(environment, name)
        moved = tuple(map(environment.Path, there)) if isinstance(there, tuple) else environment.Path(there)
        monkeypatch.setattr(environment, name, moved)
    return tmp_path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o755)


def test_a_machine_that_hides_itself(root, monkeypatch):
    """No /sys, no affinity, no load, no processor name: null, not a guess and not a failure."""
    for name in ("sched_getaffinity", "getloadavg"):
        monkeypatch.delattr(os, name, raising=False)
    for name in environment.FORCED_BLAS:
        monkeypatch.delenv(name, raising=False)
    machine = environment.machine()
    unknown = {name for name, value in machine.as_dict().items() if value is None}
    assert unknown == {"affinity", "governor", "cores", "load", "host"}
    assert machine.caches == {}
    assert all((machine.cpu_model, machine.name))
    assert base.processors() == os.cpu_count()
    assert environment.commit() == Commit(), "no git"
    assert environment.warnings(environment.collect()) == []


def test_caches_are_read_in_bytes(root):
    there = [(1, "Data", "48K"), (1, "Instruction", "32K"), (3, "Unified", "36608K")]
    for index, values in enumerate(there):
        for name, value in zip(("level", "type", "size"), values, strict=True):
            write(root / "sys/devices/system/cpu/cpu0/cache" / f"index{index}" / name, f"{value}\n")
    assert environment.machine().caches == {"L1d": 49152, "L1i": 32768, "L3": 36608 * 1024}


XEON, GOLD = "Intel(R) Xeon(R) Gold 6230 CPU @ 2.1GHz", "intel-xeon-gold-6230-f6-m"


@pytest.mark.parametrize(
    ("source", "says", "name"),
    [
        ("proc/cpuinfo", f"processor: 0\ncpu family\t: 6\nmodel\t: 85\nmodel name: {XEON}\n\nmodel: 1\n", f"{GOLD}85"),
        ("proc/cpuinfo", "model name: ../\x1b[2J/etc <b>", "2j-etc-b"),
        ("lscpu", "Architecture: aarch64\nModel name: Neoverse-N1\nCPU family: -\nModel: 1", "neoverse-n1-m1"),
        ("sysctl", "machdep.cpu.brand_string: Apple M1\nmachdep.cpu.core_count: 8", "apple-m1"),
        ("sysctl", f"machdep.cpu.family: 6\nmachdep.cpu.model: 9\nmachdep.cpu.brand_string: {XEON}", f"{GOLD}9"),
    ],
)
def test_the_machines_name_is_fit_for_a_folder_and_is_not_the_hosts(root, source, says, name):
    """Where no file tells, programs are asked: on ARM, and on two Macs."""
    write(root / "proc/cpuinfo", "processor: 0\n")
    write(root / source, says if "/" in source else f"#!/bin/sh\necho '{says}'\n")
    assert environment.machine_id() == f"{name}-{os.cpu_count()}cpu"


def test_two_ids_are_two_digests_and_neither_can_be_read_back(root):
    for digest, file in ((environment.host, "etc/machine-id"), (environment.boot, "proc/sys/kernel/random/boot_id")):
        found = set()
        for text in ("0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdee\n"):
            write(root / file, text)
            digest.cache_clear()
            found.add(digest())
            assert text[:12] not in digest()
        assert len([one for one in found if re.fullmatch("[0-9a-f]{12}", one)]) == 2


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\xff"])
def test_a_system_that_does_not_say_is_not_known_but_by_a_tool_of_macos(root, content):
    write(root / "etc/machine-id", content)
    assert (environment.host(), environment.boot()) == (None, None)
    write(root / "ioreg", '#!/bin/sh\necho \'  "IOPlatformUUID" = "A-B-C"\'\n')
    environment.host.cache_clear()
    assert re.fullmatch("[0-9a-f]{12}", environment.host())


def test_the_commit_of_this_checkout(monkeypatch, tmp_path):
    root = Path(environment.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        pytest.skip("not in a git checkout")
    found = environment.commit()
    ran = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert found.commit == (ran.stdout.strip() if ran.returncode == 0 else None)
    assert found.dirty in (True, False, None)
    environment.commit.cache_clear()
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "bench" / "machine" / "environment.py"))
    assert environment.commit() == Commit(), "no checkout"


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
