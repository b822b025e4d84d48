"""What is in the clock, in which order, and what stays out of it: kernels that record, and a clock that we move."""

from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.measure import case as case_
from mlpbench.bench.record.schema import ExtraInfo
from mlpbench.kernels.conformance import predict
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.doubles import FakeBenchmark, RecordingKernel, rows

SPEC = ForwardSpec((3, 2))
BATCHED, PER_SAMPLE = Case("batched", 2), Case("per_sample", 2)


class AsynchronousKernel(RecordingKernel):
    """The same on a device that is waited for; ``("wait", n)`` names the row whose result is waited for."""

    def synchronize(self, y):
        self.events.append(("wait", abs(int(np.ravel(y)[0]))))


def measure(benchmark, kernel, case, **more):
    """Time a case as by hand; return its ``extra_info``."""
    facts = ExtraInfo(mode=case.mode, batch_size=case.batch_size, rows_per_call=case.batch_size)
    contestant = SimpleNamespace(kernel=kernel, inputs=rows(6), facts=lambda _: facts, **more)
    case_.measure(benchmark, contestant, case)
    return benchmark.extra_info


def called(function, times, kernel):
    kernel.events.clear()
    for _ in range(times):
        function()
    return kernel.events


@pytest.mark.parametrize("kernel_class", [RecordingKernel, AsynchronousKernel])
@pytest.mark.parametrize(
    ("case", "n", "calls"),
    [
        (BATCHED, 6, [("forward", 1, 2), ("forward", 3, 4), ("forward", 5, 6), ("forward", 1, 2)]),
        (BATCHED, 5, [("forward", 1, 2), ("forward", 3, 4), ("forward", 1, 2), ("forward", 3, 4)]),
        (PER_SAMPLE, 4, [("forward_one", n) for n in (1, 2, 3, 4, 1, 2, 3, 4)]),
        (PER_SAMPLE, 5, [("forward_one", n) for n in (1, 2, 3, 4, 1, 2, 3, 4)]),
    ],
)
def test_calls_go_round_through_the_rows_that_fill_batches_and_each_is_waited_for_where_a_kernel_says_how(
    kernel_class, case, n, calls
):
    kernel = kernel_class(SPEC, seeded(SPEC))
    ready = case_.prepare(kernel, case, np.asfortranarray(rows(n)))
    x = ready.batches[0] if case is BATCHED else ready.batches[0][0]
    assert (x.flags.c_contiguous, x.dtype, x.shape) == (True, SPEC.np_dtype, (2, 3) if case is BATCHED else (3,))
    assert {"from_host"} == {name for name, *_ in kernel.events}, "everything is moved beforehand"
    waits = kernel_class is AsynchronousKernel
    assert case_.is_asynchronous(kernel) is waits
    wanted = [event for one in calls for event in (one, *([("wait", one[1])] if waits else []))]
    assert called(ready.call, 4, kernel) == wanted


@pytest.mark.parametrize("case", [BATCHED, PER_SAMPLE])
def test_the_first_call_and_the_warming_come_before_pytest_benchmark_looks(clock, case):
    class Slow(RecordingKernel):
        """Compiles for 7 s at the first call of each shape; later calls take 10 ms."""

        shapes = ()

        def forward(self, x):
            clock.now += 0.01 if x.shape in self.shapes else 7.0
            self.shapes = (*self.shapes, x.shape)
            return super().forward(x)

        def forward_one(self, x):
            return self.forward(x[None])[0]

    slow = Slow(SPEC, seeded(SPEC))
    benchmark = FakeBenchmark(slow)
    assert measure(benchmark, slow, case)["first_call_s"] > 7, "the first call is the first of its shape"
    before = [event for event in benchmark.before if event[0] == "forward"]
    assert len(before) >= 1 + 1 + case_.WARM_S / 0.01
    assert [event[0] for event in benchmark.timed] == ["forward"] * 3 * (2 if case is PER_SAMPLE else 1)


