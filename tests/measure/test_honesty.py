"""Each way to lie is refused by a check with a name, and no honest kernel is."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import case as case_
from mlpbench.bench.measure.honesty import Honesty
from mlpbench.bench.record.schema import Accuracy
from mlpbench.kernels import conformance, registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.reference import forward, seeded
from mlpbench.kernels.spec import ForwardSpec
from support import lying

ROWS = 5000
CASES = [Case("per_sample", 100), Case("batched", 10), Case("batched", 1000)]
#: The only sizes at which it shows, or that are enough.
LARGE = {
    lying.WrongInLargeBatches: [Case("batched", ROWS)],
    lying.WorksSlowlyInFromHost: [Case("batched", 1000)],
    lying.WorksInToHostOnOneRow: [Case("per_sample", 100)],
}


class AnotherDtype(lying.Liar):
    """In batches larger than the gate's; the numbers are right."""

    caught_by = "values"

    def answer(self, x, right):
        y = right(x)
        return self.spoil(y) if x.ndim == 2 and len(x) > lying.GATE_ROWS else y

    def spoil(self, y):
        return y.astype(np.float64)


class AList(AnotherDtype):
    def spoil(self, y):
        return y.tolist()


class Nothing(AnotherDtype):
    def spoil(self, y):
        return None


@pytest.fixture(scope="module")
def work():
    return Workload(Options(), rows=ROWS)


def examined(kernel, params, x, cases=CASES, rounds=7):
    """Do with a kernel what a process does; return the checks that refuse it, with their reasons."""
    found = Honesty(kernel, params, x.copy(), np.random.default_rng(0))
    turns = {case: case_.prepare(kernel, case, found.x) for case in cases}
    for turn in turns.values():
        for _ in range(min(2 * len(turn.batches), 6)):
            turn.call()
    if hasattr(kernel, "learn"):
        kernel.learn(x)
    found.freshen(turns)
    for case, turn in turns.items():
        for _ in range(rounds):
            y = turn.call()
        found.rounds_over(case, turn, y)
    found.inputs_unchanged()
    for case, turn in turns.items():
        found.examine(case, turn)
    found.judge()
    return {(one.check, one.reason) for one in found.refusals}


@pytest.mark.parametrize("liar", [*lying.BY_VALUES, AnotherDtype, AList, Nothing])
def test_a_lie_that_passes_the_gate_is_refused_by_the_check_that_is_for_it(work, liar):
    kernel = liar(work.spec, work.params)
    work.gate(liar, kernel)
    found = examined(kernel, work.params, work.inputs, LARGE.get(liar, CASES))
    assert liar.caught_by in {check for check, _ in found}, found
    assert all(reason.isprintable() and not reason.endswith(".") for _, reason in found)


@pytest.mark.parametrize("name", [name for name in registry.usual() if name != "cupy"] + ["numba-simd-new", "sklearn"])
def test_no_honest_kernel_is_refused(work, name):
    kernel_class = registry.load(name)
    try:
        kernel_class.probe()
    except KernelUnavailable as reason:
        pytest.skip(str(reason))
    assert examined(kernel_class(work.spec, work.params), work.params, work.inputs) == set()


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize("kernel_class", [lying.Liar, AnotherDtype, AList])
def test_the_books_cell_may_have_batches_of_its_own_and_they_are_looked_at(work, kernel_class, size):
    found, case = Honesty(kernel_class(work.spec, work.params), work.params, work.inputs.copy()), Case("book", size)
    found.freshen({})
    found.examine_book(case)
    found.judge()
    lies = kernel_class is not lying.Liar and size > 1
    assert [(one.mode, one.batch_size, one.check) for one in found.refusals] == [("book", size, "values")] * lies


class OnDevice:
    """An array that NumPy does not see."""

    def __init__(self, x):
        self.x = x

    def __getitem__(self, where):
        return type(self)(self.x[where])


class Writable(OnDevice):
    def __setitem__(self, where, other):
        self.x[where] = other.x


class Device(Kernel):
    """Computes elsewhere; its arrays can be written to."""

    backend, device = "none", "elsewhere"
    array = Writable

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.inner = NumpyKernel(spec, params)

    def from_host(self, x):
        return self.array(x.copy())

    def to_host(self, y):
        return y.x.copy()

    def forward(self, x):
        return self.array(self.inner.forward(x.x))

    forward_one = forward

    def synchronize(self, y):
        pass


class Immutable(Device):
    """As JAX's arrays."""

    array = OnDevice


class Stale(Device):
    """Knows its arrays by their address."""

    def __init__(self, spec, params):
        super().__init__(spec, params)
        self.memo = {}

    def forward(self, x):
        if x not in self.memo:
            self.memo[x] = super().forward(x)
        return self.memo[x]


