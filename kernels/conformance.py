"""The gate: a kernel agrees with the float64 reference, or it is not timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels import reference
from mlpbench.kernels.base import Arithmetic, Kernel
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

#: Odd, and no multiple of any vector width or tile: the last rows of a batch are computed by other code.
GATE_ROWS = 37
#: Rows given one by one.
SINGLE_ROWS = 5
#: Inputs that no data set has, and that a kernel could clip or clean: between minus and plus the first, and times the
#: second, where exp overflows in float32.
WIDE, LARGE = 3.0, 1000.0

_Array = NDArray[Any]
#: Stands for infinity where the bound of an error needs a number.
_FAR = 1e30
#: Activations that compare.
COMPARING = {"step", "relu", "leaky-relu"}


@dataclass(frozen=True)
class Conformance:
    """How near a kernel came: the largest absolute error, and the largest error as a share of what is allowed."""

    max_error: float
    max_error_ratio: float

    def merge(self, other: Conformance) -> Conformance:
        """Return the worse of both, figure by figure."""
        return Conformance(max(self.max_error, other.max_error), max(self.max_error_ratio, other.max_error_ratio))


def probe_inputs(spec: ForwardSpec, rows: int, seed: int) -> _Array:
    """Return seeded inputs in [0, 1), (rows, n_in), for which `seeded` parameters are balanced."""
    return np.random.default_rng([seed, rows]).random((rows, spec.n_in)).astype(spec.np_dtype)


def odd_inputs(spec: ForwardSpec, seed: int) -> _Array:
    """Return seeded inputs, (rows, n_in), that are no pictures: below 0 and above 1, large, infinite, and NaN.

    Rows that `probe_inputs` could give stand between them: what is not a number in one row stays out of the others.
    """
    rng, x = np.random.default_rng([seed, GATE_ROWS]), probe_inputs(spec, 2 * SINGLE_ROWS, seed + 2)
    x[::2] = rng.uniform(-WIDE, WIDE, (SINGLE_ROWS, spec.n_in))
    x[2] *= LARGE
    for row, value in ((4, np.inf), (6, -np.inf), (8, np.nan)):
        x[row, rng.integers(spec.n_in)] = value
    return x


def check(kernel_class: type[Kernel], spec: ForwardSpec, seed: int = 0, params: Params | None = None) -> Conformance:
    """Hold a kernel against the reference on seeded data that a wrong kernel cannot pass.

    The kernel computes an odd batch, a smaller batch with other values, and single rows. Shapes and dtype must be
    exact, and inputs unchanged. ``params`` are what `seeded` makes of ``spec`` and ``seed``, if the caller has them:
    to make 100 MB of them takes seconds.
    Raises NonConforming with the check that failed and by how much, also where the kernel itself raises;
    KernelUnavailable for a specification that the kernel does not support.
    """
    params = seeded(spec, seed) if params is None else params
    kernel = _attempt("the constructor", kernel_class, spec, params)
    probes = (probe_inputs(spec, rows, s) for rows, s in ((GATE_ROWS, seed), (SINGLE_ROWS, seed + 1)))
    first, second = (_attempt("nearest", kernel.nearest, x) for x in probes)
    _require_telling(spec, params, first)
    result = agree(kernel, params, first)
    result = result.merge(agree(kernel, params, second))
    result = result.merge(agree(kernel, params, first, singly=True, rows=SINGLE_ROWS))
    odd = odd_inputs(spec, seed)
    if not np.array_equal(_attempt("nearest", kernel.nearest, odd), odd, equal_nan=True):
        return result  # it takes no such inputs, and says so
    with np.errstate(all="ignore"):  # to overflow on the way to a right result is no mistake
        result = result.merge(agree(kernel, params, odd))
        return result.merge(agree(kernel, params, odd, singly=True))


def agree(kernel: Kernel, params: Params, x: _Array, *, singly: bool = False, rows: int | None = None) -> Conformance:
    """Compare a kernel's outputs for the first ``rows`` of ``x`` (batch, n_in) with the reference.

    With ``singly`` the rows go to ``forward_one``, one at a time. The kernel was made with ``params``. Both modes are
    held to one reference, so that they agree with each other. Raises NonConforming.
    """
    spec, x = kernel.spec, np.ascontiguousarray(x[:rows])
    where = "one row at a time" if singly else f"a batch of {len(x)}"
    got, after = _attempt(where, _singly if singly else _batched, kernel, x.copy())
    if not np.array_equal(after, x, equal_nan=True):
        raise NonConforming(f"{where}: the input was overwritten")
    if got.shape != (len(x), spec.n_out):
        raise NonConforming(f"{where}: the output has shape {got.shape}, expected {(len(x), spec.n_out)}")
    if got.dtype != spec.np_dtype:
        raise NonConforming(f"{where}: the output is {got.dtype}, expected {spec.dtype}")
    right, allowed, decidable = expected(spec, params.astype(spec.dtype), x, kernel.arithmetic)
    # What is infinite may become NaN on the way: in 0 * x, and where products are made of two halves.
    lost = np.isinf(x).any(axis=1) & np.isnan(got).all(axis=1)
    got[lost] = right[lost]
    return compare(right, allowed, decidable, got, where)


def _attempt(where: str, function: Any, *args: Any) -> Any:
    """Return what ``function`` returns. Whatever a kernel raises is a verdict, a warning that is an error too."""
    try:
        return function(*args)
    except (NonConforming, KernelUnavailable):
        raise
    except Exception as error:
        raise NonConforming(f"{where}: raised {type(error).__name__}: {error}") from error


def _to_host(kernel: Kernel, y: Any) -> _Array:
    kernel.synchronize(y)
    host = kernel.to_host(y)
    if not isinstance(host, np.ndarray):
        raise NonConforming(f"the result is {type(host).__name__}, not an array")
    return host.copy()  # the kernel may use its buffer again


def _batched(kernel: Kernel, x: _Array) -> tuple[_Array, _Array]:
    """Return the outputs, and the inputs as they are on the device afterwards."""
    on_device = kernel.from_host(x)
    return _to_host(kernel, kernel.forward(on_device)), _to_host(kernel, on_device)


def _singly(kernel: Kernel, x: _Array) -> tuple[_Array, _Array]:
    rows = [kernel.from_host(row) for row in x]
    outputs = [_to_host(kernel, kernel.forward_one(row)) for row in rows]
    if len({output.shape for output in outputs}) > 1:
        raise NonConforming(f"one row at a time: shapes differ: {[output.shape for output in outputs]}")
    return np.stack(outputs), np.stack([_to_host(kernel, row) for row in rows])


def expected(
    spec: ForwardSpec, params: Params, x: _Array, arithmetic: Arithmetic = "dtype"
) -> tuple[_Array, _Array, _Array]:
    """Return the reference's outputs for ``x``, how far each may be off, and which rows can be judged.

    ``arithmetic`` is what the kernel computes products in. Where an input is infinite, outputs may be off by as much as
    where it is very large. Where a hidden layer compares, such a row is not judged: IEEE 754 has a maximum of 0 and NaN
    that is 0, and one that is NaN.
    """
    steps = reference.trace(spec, params, x)
    if np.isfinite(x).all():
        return steps[-1][1], *reference.bound(spec, params, x, steps, arithmetic)
    finite = np.nan_to_num(x, nan=0.0, posinf=_FAR, neginf=-_FAR).astype(np.float64)
    allowed, decidable = reference.bound(spec, params, finite, None, arithmetic)
    if {one.name for one in spec.activations} & COMPARING:
        decidable &= np.isfinite(x).all(axis=1)
    return steps[-1][1], allowed, decidable


def compare(right: _Array, allowed: _Array, decidable: _Array, got: _Array, where: str) -> Conformance:
    """Hold outputs against what `expected` returns for their inputs. Raises NonConforming, with ``where`` first.

    A row also has its class, the largest output, where that leads by more than any output may be off.
    """
    error = np.abs(got.astype(np.float64) - right)
    error[(got == right) | (np.isnan(got) & np.isnan(right))] = 0  # infinite and undefined outputs are to be the same
    error[np.isnan(error)] = np.inf
    ratio = np.where(decidable[:, None], error / allowed, 0)
    row, output = np.unravel_index(np.argmax(ratio), ratio.shape)
    if ratio[row, output] > 1:
        if np.isfinite(error[row, output]):
            off = f"is off by {error[row, output]:.3g} at output {output} where {allowed[row, output]:.3g} is allowed"
        else:
            off = f"has {got[row, output]:.3g} at output {output} where {right[row, output]:.3g} is right"
        raise NonConforming(f"{where}: row {row} {off}")
    with np.errstate(invalid="ignore"):  # infinite outputs; of one output there is no lead
        lead = np.diff(np.sort(right, axis=1)[:, -2:], axis=1).sum(axis=1)
    other = decidable & (lead > allowed.max(axis=1)) & (got.argmax(axis=1) != right.argmax(axis=1))
    for row in np.flatnonzero(other)[:1]:
        ahead = f"{right[row].argmax()} is right by {lead[row]:.3g}, and {allowed[row].max():.3g} is allowed"
        raise NonConforming(f"{where}: row {row} has its largest output at {got[row].argmax()} where {ahead}")
    return Conformance(float(np.max(error[decidable], initial=0)), float(ratio[row, output]))


def _require_telling(spec: ForwardSpec, params: Params, x: _Array) -> None:
    """Raise AssertionError unless the data can fail a wrong kernel: several classes win, and none by a landslide."""
    if spec.output != "softmax" or spec.n_out == 1:
        return
    y = reference.forward(spec, params, x)
    winners, confidence = len(set(y.argmax(axis=1).tolist())), float(y.max(axis=1).mean())
    # A narrow step network has few states, and so few winners whatever the weights.
    if not (1.05 / spec.n_out < confidence < 0.98 and (winners > 1 or "step" in spec.hidden)):
        msg = f"the gate's data are too easy for {spec}: {winners} winning classes, confidence {confidence:.3f}"
        raise AssertionError(msg)


def predict(kernel: Kernel, x: NDArray[Any], batch_size: int | None) -> NDArray[Any]:
    """Return the class with the largest output for each row of ``x`` (rows, n_in): (rows,). None: one at a time."""
    if batch_size is None:
        return np.array([int(np.argmax(_to_host(kernel, kernel.forward_one(kernel.from_host(row))))) for row in x])
    batches = [x[start : start + batch_size] for start in range(0, len(x), batch_size)]
    return np.concatenate([_to_host(kernel, kernel.forward(kernel.from_host(x))).argmax(axis=1) for x in batches])
