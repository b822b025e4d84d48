"""What is watched: the spins, the counters, and the block that a process of the suite writes."""

import itertools
import json
import platform
import re

import llvmlite.binding as llvm
import pytest
from msgspec.structs import asdict, replace

from mlpbench.bench import clock
from mlpbench.bench.cases import Case
from mlpbench.bench.machine import spin
from mlpbench.bench.measure import instruments, watch
from mlpbench.bench.record import runs
from mlpbench.bench.trust.disturbance import reasons
from support import processes

SMALL = ["--kernel=numpy", "--mode=per_sample", "--mode=batched", "--batch-size=1", "--benchmark-max-time=0.01"]


def xorshift(x, steps):
    for _ in range(steps):
        x ^= x << 13 & 2**64 - 1
        x ^= x >> 7
        x ^= x << 17 & 2**64 - 1
    return x


def test_the_spin_computes_every_step():
    """Marsaglia's generator, step by step in Python's whole numbers: nothing is folded away."""
    for steps in (0, 1, 2, 1000):
        assert spin.compiled()(spin.SEED, steps) == xorshift(spin.SEED, steps)


def test_a_step_has_the_instructions_that_it_says():
    body = spin.CODE.partition("step:\n")[2].partition("br label")[0]
    names = re.findall(r"= (shl|lshr|xor) i64 %(\w), ", body)
    assert len(names) == spin.INSTRUCTIONS_PER_STEP
    assert [operand for _, operand in names] == ["x", "x", "b", "b", "d", "d"], "each needs the one before"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors shift and combine in one instruction")
def test_the_machine_code_has_them_too():
    code = spin.machine().emit_assembly(llvm.parse_assembly(spin.CODE))
    (loop,) = re.findall(r"^(\.LBB\w+):(.*?)\tj\w+\t\1$", code, re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^\t(?:sh[lr]|xor)q\t", loop[1], re.MULTILINE)) == spin.INSTRUCTIONS_PER_STEP


def test_the_spin_brings_nothing_along():
    """No thread and no BLAS of its own: the process is the same that would be timed without it."""
    code = """
import sys, threading, numpy
before = set(sys.modules)
from mlpbench.bench.machine.spin import best_spin
best_spin().run(1)
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} & {"numba", "scipy", "pandas"}))
"""
    assert processes.python("-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("make", [spin.llvm_spin, spin.hashing_spin])
def test_a_spin_of_n_is_n_times_the_work(make):
    made = make()
    assert made.name
    assert made.run(1) != made.run(2)
    assert made.run(3) == make().run(3)


def test_without_llvm_the_spin_is_a_named_other(monkeypatch):
    def fail():
        raise ImportError("no LLVM")

    monkeypatch.setattr(spin, "llvm_spin", fail)
    spin.best_spin.cache_clear()
    try:
        assert (spin.best_spin().name, spin.best_spin().instructions) == ("pbkdf2-sha256", None)
    finally:
        spin.best_spin.cache_clear()


def test_counters_grow_and_are_never_negative():
    before = watch.read()
    clock.times_s(lambda: spin.hashing_spin().run(1), 3)
    grown = watch.since(before, watch.read())
    assert grown.wall_s > 0
    assert grown.thread_s > 0
    assert grown.process_s >= grown.thread_s * 0.5
    assert all(value is None or value >= 0 for value in asdict(grown).values())


def test_what_the_system_does_not_show_stays_unknown():
    whole = watch.read()
    hidden = replace(whole, run_delay_s=None, hot=None, tasks=None)
    assert watch.since(whole, hidden).run_delay_s is None
    assert watch.since(hidden, hidden).tasks is None
    ended = replace(whole, run_delay_s=5.0), replace(whole, run_delay_s=4.0)
    assert watch.since(*ended).run_delay_s == 0, "a thread ended and took its waiting with it"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("usage_usec 5\nthrottled_usec 2500000", 2.5), ("nr_periods 1\nthrottled_time 1500000000", 1.5), ("x 1", None)],
)
def test_throttling_is_read_from_both_kinds_of_control_groups(tmp_path, monkeypatch, text, seconds):
    (tmp_path / "cpu.stat").write_text(text)
    monkeypatch.setattr(watch, "THROTTLED", ("/no/such/file", str(tmp_path / "cpu.stat")))
    assert watch.read().throttled_s == seconds


