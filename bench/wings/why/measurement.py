"""What a call of a kernel costs, and how well it calculates, measured on small networks in the same process.

With two neurons a layer, the time is that of the calls alone; with weights that fit the first-level cache, there is no
memory to wait for. Both are timed after the cases, and are no cases: they are the field ``anatomy`` of the record.
"""

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
from msgspec import structs

from mlpbench.bench.cases import CPU, PER_SAMPLE_ROWS, Case
from mlpbench.bench.clock import short_rounds
from mlpbench.bench.machine import environment
from mlpbench.bench.measure.case import Contestant, prepare
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.device import Anatomy, SmallNetwork
from mlpbench.bench.record.fields import Network
from mlpbench.kernels import conformance
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec

#: So many repeats have them: the parts of a gain need an interval.
REPEATS = 3
ROUNDS, ROUND_S = 11, 0.001

CASES = {
    "two_neurons": (Case("per_sample", 100), Case("batched", 1)),
    "in_l1": (Case("per_sample", 100), Case("batched", 100)),
}


def of_kernel(suite: Suite, contestant: Contestant, _: object) -> dict[str, Any]:
    """Return the field ``anatomy`` of the record; in the first repeat, note what the harness costs."""
    if suite.repeat == 0:
        suite.trust = structs.replace(suite.trust, call_costs_s=harness_s())
    if suite.repeat >= REPEATS:
        return {}
    return {"anatomy": measure(type(contestant.kernel), suite.workload.spec)}


def in_l1(spec: ForwardSpec, l1_bytes: int) -> ForwardSpec:
    """Return the specification with fewer inputs, or neurons, so that its weights fit a cache of ``l1_bytes``."""
    budget = int(0.75 * l1_bytes)  # the rest is for a row and its sums
    if spec.weight_bytes() <= budget:
        return spec
    column = spec.sizes[1] * spec.np_dtype.itemsize
    inputs = (budget - (spec.weight_bytes() - spec.n_in * column)) // column
    if inputs >= 16:  # a product over fewer is all beginning and end
        return replace(spec, sizes=(inputs, *spec.sizes[1:]))
    factors, narrowest = np.geomspace(1, 1e-5, 500), replace(spec, sizes=(1,) * len(spec.sizes))
    shrunk = (replace(spec, sizes=tuple(max(1, int(n * factor)) for n in spec.sizes)) for factor in factors)
    return next((small for small in shrunk if small.weight_bytes() <= budget), narrowest)


def measure(kernel_class: type[Kernel], spec: ForwardSpec) -> Anatomy:
    """Return the small networks of a kernel, timed, or a reason; on a device the first alone, as L1 is the CPU's."""
    small = {"two_neurons": replace(spec, sizes=(2,) * len(spec.sizes))}
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
    rounds = ((case, short_rounds(prepare(kernel, case, x).call, ROUNDS, ROUND_S)[1]) for case in cases)
    one_s, batch_s = (tuple(call_s / case.batch_size for call_s in seconds) for case, seconds in rounds)
    return SmallNetwork(network=Network(**spec.as_dict()), batch_size=cases[1].batch_size, one_s=one_s, batch_s=batch_s)


class NullKernel(Kernel):
    """Computes nothing: what is timed is the harness and one call of an empty method."""

    backend = "none"

    def __init__(self) -> None:  # no specification and no parameters: nothing is computed
        self.result = np.zeros(10, np.float32)

    def forward(self, x: Any) -> Any:  # noqa: ARG002 - the contract's argument
        """Return the same array, whatever ``x`` is."""
        return self.result

    forward_one = forward


def harness_s() -> dict[str, float]:
    """Return the seconds of a call of the null kernel by mode, behind the same preparation as any other: some 60 ms."""
    x, costs_s = np.zeros((2 * PER_SAMPLE_ROWS, 1), np.float32), {}
    for mode, calls in (("per_sample", PER_SAMPLE_ROWS), ("batched", 1)):
        _, seconds = short_rounds(prepare(NullKernel(), Case(mode, PER_SAMPLE_ROWS), x).call, 15, 0.001)
        costs_s[mode] = statistics.median(seconds) / calls
    return costs_s