@pytest.mark.parametrize(("case", "times", "shape"), [(BATCHED, 1, (2, 3)), (PER_SAMPLE, 2, (3,))])
def test_transfers_are_recorded_beside_the_clock_and_one_at_a_time_every_row_is_moved_by_itself(
    clock, case, times, shape
):
    class Far(AsynchronousKernel):
        """A batch takes 3 s to the device, its result 2 s back; computing takes 50 ms, most of it after the call."""

        busy = 0.0

        def from_host(self, x):
            self.busy += 3.0
            return super().from_host(x)

        def forward(self, x):
            self.busy += 0.05
            return super().forward(x)

        def synchronize(self, y):
            clock.now, self.busy = clock.now + self.busy, 0.0

        def to_host(self, y):
            clock.now, self.busy = clock.now + self.busy + 2.0, 0.0
            return super().to_host(y)

    far = Far(SPEC, seeded(SPEC))
    benchmark = FakeBenchmark(far)
    info = measure(benchmark, far, case)
    assert info["from_host_s"] == pytest.approx(3.0 * times, abs=1e-3)
    assert info["to_host_s"] == pytest.approx(2.0 * times, abs=1e-3)
    moved = [event for event in benchmark.before if event[0] == "from_host"]
    assert moved[-times * case_.TRANSFERS :] == [("from_host", shape)] * times * case_.TRANSFERS
    assert [event[0] for event in benchmark.before].count("to_host") >= times * case_.TRANSFERS


@pytest.mark.parametrize("case", [Case("batched", 1), Case("batched", 1000), Case("per_sample", 100)])
@pytest.mark.parametrize("l2_bytes", [None, 2**20, 25 * 2**20])
def test_a_million_rows_go_to_a_device_in_one_piece_and_no_more_of_them_than_no_cache_holds(case, l2_bytes):
    class Far(AsynchronousKernel):
        device = "cuda"

        def l2_bytes(self):
            return l2_bytes

    spec = ForwardSpec((784, 2))
    kernel, x = Far(spec, seeded(spec)), np.zeros((1_000_000, 784), np.float32)
    found = case_.prepare(kernel, case, x)
    most = max(4 * (l2_bytes or 0), 64 * 2**20) // x[0].nbytes // case.batch_size * case.batch_size
    assert [event for event in kernel.events if event[0] == "from_host"] == [("from_host", (most, 784))]
    assert len(found.batches) == most // case.batch_size == case_.rotation(kernel, case, x) // case.batch_size
    first, last = found.batches[0][0], found.batches[-1][-1]
    assert last.ctypes.data - first.ctypes.data == (most - 1) * x[0].nbytes, "they are parts of one array"


def test_on_the_cpu_the_largest_cache_counts_and_one_batch_is_always_there_however_large(monkeypatch):
    machine = SimpleNamespace(caches={"L1i": 2**40, "L2": 2**20, "L3": 32 * 2**20})
    monkeypatch.setattr(case_.environment, "machine", lambda: machine)
    x, kernel = np.zeros((1_000_000, 784), np.float32), AsynchronousKernel(SPEC, seeded(SPEC))
    assert case_.rotation(kernel, Case("batched", 1), x) == 128 * 2**20 // x[0].nbytes
    assert case_.rotation(kernel, Case("batched", 1), x[:10_000]) == 10_000, "usually there are not so many"
    assert case_.rotation(kernel, Case("batched", 1_000_000), x) == 1_000_000
    assert len(case_.prepare(kernel, Case("batched", 1_000_000), x[:, :3]).batches) == 1


@pytest.mark.parametrize(
    ("batch_size", "calls"),
    [
        (None, [("forward_one", n) for n in (1, 2, 3, 4, 5)]),
        (2, [("forward", 1, 2), ("forward", 3, 4), ("forward", 5)]),
        (100, [("forward", 1, 2, 3, 4, 5)]),
    ],
)
def test_predictions_take_every_row_in_both_modes_and_wait_for_each_call(batch_size, calls):
    kernel = AsynchronousKernel(SPEC, seeded(SPEC))
    assert predict(kernel, rows(5), batch_size).tolist() == [0] * 5
    assert [event for event in kernel.events if event[0].startswith("forward")] == calls
    names = [name for name, *_ in kernel.events]
    assert names.count("to_host") == len(calls)
    assert all(names[i - 1] == "wait" for i, name in enumerate(names) if name == "to_host")


