"""Where the gain is bandwidth: kernels on networks whose weights lie in different levels of memory. Knows no files.

The book explains batches by the "bus bandwidth". `bench.analysis.attribution` divides the gain of one kernel on one
network; here the same kernel stands beside itself where its weights lie in L2, in L3 and beyond.

What makes the gain is its largest part, together with the parts that reach it: docs/explain.md has the rule.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlpbench.bench.analysis.attribution import PARTS, Attribution
from mlpbench.bench.analysis.explain import Explanation, KernelExplanation
from mlpbench.bench.analysis.roofline import LEVELS
from mlpbench.bench.cases import CPU


@dataclass(frozen=True)
class Place:
    """A kernel on a network whose weights, ``weight_bytes`` of them, lie in ``level``.

    ``run`` is what texts call the run. ``causes`` make the gain, the largest first; none where ``unclear`` says why.
    """

    run: str
    run_id: str
    spec: str
    kernel: str
    weight_bytes: int
    level: str
    attribution: Attribution | None
    causes: tuple[str, ...]
    unclear: str | None
    disturbed: bool

    @property
    def is_bus(self) -> bool:
        """Whether "bus bandwidth" is right: reading weights from memory, and nothing else, makes the gain."""
        return self.level == "DRAM" and self.causes == ("weights",)


@dataclass(frozen=True)
class Group:
    """What can be compared: one machine, number of threads, activations and dtype (``kind``). The nearest level first.

    Every kernel is there on two networks or more, in different levels.
    """

    machine: str
    threads: int | None
    kind: str
    places: tuple[Place, ...]

    @property
    def by_kernel(self) -> tuple[Place, ...]:
        """The same places kernel by kernel, each with the nearest network first."""
        kernels = list(dict.fromkeys(place.kernel for place in self.places))
        return tuple(sorted(self.places, key=lambda place: kernels.index(place.kernel)))

    def as_dict(self) -> dict[str, Any]:
        """Return what makes the gain where, as JSON can hold it; the parts are in the explanations of the runs."""
        kept = ("kernel", "spec", "level", "weight_bytes", "causes", "unclear", "disturbed", "is_bus")
        places = [{"run": one.run_id} | {name: getattr(one, name) for name in kept} for one in self.by_kernel]
        return {"machine": self.machine, "threads": self.threads, "kind": self.kind, "places": places}


def groups(explanations: Sequence[Explanation]) -> list[Group]:
    """Return what compares levels of memory; nothing where no kernel has weights in two of them.

    Of several runs of the same kernel and network, the last one counts.
    """
    found: dict[tuple[str, int | None, str], dict[tuple[str, str], Place]] = {}
    for one in explanations:
        places = found.setdefault((one.machine, one.threads, one.kind), {})
        places |= {(place.kernel, place.spec): place for place in _places(one)}
    return [Group(*key, kept) for key, places in found.items() if (kept := _comparable(list(places.values())))]


def _comparable(places: list[Place]) -> tuple[Place, ...]:
    levels: dict[str, set[str]] = {}
    for place in places:
        levels.setdefault(place.kernel, set()).add(place.level)
    kept = [place for place in places if len(levels[place.kernel]) > 1]
    return tuple(sorted(kept, key=lambda place: (LEVELS.index(place.level), place.weight_bytes)))


def _places(found: Explanation) -> Iterator[Place]:
    for kernel in found.kernels:
        if kernel.weights_in is not None:
            causes_named, unclear = named(kernel)
            yield Place(
                run=found.run,
                run_id=found.run_id,
                spec=found.spec,
                kernel=kernel.kernel,
                weight_bytes=found.weight_bytes,
                level=kernel.weights_in,
                attribution=kernel.attribution,
                causes=causes_named,
                unclear=unclear,
                disturbed=found.disturbed if kernel.device == CPU else kernel.device in found.disturbed_devices,
            )


def named(kernel: KernelExplanation) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain of a kernel as `causes` does, or why none can be named."""
    if kernel.impossible:
        return (), "it has impossible times"
    return causes(kernel.attribution) if kernel.attribution else ((), kernel.not_explained)


def causes(found: Attribution) -> tuple[tuple[str, ...], str | None]:
    """Return the parts that make the gain, the largest first, and None; or none, and why none is named."""
    parts = {name: part for name, part in found.parts.items() if part is not None}
    (first, largest), *others = sorted(parts.items(), key=lambda item: -item[1].value)
    if first == "unexplained":
        return (), "most of it is unexplained"
    least = largest.value if math.isnan(largest.low) else largest.low
    # Kernels on a device have no network for the arithmetic: it is part of what is unexplained, and beaten with that.
    if set(PARTS) - parts.keys() - {"arithmetic"} and 2 * least < found.saved_s:
        return (), "not every cause was measured"
    rivals = [(name, part) for name, part in others if name != "unexplained" and not found.unsure(name)]
    return (first, *(name for name, part in rivals if max(part.value, part.high) >= least)), None
