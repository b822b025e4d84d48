"""The process that measures the machine's limits. How fast the machine is, is no matter of these tests."""

import json
import re

import numpy as np
import pytest
from msgspec.structs import replace

from mlpbench.bench.machine import child, threads
from mlpbench.bench.machine.look import Look
from mlpbench.bench.record import runs
from mlpbench.bench.record.device import Measured
from mlpbench.bench.record.environment import Environment, Machine
from mlpbench.bench.record.plan import Binding
from mlpbench.bench.record.trust import BestLook, LookFacts
from mlpbench.bench.wings.why import after_run, roofs
from mlpbench.kernels.numba_simd.codegen import peak

CUDA_ROOFS = "mlpbench.bench.wings.gpu.roofs"
CACHES = {"L1d": 48 * 1024, "L1i": 32 * 1024, "L2": 2**20, "L3": 32 * 2**20}
NAMES = ["matrix product", "multiply-add", "L1", "L2", "L3", "DRAM"]


def test_every_item_is_really_read():
    """A change in any of them changes the result."""

    def read(integers, times=1):
        sums = np.zeros(peak.READ_BYTES // 8)
        peak.read(integers.view(np.float64), sums, times)
        return np.bitwise_xor.reduce(sums.view(np.int64))

    array = np.random.default_rng(0).integers(0, 2**60, peak.READ_BYTES // 8 * 3)
    assert (read(array), read(array, 2), read(array, 3)) == (np.bitwise_xor.reduce(array), 0, read(array))
    for i in range(array.size):
        changed = array.copy()
        changed[i] ^= 1
        assert read(changed) != read(array), i


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_each_level_is_read_where_it_is_and_not_below(threads):
    sizes = roofs.read_sizes(CACHES, threads)
    assert sizes["L1"] < CACHES["L1d"] < sizes["L2"] < CACHES["L2"] < sizes["L3"] <= CACHES["L3"] / threads
    assert sizes["DRAM"] * threads >= 4 * CACHES["L3"] - threads
    assert roofs.read_sizes({}, threads) == {"DRAM": roofs.DRAM_BYTES // threads}


@pytest.fixture
def small(monkeypatch):
    """Measure little, on a machine of the caches that are given."""
    for name, value in {"ROUND_S": 1e-5, "MATRIX_ROWS": 32, "TURNS": 100, "DRAM_BYTES": 2**20}.items():
        monkeypatch.setattr(roofs, name, value)
    monkeypatch.setattr(roofs.environment, "collect", Environment)
    return lambda caches: monkeypatch.setattr(roofs.environment, "machine", lambda: Machine(caches=caches))


def test_what_is_measured(small):
    small({**CACHES, "L3": 2 * 2**20})
    found = roofs.measure(2, "float64", 7e-5).as_dict()
    assert [(entry["name"], entry["threads"]) for entry in found["measured"]] == [(n, t) for t in (1, 2) for n in NAMES]
    for entry in found["measured"]:
        assert 1 <= len(entry["data"]) <= 7 * (1 + roofs.AGAIN)
        assert min(entry["work"], *entry["data"]) > 0
    work = {(entry["name"], entry["threads"]): entry["work"] for entry in found["measured"]}
    assert work["matrix product", 1] == work["matrix product", 2] == 2 * 32**3
    assert work["multiply-add", 2] == 2 * work["multiply-add", 1]


def block_of(folder):
    return json.loads((folder / runs.ROOFS_FILE).read_text())["mlpbench"]


def test_a_run_has_a_file_of_them_measured_where_it_is_bound_to_or_a_reason(tmp_path):
    bound = threads.choose(1)
    reason = after_run.write([tmp_path], 1, "float32", 1e-3, binding=bound)
    assert reason is None or roofs.BUSY in reason, "as the machine of the tests may be"
    (cpu,) = block_of(tmp_path)["devices"]
    assert (cpu["device"], cpu["reason"]) == ("cpu", None)
    assert {entry["threads"] for entry in cpu["measured"]} == {1}
    (tmp_path / runs.ROOFS_FILE).unlink()
    reason = after_run.write([tmp_path], 1, "float31", 1e-3)
    assert re.search("ended with 1.*float31", reason)
    (cpu,) = block_of(tmp_path)["devices"]
    assert (cpu["measured"], cpu["reason"]) == ([], reason)


MEASURED = {"dtype": "float64", "measured": [{"name": "multiply-add", "work": 10, "data": [1.0]}]}
CPU = child.Answer(MEASURED, None)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (child.Answer({"device": "cuda", **MEASURED}, None), ""),
        (child.Answer({"device": "cuda", "reason": "no CUDA device: none"}, None), "cuda: no CUDA device: none; "),
        (child.Answer(None, "the process ended with 1: killed"), "cuda: the process ended with 1: killed; "),
    ],
)
def test_devices_are_measured_in_processes_of_their_own_or_have_a_reason(tmp_path, monkeypatch, answer, why):
    asked = []

    def ask(module, what, threads, binding, timeout_s):
        asked.append((module, threads, binding, what))
        return CPU if module == roofs.__name__ else answer

    monkeypatch.setattr(after_run.child, "ask", ask)
    bound = Binding((1,))
    cannot = "nothing here measures the limits of such a device"
    assert after_run.write([tmp_path], 2, "float64", 0.5, ["cuda", "mps"], bound) == f"{why}mps: {cannot}"
    what = {"dtype": "float64", "seconds": 0.5}
    assert asked == [(roofs.__name__, 2, bound, {**what, "threads": 2, "best": []}), (CUDA_ROOFS, 2, bound, what)]
    _, cuda, mps = block_of(tmp_path)["devices"]
    assert (bool(cuda["measured"]), mps["device"], mps["reason"]) == (not why, "mps", cannot)


BEST_NS = 25_000
KNOWN = [BestLook(name="look", processors=1, best_ns=BEST_NS)]


def test_a_roof_that_has_no_quiet_moment_is_measured_again_and_then_refused(small, monkeypatch):
    small({})
    monkeypatch.setattr(roofs.look, "here", lambda: Look("look", 1, lambda: 2 * BEST_NS))
    busy = roofs.measure(1, "float32", 7e-5, KNOWN).measured[1]
    alone = roofs.measure(1, "float32", 7e-5).measured[1]
    assert len(busy.looks_ns) == len(busy.data) >= 1 + roofs.AGAIN
    assert busy.refused == f"the machine was busy: 0 of {len(busy.data)} rounds were between two quiet looks"
    assert "two quiet looks" not in (alone.refused or ""), "it does not know a better one"


def test_what_was_busy_has_its_next_turn_behind_all_others(small, monkeypatch):
    """The neighbour goes while the second of two is measured."""
    small({})
    order, quiet = [], []

    def rounds(call, rounds, round_s, most_s, between):
        order.append(call)
        between()
        for _ in range(5):
            between()
        quiet.extend([True] * (len(order) > 1))
        return 1, [1.0] * 5

    monkeypatch.setattr(roofs, "short_rounds", rounds)
    monkeypatch.setattr(roofs.look, "here", lambda: Look("look", 1, lambda: BEST_NS * (1 if quiet else 2)))
    found = roofs.measure(1, "float32", 7e-5, KNOWN)
    first, second, *_ = order
    assert order[-2:] == [first, second]
    assert {one.refused for one in found.measured} == {None}
    assert found.look.best_of(1) == BEST_NS


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("L2", [1.0, 1.02, 1.04, 2.0], None),
        ("L2", [1.0, 1.5, 1.6, 2.0], "no 2 of 4 rounds came near the best"),
        ("L2", [1.0, 1.0], "there was no time for more than 2 rounds"),
        ("L2", [1.0, 1.0, 1.0], None),
        ("L2", [1.0, 1.01, 1.02, 1.4, 1.4, 1.4, 1.4], None),
        ("DRAM", [1.0, 1.01, 1.02, 1.4, 1.4, 1.4, 1.4], "half of its quiet rounds took 1.4 times as long as the best"),
    ],
)
def test_a_limit_that_no_other_round_confirms_is_doubted(name, data, why):
    found = roofs._Limit(lambda: None, Measured(name=name, work=1, data=tuple(data))).doubt(LookFacts())
    assert found == (why and f"the machine was busy: {why}")


def test_only_rounds_between_quiet_looks_confirm_a_limit():
    looks = [(25, 25), (25, 50), (50, 25), (25, 25), (26, 25)]
    one = Measured(name="L2", work=1, data=(1.0, 1.0, 1.0, 1.4, 1.4), looks_ns=looks, look_processors=1)
    assert one.quiet_s(LookFacts(name="look", best_ns=((1, 25),))) == (1.0, 1.4, 1.4)
    with pytest.raises(ValueError, match="expected two for each of 5 rounds, got 4"):
        replace(one, looks_ns=tuple(looks[:4]))