def test_arrays_of_a_device_are_written_over_where_that_can_be_done(work):
    for kernel_class in (Device, Immutable):
        assert examined(kernel_class(work.spec, work.params), work.params, work.inputs) == set()
    found = examined(Stale(work.spec, work.params), work.params, work.inputs)
    assert "values" in {check for check, _ in found}


@pytest.mark.parametrize("case", [Case("batched", 10), Case("per_sample", 10)])
def test_inputs_that_are_parts_of_one_array_are_written_over_at_once(work, case):
    """Of a device: one transfer. Where a library's slices are copies, each input gets its values by itself."""

    class Counts(NumpyKernel):
        device, moved = "elsewhere", 0

        def from_host(self, x):
            self.moved += 1
            return x.copy()

    kernel = Counts(work.spec, work.params)
    ready = case_.prepare(kernel, case, work.inputs)
    assert kernel.moved == 1
    checks = Honesty(kernel, work.params, work.inputs.copy())
    checks.freshen({case: ready})
    assert kernel.moved == 2, "the fresh values go there in one piece too"
    rows = 10 * len(ready.batches)
    assert np.array_equal(ready.whole, checks._fresh[:rows])
    copies = [np.array(batch) for batch in ready.batches]
    batches = [list(batch) for batch in copies] if case.mode == "per_sample" else copies
    checks.freshen({case: replace(ready, batches=batches)})
    assert np.array_equal(np.concatenate(copies), checks._fresh[:rows])


def test_a_kernel_that_keeps_its_buffers_and_says_so_is_honest(work):
    class SaysSo(lying.ReturnsKeptBuffers):
        returns = "kept"

    assert examined(SaysSo(work.spec, work.params), work.params, work.inputs) == set()


def test_of_a_large_network_rows_are_drawn():
    spec = ForwardSpec((200, 3000, 10))
    params, x = seeded(spec), conformance.probe_inputs(spec, 2500, 0)
    checks = Honesty(NumpyKernel(spec, params), params, x, np.random.default_rng(0))
    case = Case("batched", 2500)
    checks.claim(case, "the last timed result", x, forward(spec, params, x).astype(np.float32))
    claims = list(checks._affordable())
    assert len(claims[0].x) == int(1e9 / spec.flop(1)) < 2500
    checks.judge()
    assert checks.refusals == []


@pytest.mark.parametrize(("one", "batch", "refused"), [(0.964, 0.964, 0), (0.964, 0.9635, 0), (0.175, 0.964, 1)])
def test_both_ways_answer_as_many_rows_right(one, batch, refused):
    checks = Honesty(None, None, np.zeros((1, 1)))
    checks.accuracies(Accuracy(per_sample=one, batched=batch, rows=2000))
    checks.accuracies(Accuracy(reason="no labels"))
    assert len(checks.refusals) == refused


def test_a_thousand_honest_results_and_none_is_refused():
    """Random networks, values and orders of summation: float32 and float64, every activation, one to four layers."""
    rng = np.random.default_rng(7)
    for _ in range(1000):
        sizes = tuple(int(n) for n in rng.integers(1, 40, rng.integers(2, 6)))
        hidden, output = rng.choice(["sigmoid", "relu", "step"]), rng.choice(["softmax", "identity"])
        spec = ForwardSpec(sizes, str(hidden), str(output), str(rng.choice(["float32", "float64"])))
        params = seeded(spec, int(rng.integers(1000)))
        x = rng.random((37, spec.n_in)) * (rng.random((37, spec.n_in)) < rng.random()) * rng.uniform(0.5, 1, spec.n_in)
        x = x.astype(spec.np_dtype)
        order = rng.permutation(spec.n_in)  # of the sums in the first layer
        first = params.weights[0][order]
        shuffled = type(params)((first, *params.weights[1:]), params.biases)
        got = NumpyKernel(spec, shuffled).forward(np.ascontiguousarray(x[:, order]))
        try:
            conformance.compare(*conformance.expected(spec, params.astype(spec.dtype), x), got, "a call")
        except NonConforming as refused:  # told with the network
            pytest.fail(f"{spec}: {refused}")


@pytest.mark.parametrize(
    ("device", "fresh", "same", "longer"),
    [
        ("cpu", [(1e-3, 1e-3), (2e-3, 1e-3)], [(1e-5, 1e-5), (1e-3, 1e-3)], 100),
        ("cpu", [(40e-3, 1.1e-3), (30e-3, 1e-3)], [(1e-3, 1e-3), (50e-3, 1e-3)], 1),
        ("cuda", [(1e-3, 1e-5)], [(1e-5, 1e-5)], 100),
    ],
)
def test_who_remembers_saves_processor_time_and_who_waits_for_a_processor_does_not(device, fresh, same, longer):
    kernel = SimpleNamespace(device=device)
    assert Honesty._longer(SimpleNamespace(kernel=kernel), fresh, same) == pytest.approx(longer)