def test_where_nobody_can_write_over_inputs_of_the_cpu_from_host_is_part_of_a_call():
    """It could do the work: then what is timed has to have it."""

    class Opaque(RecordingKernel):
        """Its own arrays show nobody their memory."""

        def from_host(self, x):
            return SimpleNamespace(x=super().from_host(x), shape=x.shape)

        def to_host(self, y):
            return y.x.copy() if isinstance(y, SimpleNamespace) else y

        def forward(self, x):
            return super().forward(x.x)

        def forward_one(self, x):
            return super().forward_one(x.x)

    kernel = Opaque(SPEC, seeded(SPEC))
    batched, singly = (case_.prepare(kernel, case, rows(6)) for case in (BATCHED, PER_SAMPLE))
    assert all(isinstance(one, np.ndarray) for batch in singly.batches for one in batch)
    assert called(batched.call, 1, kernel) == [("from_host", (2, 3)), ("forward", 1, 2)]
    of_rows = [(("from_host", (3,)), ("forward_one", number)) for number in (1, 2)]
    assert called(singly.call, 1, kernel) == [event for of_row in of_rows for event in of_row]


@pytest.mark.parametrize("change", [lambda x: np.pad(x, [(0, 0), (0, 5)]), lambda x: x.astype(np.float64)])
def test_making_other_inputs_than_a_copy_is_part_of_a_call(monkeypatch, change):
    kernel, moved = RecordingKernel(SPEC, seeded(SPEC)), []
    monkeypatch.setattr(kernel, "from_host", lambda x: moved.append(x.shape) or change(x))
    call = case_.prepare(kernel, BATCHED, rows(6)).call
    moved.clear()
    call()
    assert moved == [(2, 3)]


def test_memory_that_a_library_forbids_to_write_to_is_written_to():
    kernel, x = RecordingKernel(SPEC, seeded(SPEC)), rows(2)
    closed = x.copy()
    closed.flags.writeable = False
    case_.memory(kernel, closed)[:] = 7
    assert np.all(closed == 7)
    assert case_.memory(kernel, closed[:, :2]) is None, "its rows do not lie behind each other"
    assert np.may_share_memory(case_.memory(kernel, x), x)


def test_the_books_cell_is_timed_whole(monkeypatch):
    sizes = []
    monkeypatch.setattr(case_, "book", lambda workload, kernel_class, size: (sizes.append(size), ()))
    info = measure(FakeBenchmark(), None, Case("book", 100), workload=None)
    assert sizes == [100] * 4  # the first call, and the three that pytest-benchmark makes
    assert [name for name in info if name.endswith("_s")] == ["first_call_s"], "it has no transfers"


@pytest.mark.parametrize(("batch_size", "infer", "calls"), [(1, 5 * 0.5, 5), (2, 3 * 0.25, 3)])
def test_each_part_of_the_books_cell_has_its_own_time(clock, batch_size, infer, calls):
    made = []

    class Slow(RecordingKernel):
        def __init__(self, spec, params):
            super().__init__(spec, params)
            made.append(self)
            clock.now += 2.0

        def forward_one(self, x):
            clock.now += 0.5
            return super().forward_one(x)

        def forward(self, x):
            clock.now += 0.25
            return super().forward(x)

    class Labels:
        """Comparing with them takes 4 s. All but one are right."""

        __array_ufunc__ = None

        def __eq__(self, winners):
            clock.now += 4.0
            return np.arange(len(winners)) > 0

        __hash__ = None

    def read_again():
        clock.now += 3.0
        return rows(5), Labels()

    workload = SimpleNamespace(spec=SPEC, read_params=lambda: seeded(SPEC), read_again=read_again)
    hits, parts = case_.book(workload, Slow, batch_size)
    assert hits == 4
    assert parts == pytest.approx((3.0, 2.0, infer, 4.0), abs=1e-4)
    assert [name.startswith("forward") for name, *_ in made[0].events].count(True) == calls
