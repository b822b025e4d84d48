"""Looks behind the clock: whether what was timed is what a right kernel does (docs/evidence/honesty.md).

After warming, fresh values are written in place over the inputs. When the rounds are over, the last timed result and
some more calls are held against the reference for the values of then. Nothing here is inside a timed round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import elapsed, processor_s
from mlpbench.bench.measure.case import Prepared, memory, prepare
from mlpbench.bench.record import belongs
from mlpbench.bench.record.schema import Accuracy
from mlpbench.bench.record.trust import Refusal
from mlpbench.kernels import conformance
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import NonConforming
from mlpbench.kernels.params import Params

#: Fresh values are the old ones times a factor from here to 1: zeros stay zeros, and nothing becomes a denormal.
LEAST_FACTOR = 0.75
#: Calls on fresh values after the rounds, each with a twin on the same values again; fewer of large batches, and more
#: before a kernel is refused for them.
CALLS, FEW_CALLS, LARGE_BYTES, MANY_CALLS = 3, 1, 4_000_000, 45
#: Such a call is made of as many as fill this time: one short call cannot be timed. Of large batches, so many rows of
#: its result are looked at; of the last timed result, all.
CALL_S, ROWS = 2e-4, 100
#: The reference may take so many floating-point operations in a process; of larger networks, rows are drawn.
AFFORDABLE_FLOP, FEWEST_ROWS = 1e9, 100
#: A call on fresh values may take so many times as long as its twin.
REMEMBERS = 1.5
#: `from_host` of a kernel on the CPU may take as long as so many copies of the array, and so much longer: what it gives
#: is written over. It is tried so often before it is refused. Of `to_host`: copies, seconds, and a share of a call.
COPIES, TRANSFER_S, MANY_TRANSFERS = 10.0, 100e-6, 9
RESULT_COPIES, RESULT_S, RESULT_SHARE = 3.0, 2e-6, 0.25
#: Calls before a kernel that is not timed gets fresh values: what it remembers, it remembers by then.
WARM_CALLS = 6
_CHUNK = 1000  # the reference takes rows in parts that stay in a cache

_Array = NDArray[Any]
#: Stands for a result that is no array of numbers.
NO_ARRAY: _Array = np.empty(0, np.bool_)


@dataclass(frozen=True)
class _Claim:
    """What a kernel returned, and the inputs for which it did."""

    case: Case
    what: str
    x: _Array
    got: _Array


@dataclass
class Honesty:
    """The checks of one kernel in one process. ``x``: the timed inputs, which are written over.

    In this order: `freshen` when all cases are warm, for each `rounds_over` just after its last timed call, when the
    rounds of all are over `inputs_unchanged`, for each `examine`, and at the end `judge`.
    """

    kernel: Kernel
    params: Params
    x: _Array
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    refusals: list[Refusal] = field(default_factory=list)
    #: What all inputs hold while they are timed, but for those of cases that cannot be written to.
    _fresh: _Array = field(init=False, repr=False)
    _scratch: _Array | None = field(default=None, repr=False)
    _old: dict[Case, _Array] = field(default_factory=dict, repr=False)
    _claims: list[_Claim] = field(default_factory=list, repr=False)

    def freshen(self, cases: Mapping[Case, Prepared]) -> None:
        """Write fresh values over the inputs of all cases, where they lie: they have been warmed on others.

        Arrays of a device get them through the kernel's own `overwrite`. Where the library's arrays cannot be written
        to, as JAX's, the old values stay.
        """
        before = self.x.copy()
        self._fresh = self.x[self.rng.permutation(len(self.x))]
        self._fresh *= self._factors(len(self.x), 1)
        self._fresh *= self._factors(self.x.shape[1])
        self._fresh = self.kernel.nearest(self._fresh)
        np.copyto(self.x, self._fresh)
        for case, prepared in cases.items():
            inputs = inputs_of(case, prepared.batches)
            its = memory(self.kernel, inputs[0])
            if its is not None and np.may_share_memory(its, self.x):
                continue  # they have changed with `x`
            rows = 1 if case.mode == "per_sample" else case.batch_size
            if prepared.whole is not None and self.write(prepared.whole, self._fresh[: rows * len(inputs)]):
                last = self._fresh[rows * len(inputs) - rows : rows * len(inputs)]
                if np.array_equal(snapshot(self.kernel, inputs[-1]).reshape(last.shape), last):
                    continue  # its inputs are parts of it, and no copies
            for number, there in enumerate(inputs):
                values = self._fresh[number * rows : (number + 1) * rows]
                if not self.write(there, values[0] if case.mode == "per_sample" else values):
                    self._old[case] = before
                    break

    def inputs_unchanged(self) -> None:
        """Check that no call wrote to its inputs."""
        if not np.array_equal(self.x, self._fresh):
            rows = int(np.sum(np.any(self.x != self._fresh, axis=1)))
            self._refuse(None, "inputs", f"{rows:,} rows of its inputs were written to while it was timed")

    def rounds_over(self, case: Case, prepared: Prepared, result: Any) -> None:
        """Keep what the last timed call of a case returned, and its inputs as they are now."""
        x = self.values_of(case, (place(prepared.batches, prepared.take()) - 1) % len(prepared.batches))
        x = x[-1] if case.mode == "per_sample" else x
        self.claim(case, "the last timed result", x, snapshot(self.kernel, result))

    def values_of(self, case: Case, number: int) -> _Array:
        """Return what the rows of a batch hold while they are timed."""
        return self._old.get(case, self._fresh)[number * case.batch_size : (number + 1) * case.batch_size]

    def examine(self, case: Case, prepared: Prepared) -> None:
        """Call a case, whose rounds are over, on more values."""
        where = int(self.rng.integers(len(prepared.batches)))
        inputs = inputs_of(case, _from(prepared.batches, where, math.ceil(ROWS / case.batch_size)))
        self._call_again(case, prepared.forward, inputs)
        self._transfers(case, prepared)

    def examine_book(self, case: Case) -> None:
        """Call as the book's cell does, whose own results are classes: its batches may be of a size of their own."""
        kernel, x, single = self.kernel, self._fresh[: case.batch_size].copy(), case.batch_size == 1
        y = kernel.forward_one(kernel.from_host(x[0])) if single else kernel.forward(kernel.from_host(x))
        kernel.synchronize(y)
        got = snapshot(kernel, y)
        self._claim_some(case, x, got[None] if single else got)

    def accuracies(self, found: Accuracy) -> None:
        """Check that both ways answer as many rows right, but for rows where rounding decides."""
        if belongs.differ(found.rows, found.per_sample, found.batched):
            said = f"one at a time it answers {found.per_sample:.3f} right, in batches {found.batched:.3f}"
            self._refuse(None, "accuracy", said)

    def judge(self) -> None:
        """Hold everything that was returned against the reference."""
        spec, wrong = self.kernel.spec, set[Case]()
        params = self.params.astype(spec.dtype)
        for claims in _parts(list(self._affordable())):
            x = np.concatenate([one.x for one in claims])
            if all((one.got.shape, one.got.dtype) == ((len(one.x), spec.n_out), spec.np_dtype) for one in claims):
                got = np.concatenate([one.got for one in claims])
                if conformance.is_near(spec, params, x, got, self.kernel.arithmetic):
                    continue
            right = conformance.expected(spec, params, x, self.kernel.arithmetic)
            ends = np.cumsum([len(one.x) for one in claims])[:-1]
            for claim, *its in zip(claims, *(np.split(part, ends) for part in right), strict=True):
                if claim.case not in wrong and (reason := _wrong(claim, spec.np_dtype, *its)):
                    self._refuse(claim.case, "values", reason)
                    wrong.add(claim.case)
        self._claims.clear()

    def _affordable(self) -> Iterator[_Claim]:
        """Yield what was returned; of networks for which all of it would take too long, as many rows as do not."""
        most = max(FEWEST_ROWS, int(AFFORDABLE_FLOP / self.kernel.spec.flop(1)))
        least = max(1, most // max(1, len(self._claims)))
        enough = sum(len(claim.x) for claim in self._claims) <= most
        for claim in self._claims:
            if enough or len(claim.x) <= least or len(claim.got) != len(claim.x):
                yield claim
            else:
                chosen = self.rng.choice(len(claim.x), least, replace=False)
                yield replace(claim, x=claim.x[chosen], got=claim.got[chosen])

    # -- one case

    def claim(self, case: Case, what: str, x: _Array, got: _Array) -> None:
        """Keep what a call returned for ``x``, one row or a batch."""
        one = case.mode == "per_sample"
        self._claims.append(_Claim(case, what, x[None] if one else x, got[None] if one else got))

    def _claim_some(self, case: Case, x: _Array, y: _Array) -> None:
        """Keep some rows of what a call after the rounds returned: of the last timed result, all are looked at."""
        self.claim(case, "a call after the rounds", *self.some(case, x, y))

    def some(self, case: Case, x: _Array, y: _Array) -> tuple[_Array, _Array]:
        """Return some rows of a batch and of its result; the batch's are copies, and stay when others are made."""
        if len(x) <= ROWS or case.mode == "per_sample" or len(y) != len(x):
            return x.copy(), y
        chosen = self.rng.choice(len(x), ROWS, replace=False)
        return x[chosen], y[chosen]

    def _call_again(self, case: Case, forward: Callable[[Any], Any], inputs: list[Any]) -> None:
        """Call on fresh values, again on the same ones, and once more on others with all results looked at."""
        large = self.is_large(case)
        with elapsed() as once:
            self.kernel.synchronize(forward(inputs[0]))
        inputs = inputs[: math.ceil(CALL_S / max(once.seconds, 1e-9))]
        fresh, same = list[tuple[float, float]](), list[tuple[float, float]]()
        held = list[tuple[Any, _Array]]()
        most = FEW_CALLS if large else CALLS
        while len(fresh) < most:
            make, others = self.new_values(case, len(inputs)), self.new_values(case, len(inputs))
            # The second time too, everything is done: all but what the kernel has seen is the same. An untimed call
            # comes before both, which wakes its threads.
            for seconds, before in ((fresh, others), (same, make)):
                inputs = self._put(inputs, before())
                self.kernel.synchronize(forward(inputs[-1]))
                values = make()
                inputs = self._put(inputs, values)
                used_s = processor_s()
                with elapsed() as took:
                    for there in inputs:
                        y = forward(there)
                        self.kernel.synchronize(y)
                seconds.append((took.seconds, processor_s() - used_s))
                held.append((y, snapshot(self.kernel, y)))
            if len(fresh) <= CALLS:
                self._claim_some(case, values[-1], held[-2][1])
            if len(fresh) >= most or most == MANY_CALLS:  # something else may have run just then
                most = MANY_CALLS if self._longer(fresh, same) > REMEMBERS else len(fresh)
        if (more := self._longer(fresh, same)) > REMEMBERS:
            self._refuse(case, "memory", f"on values that it has not seen it takes {more:.1f} times as long")
        self._aliases(case, inputs, held)
        if not large or type(self.kernel).to_host is not Kernel.to_host:
            self._look_at_all(case, inputs, forward)

    def _longer(self, fresh: Sequence[tuple[float, float]], same: Sequence[tuple[float, float]]) -> float:
        """Return how many times as long as the ``same`` values ``fresh`` ones take, the fastest of each.

        They are seconds and processor time. On the CPU the smaller ratio counts: whoever remembers saves both, and
        threads that wait for a processor use none.
        """
        wall, processor = (min(one[n] for one in fresh) / max(min(one[n] for one in same), 1e-9) for n in (0, 1))
        return min(wall, processor) if self.kernel.device == CPU else wall

    def is_large(self, case: Case) -> bool:
        """Return whether a batch fills caches: its values take long to write."""
        return case.mode == "batched" and case.batch_size * self.x[0].nbytes > LARGE_BYTES

    def _look_at_all(self, case: Case, inputs: list[Any], forward: Callable[[Any], Any]) -> None:
        """Call on new values, and overwrite them before the results are fetched: work that is put off is too late."""
        values = self.new_values(case, len(inputs))()
        inputs = self._put(inputs, values)
        late = type(self.kernel).to_host is not Kernel.to_host
        for there, x in zip(inputs, values, strict=True):
            y = forward(there)
            self.kernel.synchronize(y)
            if late:
                self.write(there, x[::-1].copy())
            self._claim_some(case, x, snapshot(self.kernel, y))
            if late:
                continue
            if (now := memory(self.kernel, there)) is not None and not np.array_equal(now, x, equal_nan=True):
                self._refuse(case, "inputs", "a call wrote to its inputs")
                break

    def _aliases(self, case: Case, inputs: list[Any], held: Sequence[tuple[Any, _Array]]) -> None:
        """Check that results that are said to be new are: later calls leave them alone, and they share no memory."""
        if self.kernel.returns != "new":
            return
        if any(not np.array_equal(snapshot(self.kernel, y), was, equal_nan=True) for y, was in held):
            self._refuse(case, "aliasing", 'it says that it returns new arrays, and a later call changed one ("kept")')
            return
        seen = [np.asarray(y) for y, _ in held if isinstance(y, np.ndarray)]
        seen += [its for there in inputs if (its := memory(self.kernel, there)) is not None]
        if any(np.may_share_memory(a, b) for n, a in enumerate(seen[: len(held)]) for b in seen[n + 1 :]):
            self._refuse(case, "aliasing", 'it says that it returns new arrays, and two share memory ("kept")')

    def _transfers(self, case: Case, prepared: Prepared) -> None:
        """Check that a kernel on the CPU does no work where it takes and gives arrays."""
        if self.kernel.device != CPU:
            return
        fastest = [math.inf] * 5
        for tried in range(MANY_TRANSFERS):
            fastest = [min(pair) for pair in zip(fastest, self._moves(case, prepared), strict=True)]
            copy_in_s, there_s, call_s, copy_out_s, back_s = fastest
            late = there_s > TRANSFER_S + COPIES * copy_in_s
            later = back_s > RESULT_S + RESULT_COPIES * copy_out_s + RESULT_SHARE * call_s
            if not late and not later and tried >= (0 if self.is_large(case) else CALLS - 1):
                return
        name, took_s, copy_s = ("from_host", there_s, copy_in_s) if late else ("to_host", back_s, copy_out_s)
        told = f"{name} takes {1e6 * took_s:.3g} us, a copy {1e6 * copy_s:.2g} us, a call {1e6 * call_s:.3g} us"
        self._refuse(case, "transfers", told)

    def _moves(self, case: Case, prepared: Prepared) -> tuple[float, ...]:
        """Return the seconds of a copy of new inputs, of `from_host`, a call, a copy of its result, and `to_host`."""
        (values,) = self.new_values(case, 1)()
        with elapsed() as copying:
            x = values.copy()
        with elapsed() as there:
            taken = x if prepared.takes_host else self.kernel.from_host(x)
        with elapsed() as call:
            y = prepared.forward(taken)
            self.kernel.synchronize(y)
        with elapsed() as back:
            found = self.kernel.to_host(y)
        with elapsed() as again:
            _ = found.copy() if isinstance(found, np.ndarray) else None  # `judge` refuses what is no array
        return copying.seconds, there.seconds, call.seconds, again.seconds, back.seconds

    # -- values

    def _factors(self, *shape: int) -> _Array:
        found: _Array = self.rng.uniform(LEAST_FACTOR, 1, shape).astype(self.x.dtype)
        return found

    def new_values(self, case: Case, number: int) -> Callable[[], list[_Array]]:
        """Return what makes values that no call has seen, for so many inputs of a case, the same ones every time."""
        rows = 1 if case.mode == "per_sample" else case.batch_size
        start = int(self.rng.integers(max(1, len(self._fresh) - rows * number + 1)))
        factors = self._factors(self.x.shape[1])
        if self.is_large(case) and self._scratch is None:
            self._scratch = np.empty_like(self._fresh)  # fresh memory for each would take longer than the values
        out = self._scratch[: rows * number] if self.is_large(case) and self._scratch is not None else None

        def make() -> list[_Array]:
            new = self.kernel.nearest(np.multiply(self._fresh[start : start + rows * number], factors, out=out))
            return list(new) if case.mode == "per_sample" else [new[n * rows : (n + 1) * rows] for n in range(number)]

        return make

    def _put(self, inputs: list[Any], values: Sequence[_Array]) -> list[Any]:
        """Return the inputs with other values: themselves, or new ones where they cannot be written to."""
        pairs = zip(inputs, values, strict=True)
        return [there if self.write(there, x) else self.kernel.from_host(x) for there, x in pairs]

    def write(self, there: Any, values: _Array) -> bool:
        """Write values over an input; return whether that can be done."""
        its = memory(self.kernel, there)
        if its is not None and its.dtype == values.dtype:
            np.copyto(its, values)
            return True
        try:
            self.kernel.overwrite(there, values)
        except (TypeError, ValueError, RuntimeError):  # it cannot be written to
            return False
        self.kernel.synchronize(there)
        return True

    def _refuse(self, case: Case | None, check: str, reason: str) -> None:
        self.refusals.append(Refusal.of(case, check, reason))


def wrong(kernel: Kernel, params: Params, x: _Array, cases: Sequence[Case], accuracy: Accuracy) -> list[Refusal]:
    """Return what a run would refuse a kernel for that is not timed: all but what rests on a time."""
    checks = Honesty(kernel, params, x.copy())
    prepared = {case: prepare(kernel, case, checks.x) for case in cases}
    for one in prepared.values():
        for _ in range(min(2 * len(one.batches), WARM_CALLS)):
            one.call()
    checks.freshen(prepared)
    for case, one in prepared.items():
        checks.rounds_over(case, one, one.call())
    checks.inputs_unchanged()
    checks.accuracies(accuracy)
    for case, one in prepared.items():
        checks.examine(case, one)
    checks.judge()
    return [one for one in checks.refusals if not one.by_time]


def snapshot(kernel: Kernel, y: Any) -> _Array:
    """Return a copy of a result. Of NumPy's arrays the memory itself is read: `to_host` could still work on it.

    What is no array on the host either, as a list, becomes `NO_ARRAY`: NumPy would make an array of the right dtype.
    """
    found = y if isinstance(y, np.ndarray) else kernel.to_host(y)
    return np.array(found, ndmin=1) if isinstance(found, np.ndarray) else NO_ARRAY


def inputs_of(case: Case, batches: Sequence[Any]) -> list[Any]:
    """Return the inputs of single calls."""
    return [row for batch in batches for row in batch] if case.mode == "per_sample" else list(batches)


def _wrong(claim: _Claim, dtype: np.dtype[Any], right: _Array, allowed: _Array, decidable: _Array) -> str | None:
    if claim.got.dtype != dtype:
        its = "no array of numbers" if claim.got.dtype == NO_ARRAY.dtype else claim.got.dtype
        return f"{claim.what} is {its}, expected {dtype}"
    if claim.got.shape != right.shape:
        return f"{claim.what} has shape {claim.got.shape}, expected {right.shape}"
    try:
        conformance.compare(right, allowed, decidable, claim.got, claim.what)
    except NonConforming as reason:
        return f"{reason}, for values that it had not seen when it was warmed"
    return None


def _parts(claims: Sequence[_Claim]) -> Iterator[list[_Claim]]:
    """Yield what was returned in parts whose rows stay in a cache."""
    part: list[_Claim] = []
    for claim in claims:
        for start in range(0, len(claim.x), _CHUNK):
            rows = slice(start, start + _CHUNK)
            if sum(len(one.x) for one in part) >= _CHUNK:
                yield part
                part = []
            # A result of another shape is told by its whole shape.
            got = claim.got[rows] if len(claim.got) == len(claim.x) else claim.got
            part.append(replace(claim, x=claim.x[rows], got=got))
    if part:
        yield part


def _from(batches: Sequence[Any], start: int, number: int) -> list[Any]:
    number = min(number, len(batches))
    return [batches[(start + n) % len(batches)] for n in range(number)]


def place(batches: Sequence[Any], batch: Any) -> int:
    """Return where a batch stands in the rotation."""
    return next(number for number, one in enumerate(batches) if one is batch)