def test_heat_is_summed_over_the_processors(tmp_path, monkeypatch):
    for number in range(2):
        folder = tmp_path / f"cpu{number}" / "thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{number + 3}\n")
    monkeypatch.setattr(watch, "HEAT", tmp_path)
    assert watch.read().hot == 7


def test_the_watch_spins_before_and_after_each_case(monkeypatch):
    events = []
    fake = spin.Spin("fake", None, lambda n: events.append("spin"))
    monkeypatch.setattr(watch, "best_spin", lambda: fake)
    observer, kernel = watch.Watch(), instruments.NullKernel()
    for size in (1, 10):
        observer.begin()
        events.append(size)
        observer.end(kernel, Case("batched", size))
    spins = ["spin"] * watch.SPINS
    assert events == [*spins, 1, *spins, *spins, 10, *spins]
    first, second = (window.began_utc_s for window in observer.seen.values())
    assert 1.7e9 < first <= second, "seconds since 1970"
    found = [(w.mode, w.batch_size, len(w.spins_after_s)) for w in observer.seen.values()]
    assert found == [("batched", size, watch.SPINS) for size in (1, 10)]
    with pytest.raises(RuntimeError):
        watch.Watch().end(kernel, Case("batched", 1))


def test_the_null_kernel_goes_the_way_of_every_other(monkeypatch):
    calls = []
    monkeypatch.setattr(instruments.NullKernel, "forward", lambda self, x: calls.append(x.shape))
    monkeypatch.setattr(instruments.NullKernel, "forward_one", lambda self, x: calls.append(x.shape))
    instruments.call_of("batched", 0)()
    assert calls == [(100, 1)]
    calls.clear()
    instruments.call_of("per_sample", 0)()
    assert calls == [(1,)] * 100


def test_in_turns_one_spin_stands_between_blocks_and_a_case_has_one_of_each(monkeypatch):
    spins = itertools.count(1)
    monkeypatch.setattr(watch.Watch, "_spin", lambda self: (float(next(spins)),))
    counted = iter(
        [replace(watch.read(), wall_s=wall, tasks=tasks) for wall, tasks in ((0, 1), (1, 3), (4, 2), (9, 9))]
    )
    last = watch.read()
    monkeypatch.setattr(watch, "read", lambda: next(counted, last))
    observer, kernel = watch.Watch(in_turns=True), instruments.NullKernel()
    for size in (1, 1, 10):
        observer.begin()
        observer.end(kernel, Case("batched", size))
    one, ten = observer.seen.values()
    assert (one.spins_before_s, one.spins_after_s) == ((1, 2), (2, 3))
    assert (ten.spins_before_s, ten.spins_after_s) == ((3,), (4,))
    assert (one.wall_s, one.tasks) == (1 + 5, 9), "counters are summed, and the most threads count"
    assert one.began_utc_s <= ten.began_utc_s


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("trust") / "numpy.0.json"
    ran = processes.bench("-v", *SMALL, f"--benchmark-json={path}")
    assert ran.returncode == 0, ran.stdout
    return path, ran.stdout


def test_a_process_writes_what_it_watched(written):
    path, said = written
    found = runs.read(path)
    assert [(w.mode, w.batch_size) for w in found.trust.windows] == [("per_sample", 100), ("batched", 1)]
    assert len(found.cases) == 2
    assert {(known.mode, known.length) for known in found.trust.self_test} == set(instruments.KNOWN)
    assert all(len(known.rounds_s) == instruments.ROUNDS for known in found.trust.self_test)
    assert found.trust.clock.clock_s == pytest.approx(found.trust.clock.raw_s, rel=0.2), "a time server may bend one"
    assert list(reasons(found.trust)) == json.loads(path.read_text())["mlpbench"]["trust"]["disturbed"]
    assert len(json.loads(path.read_text())["benchmarks"]) == 2, "the harness is no case, and runs last"
    assert said.index("test_forward[") < said.index("test_harness[")


def test_the_harness_is_not_timed_where_nothing_is_saved():
    ran = processes.bench(*SMALL)
    assert ran.returncode == 0, ran.stdout
    assert f"{len(instruments.KNOWN)} deselected" in ran.stdout
    assert "harness" not in ran.stdout
