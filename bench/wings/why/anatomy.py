"""What a call of a kernel costs, and how well it calculates, measured on small networks in the same process.

With two neurons a layer, the time is that of the calls alone: of one, libraries may take other ways for arrays of one
item. With the sizes reduced until its weights lie in the first-level cache, there is no memory to wait for. Both are
timed as the cases are, after them, but they are no cases: they are the field ``anatomy`` of the record, and have no
place in a sweep, a comparison or a table of speedups.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from mlpbench.bench.cases import CPU, Case
from mlpbench.bench.clock import short_rounds
from mlpbench.bench.machine import environment
from mlpbench.bench.measure.case import prepare
from mlpbench.bench.record.fields import Network
from mlpbench.bench.record.roofs import Anatomy, SmallCase, SmallNetwork
from mlpbench.kernels import conformance
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

#: Repeats of a run that have them: the parts of a gain need an interval, which one repeat does not give.
REPEATS = 3
#: Of each case.
ROUNDS, ROUND_S = 11, 0.001

CASES = {
    "two_neurons": (Case("per_sample", 100), Case("batched", 1)),
    "in_l1": (Case("per_sample", 100), Case("batched", 100)),
}


def narrow(spec: ForwardSpec, neurons: int) -> ForwardSpec:
    """Return the specification with the same layers, activations and dtype, and so few neurons in each layer."""
    return replace(spec, sizes=(neurons,) * len(spec.sizes))


def in_l1(spec: ForwardSpec, l1_bytes: int) -> ForwardSpec:
    """Return the specification with fewer neurons, so that its weights lie in a first-level cache of ``l1_bytes``.

    If the layers behind the first one leave room, only the inputs become fewer: the widths, and so the way in which a
    kernel divides them, stay. Otherwise all sizes shrink by one factor.
    """
    budget = int(0.75 * l1_bytes)  # the rest is for a row and its sums
    if spec.weight_bytes() <= budget:
        return spec
    column = spec.sizes[1] * spec.np_dtype.itemsize
    inputs = (budget - (spec.weight_bytes() - spec.n_in * column)) // column
    if inputs >= 16:  # a product over fewer is all beginning and end
        return replace(spec, sizes=(inputs, *spec.sizes[1:]))
    factors = np.geomspace(1, 1e-5, 500)
    shrunk = (replace(spec, sizes=tuple(max(1, int(n * factor)) for n in spec.sizes)) for factor in factors)
    return next((small for small in shrunk if small.weight_bytes() <= budget), narrow(spec, 1))


def measure(kernel_class: type[Kernel], spec: ForwardSpec) -> Anatomy:
    """Return the small networks of a kernel, timed.

    A network that the kernel does not compute rightly, or at all, is None, with the reason: nothing is timed before it
    has agreed with the reference. A kernel on another device has the first network alone: the CPU's first-level cache
    says nothing about it, and CuPy multiplies two single numbers by other code than matrices.
    """
    small = {"two_neurons": narrow(spec, 2)}
    if kernel_class.device == CPU:
        small["in_l1"] = in_l1(spec, environment.machine().caches.get("L1d", 32 * 1024))  # or the least of this decade
    timed: dict[str, SmallNetwork] = {}
    reason = None
    for name, small_spec in small.items():
        try:
            timed[name] = _timed(kernel_class, small_spec, CASES[name])
        except Exception as error:  # noqa: BLE001 - a kernel may raise anything; it has been timed on its own network
            reason = f"{small_spec.label()}: {type(error).__name__}: {error}"
    return Anatomy(reason=reason, **timed)


def _timed(kernel_class: type[Kernel], spec: ForwardSpec, cases: tuple[Case, ...]) -> SmallNetwork:
    params = seeded(spec)
    kernel = kernel_class(spec, params)
    x = kernel.nearest(conformance.probe_inputs(spec, 200, seed=0))
    conformance.agree(kernel, params, x, rows=conformance.SINGLE_ROWS)
    conformance.agree(kernel, params, x, singly=True, rows=conformance.SINGLE_ROWS)
    return SmallNetwork(Network(**spec.as_dict()), tuple(_case(kernel, case, x) for case in cases))


def _case(kernel: Kernel, case: Case, x: Any) -> SmallCase:
    _, seconds = short_rounds(prepare(kernel, case, x).call, ROUNDS, ROUND_S)
    return SmallCase(case.mode, case.batch_size, tuple(seconds))
