"""Each mistake that passes the gate is refused by a check with a name, and no right kernel is; who uses processors."""

import functools
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import case as case_
from mlpbench.bench.measure import checks
from mlpbench.bench.measure.checks import Checks, Usage
from mlpbench.kernels import conformance, registry
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import lying

ROWS = 5000
CASES = [Case("per_sample", 100), Case("batched", 10), Case("batched", 1000)]
#: The only sizes at which it shows.
SIZES = {
    lying.WrongInLargeBatches: [Case("batched", ROWS)],
    lying.WorksInToHostOnOneRow: [Case("per_sample", 100)],
}


def in_large_batches(name, spoil):
    """Return the liar whose results, right in batches up to the gate's, are what ``spoil`` makes of larger ones."""

    def answer(self, x, right):
        y = right(x)
        return spoil(y) if x.ndim == 2 and len(x) > lying.GATE_ROWS else y

    return type(name, (lying.Liar,), {"answer": answer})


AnotherDtype = in_large_batches("AnotherDtype", lambda y: y.astype(np.float64))
AList, Nothing = in_large_batches("AList", np.ndarray.tolist), in_large_batches("Nothing", lambda y: None)


@pytest.fixture(scope="module")
def work():
    return Workload(Options(), rows=ROWS)


def examined(kernel, params, x, cases=CASES, rounds=7):
    """Do with a kernel what a process does; return the checks that refuse it, with their reasons."""
    before = x.copy()
    found = Checks(kernel, params, x, np.random.default_rng(0))
    prepared = {case: case_.prepare(kernel, case, x) for case in cases}
    for case, ready in prepared.items():
        for _ in range(rounds + min(2 * len(ready.batches), 6)):
            y = ready.call()
        found.keep(case, ready, y)
    for case, ready in prepared.items():
        found.examine(case, ready)
    refused = {one.check: one.reason for one in found.refusals}
    assert "inputs" in refused or np.array_equal(x, before), "the inputs of other cases, and of other kernels"
    return refused


@pytest.mark.parametrize(
    "liar", [*(liar for liar in lying.BY_VALUES if liar.caught_by != "memory"), AnotherDtype, AList, Nothing]
)
def test_a_mistake_that_passes_the_gate_is_refused_by_the_check_that_is_for_it(work, liar):
    kernel = liar(work.spec, work.params)
    work.gate(liar, kernel)
    found = examined(kernel, work.params, work.inputs.copy(), SIZES.get(liar, CASES))
    assert liar.caught_by in found, found
    assert all(reason.isprintable() and not reason.endswith(".") for reason in found.values())


@pytest.mark.parametrize("name", [name for name in registry.usual() if name != "cupy"] + ["numba-simd-new", "sklearn"])
def test_no_right_kernel_is_refused(work, name):
    kernel_class = registry.load(name)
    try:
        kernel_class.probe()
    except KernelUnavailable as reason:
        pytest.skip(str(reason))
    assert examined(kernel_class(work.spec, work.params), work.params, work.inputs) == {}


@pytest.mark.parametrize(("kernel_class", "size", "lies"), [(lying.Liar, 1, 0), (AnotherDtype, 1000, 1), (AList, 1, 0)])
def test_the_books_cell_may_have_batches_of_its_own_and_they_are_looked_at(work, kernel_class, size, lies):
    found, case = Checks(kernel_class(work.spec, work.params), work.params, work.inputs), Case("book", size)
    found.examine(case, case_.Prepared(tuple))
    assert [(one.mode, one.batch_size, one.check) for one in found.refusals] == [("book", size, "values")] * lies


class OnDevice:
    """An array that NumPy does not see, and nobody writes to, as JAX's."""

    def __init__(self, x):
        self.x = x

    def __getitem__(self, where):
        return type(self)(self.x[where])


class Writable(OnDevice):
    def __setitem__(self, where, other):
        self.x[where] = other.x


class Device(lying.Liar):
    """Computes elsewhere; ``is_stale``: knows its arrays by their address."""

    device, array, is_stale = "elsewhere", Writable, False

    def from_host(self, x):
        return self.array(x.copy())

    def to_host(self, y):
        return y.x.copy()

    def answer(self, x, right):
        if x not in self.kept or not self.is_stale:
            self.kept[x] = self.array(right(x.x))
        return self.kept[x]

    def synchronize(self, y):
        pass


@pytest.mark.parametrize(("array", "is_stale"), [(Writable, False), (OnDevice, False), (Writable, True)])
def test_arrays_of_a_device_are_written_over_where_that_can_be_done(work, array, is_stale):
    kernel = Device(work.spec, work.params)
    kernel.array, kernel.is_stale = array, is_stale
    assert examined(kernel, work.params, work.inputs).keys() == ({"values"} if is_stale else set())


