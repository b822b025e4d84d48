"""The gate in Python: whether a kernel agrees with the reference, by name or as a class that was just written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.measure import verdict
from mlpbench.bench.record.schema import Accuracy
from mlpbench.kernels import registry
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.own import files


@dataclass(frozen=True)
class Check:
    """What the gate found. ``verdict``: "conforms", "non-conforming" or "unavailable", and then the ``reason``.

    ``max_error``: the largest error of an output; ``of_allowed``: as a share of what is allowed there. ``accuracy``:
    the share of rows answered right, one at a time and in batches, None without labels.
    """

    kernel: str
    verdict: str
    reason: str | None = None
    max_error: float | None = None
    of_allowed: float | None = None
    accuracy_one_at_a_time: float | None = None
    accuracy_in_batches: float | None = None

    @property
    def conforms(self) -> bool:
        """Whether the kernel agrees with the reference."""
        return self.verdict == "conforms"


def check(kernel: str | type[Kernel], **options: Any) -> Check:
    """Hold a kernel against the float64 reference, in this process, before anything is timed.

    ``kernel``: a name, ``./mine.py:fast``, or a class of `mlpbench.kernels.base.Kernel`. ``options``: those of
    `mlpbench check` about what is computed, as ``spec="784-1024-10", dtype="float64"``, or ``model="net.onnx"``.
    Raises UserError for bad options and unknown kernels.
    """
    for option in options:
        registry.one_of("option", option, Options.__dataclass_fields__)
    name = kernel
    if not isinstance(name, str):
        name = f"{name.__name__}-{id(name):x}"  # a cell of a notebook runs again: another class of the same name
        registry.add(name, kernel)  # type: ignore[arg-type]  # it is the class
    name = registry.give(name)  # an unknown name ends it before anything else
    workload = Workload(Options(**{name: str(value) for name, value in options.items() if value is not None}))
    _ = workload.inputs, workload.params  # and so is bad input
    # One in a file may end its process, or not end.
    found = verdict.ask(workload.options, name) if name in files.given() else verdict.here(workload, name)
    near, hits = found.conformance.get, found.accuracy or Accuracy()
    name = kernel if isinstance(kernel, str) else kernel.__name__
    errors, shares = (near("max_error"), near("max_error_ratio")), (hits.per_sample, hits.batched)
    return Check(name, found.verdict, found.reason, *errors, *shares)
