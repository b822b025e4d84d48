"""Where the gain is calls and where it is bandwidth, in sentences and in rows: for the command and for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench import words as units
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.explain_words import percent, share_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlpbench.bench.analysis.bandwidth import Group, Place


#: What makes the gain, in a word.
CAUSE_WORDS = {
    "calls": "calls",
    "weights": "bandwidth",
    "arithmetic": "arithmetic units",
    "unexplained": "something unexplained",
}

#: The columns of a table of places: those that name the row, what makes the gain, and the numbers.
NAMES = ("kernel", "network", "weights in")
FINDING = "the gain is"
NUMBERS = ("speedup", "saved", "calls", "weights", "arithmetic", "unexplained")
CAPTION = (
    "What the gain is made of, by the level of memory that holds the weights. Saved is per sample, in batches against "
    "one at a time, and calls saved, weights reused, better use of the arithmetic units and what is unexplained are "
    "shares of it. Reading that is hidden behind arithmetic is counted fully, and unexplained is then below 0."
)


def heading(found: Group) -> str:
    """Return what is compared, where there are several groups."""
    threads = "an unknown number of threads" if found.threads is None else _threads(found.threads)
    return f"{threads}, {found.kind}, on {found.machine}"


def row(place: Place) -> tuple[str, ...]:
    """Return the cells of a place: `NAMES`, `FINDING`, `NUMBERS`."""
    parts = place.attribution
    found = " and ".join(CAUSE_WORDS[name] for name in place.causes) or f"not clear: {place.unclear}"
    head = (place.kernel, place.spec, place.level, found)
    if parts is None:
        return (*head, *("not known",) * 2, *("",) * len(PARTS))
    gain = "not known" if parts.gain is None else units.ratio(parts.gain)
    return (*head, gain, units.seconds(parts.saved_s), *(share_words(parts.share(name)) for name in PARTS))


def sentences(found: Group) -> list[str]:
    """Return one sentence for each network, the nearest first, and then where "bus bandwidth" is right."""
    lines = [_of_spec(found.of(spec)) for spec in found.specs]
    if any(place.disturbed for place in found.places):
        lines.append(
            "Something else ran while roofs were measured: shares of weights reused are not to be trusted there."
        )
    return [*lines, _verdict(found)]


def _of_spec(places: Sequence[Place]) -> str:
    first = places[0]
    head = f"{first.spec}, {units.data_size(first.weight_bytes)} of weights in {first.level}"
    clear = [place for place in places if place.causes]
    by_cause = {place.causes: [other for other in clear if other.causes == place.causes] for place in clear}
    said = []
    if clear:
        said.append("the gain is " + "; ".join(_for(same) for same in by_cause.values()))
    unclear = [place for place in places if not place.causes]
    said += [
        f"not clear for {_and([place.kernel for place in unclear if place.unclear == reason])}: {reason}"
        for reason in dict.fromkeys(place.unclear for place in unclear)
    ]
    batches = sorted({p.attribution.batch_size for p in clear if p.attribution and "weights" in p.causes})
    if batches:
        said.append(f"the weights are read once for a batch of {_or(batches)}, and not once for each row")
    return f"{head}: {'; '.join(said)}."


def _for(places: Sequence[Place]) -> str:
    """Return a cause with its kernels and shares: ``calls for numpy (81 %) and numpy-out (80 %)``."""
    cause = _and([CAUSE_WORDS[name] for name in places[0].causes])
    return f"{cause} for {_and([f'{place.kernel} ({_shares(place)})' for place in places])}"


def _shares(place: Place) -> str:
    parts = place.attribution
    return "" if parts is None else _and([percent(parts.share(name) or 0.0) for name in place.causes])


def _verdict(found: Group) -> str:
    """Return where the book's "bus bandwidth" is right, and what it is elsewhere."""
    bus = [place for place in found.places if place.is_bus]
    cache = [place for place in found.places if place.causes == ("weights",) and not place.is_bus]
    other = [place for place in found.places if place.causes and place.causes != ("weights",)]
    unclear = [place for place in found.places if not place.causes]
    right = f'"Bus bandwidth" is right for {_listed(bus)}' if bus else '"Bus bandwidth" is right for none of these'
    lines = [f"{right}."]
    if cache:
        lines.append(f"Bandwidth too, but of a cache and not of the memory: {_listed(cache)}.")
    if other:
        lines.append(f"Something else, or not bandwidth alone: {_listed(other)}.")
    if unclear:
        lines.append(f"Not clear: {_listed(unclear)}.")
    return " ".join(lines)


def _listed(places: Sequence[Place]) -> str:
    """Return networks with their level and kernels: ``784-50-100-10 (L2; numpy, numba)``."""
    by_spec: dict[tuple[str, str], list[str]] = {}
    for place in places:
        by_spec.setdefault((place.spec, place.level), []).append(place.kernel)
    return _and([f"{spec} ({level}; {', '.join(kernels)})" for (spec, level), kernels in by_spec.items()])


def _and(words: Iterable[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def _or(numbers: Iterable[int]) -> str:
    return " or ".join(f"{number:,}" for number in numbers)


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"