def test_buffers_that_are_kept_as_it_says_are_right_and_of_a_large_network_rows_are_drawn(work, monkeypatch):
    monkeypatch.setattr(lying.ReturnsKeptBuffers, "returns", "kept")
    assert examined(lying.ReturnsKeptBuffers(work.spec, work.params), work.params, work.inputs) == {}
    spec, asked = ForwardSpec((200, 3000, 10)), []
    params, x = seeded(spec), conformance.probe_inputs(spec, 2500, 0)
    expected = conformance.expected
    monkeypatch.setattr(checks.conformance, "expected", lambda *args: asked.append(len(args[2])) or expected(*args))
    assert examined(NumpyKernel(spec, params), params, x, [Case("batched", 2500)]) == {}
    assert sum(asked) == 2 * int(1e9 / spec.flop(1)) < 2500


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([1.0e-3] * 35 + [0.4e-3] * 5, None),
        ([0.5e-3] * 40, "50%"),
        ([0.5e-3] * 15 + [1.0e-3] * 25, "15 of 40"),
        ([1.03e-3] * 40, "103%"),
        ([1.0e-3] * 20 + [-0.2] * 20, "20 of 40"),
        ([0.9e-3, 0.5e-3, 1.0e-3], None),
        ([0.5e-3] * 3, "3 of 3"),
    ],
)
def test_rounds_fit_the_raw_clock_around_them(rounds, said):
    """One or two rounds that were interrupted tell nothing, however few there are."""
    found = checks.rounds_off(rounds, [1.0e-3] * len(rounds))
    assert found is None if said is None else said in found


@pytest.mark.parametrize(
    ("seen", "given", "said"),
    [
        (Usage(0.5, 0.95), 1, "as 1.9 do, of 1"),
        (Usage(0.5, 0.95), 2, None),
        (Usage(0.3, 0.95), 2, "as 3.2 do, of 2"),
        (Usage(0.75, 0.95), 1, None),  # some spin on
        (Usage(1.4, 0.95), 1, None),  # they took turns: no more than one at a time
        (Usage(1.4, 0.95, 1.71), 1, "as 1.9 do, of 1"),  # they could have worked at once
        (Usage(1.0, 0.5, children_s=0.14), 1, None),
        (Usage(1.0, 0.5, children_s=0.3), 1, "for 0.3 s"),  # processes that it started are more threads, too
    ],
)
def test_threads_are_counted_by_what_they_did_or_could_have_done_at_a_time(seen, given, said):
    assert said in seen.too_many(given) if said else seen.too_many(given) is None


def test_what_a_process_does_between_two_blocks_of_a_case_does_not_count(monkeypatch):
    for name in ("raw_s", "processor_s", "waited_s", "children_s"):
        monkeypatch.setattr(checks, name, functools.partial(next, iter([20.0, 20.25, 40.0, 40.25])))
    seen = Usage()
    for _ in range(2):
        with seen.of_block():
            pass
    assert seen == Usage(0.5, 0.5, 0.5, 0.5)


def test_a_thousand_honest_processes_and_none_is_refused():
    """Of a busy machine: rounds are interrupted, one in a hundred just between both looks; few rounds, or many."""
    rng = np.random.default_rng(3)
    for number in range(1000):
        n = (3, 10, 60)[number % 3]
        rounds = 1e-3 * rng.uniform(1, 2, n) + rng.exponential(5e-3, n) * (rng.random(n) < 0.3)
        spans = rounds + rng.uniform(5e-6, 4e-5, n) + rng.exponential(5e-3, n) * (rng.random(n) < 0.01)
        assert checks.rounds_off(rounds, spans) is None
        assert Usage(wall_s=1.0, used_s=float(rng.uniform(0.3, 1.2))).too_many(1) is None


def test_waits_are_those_of_one_thread_or_of_all_but_those_that_look_for_us(tmp_path, monkeypatch):
    """As Linux shows them, with a process that the first thread has started, and a thread that has just ended."""
    for path, content in {
        "thread-self/schedstat": "9 5 9\n",
        "self/task/11/schedstat": "9 5 9\n",
        "self/task/11/children": "77 ",
        "77/stat": "77 (a) b) S " + 10 * "0 " + "3 4 0 0",
        "self/task/12/schedstat": "8 7000000000 8\n",
        "self/task/13/schedstat": "8 100 8\n",
        "self/task/14/schedstat": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    monkeypatch.setattr(checks, "Path", lambda name: tmp_path / name.removeprefix("/proc/"))
    monkeypatch.setattr(checks.look, "helpers", lambda: {13})
    with checks.waiting(every=False) as alone, checks.waiting(every=True) as every:
        assert (alone(), every()) == (5, 7_000_000_005)
    assert checks.waited_s() == pytest.approx(7)
    assert checks.children_s() == 7 / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(checks, "Path", lambda name: tmp_path / "nothing")
    with checks.waiting(every=False) as waited_ns:
        assert waited_ns() is None, "the system keeps no such count"
    assert checks.waited_s() == checks.children_s() == 0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not show who waits")
def test_a_thread_that_has_ended_waits_no_more():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with checks.waiting(every=True) as waited_ns:
        stop.set()
        thread.join()
        assert waited_ns() >= 0
