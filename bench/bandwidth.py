"""Where the gain is bandwidth: kernels on networks whose weights lie in different levels of memory. Knows no files.

The book explains batches by the "bus bandwidth". `bench.attribution` divides the gain of one kernel on one network;
here the same kernel stands beside itself where its weights lie in L2, in L3 and beyond.

What makes the gain is named by this rule. The largest cause stands alone where the low end of its interval is above the
high end of the next one's, even if all that is unexplained belonged to the next. Else all causes that come so near are
named together. Nothing is named where more than half as much is unexplained as the largest cause explains, where a
cause was not measured, from a single repeat, and of a kernel with times that cannot be. The part of the weights has no
interval (there is one set of roofs a run) and counts as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.roofline import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.attribution import Attribution, Part
    from bench.explain import Explanation, KernelExplanation

__all__ = ["CAUSES", "Group", "Place", "causes", "groups"]

CAUSES = ("calls", "weights", "arithmetic")
#: More unexplained than this share of the largest cause is too much to name it.
MOST_UNEXPLAINED = 0.5


@dataclass(frozen=True)
class Place:
    """A kernel on a network whose weights, ``weight_bytes`` of them, lie in ``level``.

    ``causes`` make the gain, the largest first; none where ``unclear`` says why.
    """

    run: str
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
    def specs(self) -> tuple[str, ...]:
        """The networks, the nearest first."""
        return tuple(dict.fromkeys(place.spec for place in self.places))

    def of(self, spec: str) -> tuple[Place, ...]:
        """Return the kernels on one network."""
        return tuple(place for place in self.places if place.spec == spec)


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
            named, unclear = _named(kernel)
            yield Place(
                run=found.run,
                spec=found.spec,
                kernel=kernel.kernel,
                weight_bytes=found.weight_bytes,
                level=kernel.weights_in,
                attribution=kernel.attribution,
                causes=named,
                unclear=unclear,
                disturbed=found.disturbed,
            )


def _named(kernel: KernelExplanation) -> tuple[tuple[str, ...], str | None]:
    if kernel.impossible:
        return (), "it has times that cannot be"
    if kernel.attribution is None:
        return (), next((reason for reason in kernel.missing if reason.startswith("no attribution")), "no attribution")
    return causes(kernel.attribution)


def causes(found: Attribution) -> tuple[tuple[str, ...], str | None]:
    """Return the causes that make the gain, the largest first, and None; or no cause, and why none is named."""
    if found.saved_s <= 0:
        return (), "batching saves nothing"
    parts = {name: part for name in CAUSES if (part := found.parts[name]) is not None}
    rest = found.parts["unexplained"]
    if len(parts) < len(CAUSES) or rest is None:
        return (), "not every cause was measured"
    if math.isnan(rest.low):
        return (), "one repeat has no interval"
    ordered = sorted(parts, key=lambda name: -parts[name].value)
    largest = parts[ordered[0]]
    if abs(rest.value) > MOST_UNEXPLAINED * largest.value:
        return (), "too much is unexplained"
    near = [name for name in ordered[1:] if _end(parts[name], "high") + abs(rest.value) >= _end(largest, "low")]
    return (ordered[0], *near), None


def _end(part: Part, end: str) -> float:
    """Return an end of the interval, the value where there is none."""
    found: float = getattr(part, end)
    return part.value if math.isnan(found) else found
