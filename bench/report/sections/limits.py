"""The section on where kernels stand: beside the best peers of their kind, and beside the machine's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench import words as units
from mlpbench.bench.analysis.limits_targets import PROFILE
from mlpbench.bench.report.document import Block, Column, Paragraph, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.limits import Limits, Place, Row, Setting, Share
    from mlpbench.bench.analysis.limits_targets import Target
    from mlpbench.bench.stats.estimates import Ratio


_LIKE = (
    "Like for like: a kernel that returns a new array is held beside the peers that do, and one whose results lie in a "
    "buffer that is kept beside the peers that write into theirs. A ratio is the best peer's time / the kernel's, "
    "paired by repeat: above 1, the kernel is faster."
)
_BEST = (
    "The best peer is chosen at each batch size by its median, after the fact. That favours the peers: of several "
    "medians the shortest is a little too short."
)
_LIMITS = (
    "A limit is that of as many threads as the kernel uses: the median round in the same repeat or, where it was "
    "measured once, the best round at the run's start. FLOP/s count the matrix products and biases alone. A call's "
    "cost is that of the same kernel on two neurons a layer."
)
_TARGETS = (
    '"Of 3.5" is a target, at least that, met where the value itself reaches it. Within noise: the 95 % interval '
    "contains the target, and another run may say the opposite."
)
_WHAT = {
    "peak": "FLOP/s / multiply-adds in registers",
    "product": "FLOP/s / a square matrix product",
    "floor": "time of a call / weights read from {memory} and one call's cost",
}
#: What is shown in per cent.
_AS_SHARE = ("peak",)
#: In place of what became of the target.
_TOO_LOW = "not believed: the peak was measured too low"
_RETURNS = {"new": "new array", "kept": "kept"}


def blocks(found: Sequence[Limits]) -> tuple[Block, ...]:
    """Return the section's content, setting after setting; nothing without any."""
    if not found:
        return ()
    shares = any(one.shares for one in found)
    targets = any(one.setting.profile == PROFILE for one in found)
    how = Points((_LIKE, _BEST, *[_LIMITS] * shares, *[_TARGETS] * targets))
    lines = sentences(found)
    missing = tuple(_missing(found))
    return (
        how,
        *([Points(tuple(lines))] if lines else []),
        *map(Paragraph, measured_with(found)),
        *tables(found),
        *([Points(missing)] if missing else []),
    )


def _missing(found: Sequence[Limits]) -> Iterator[str]:
    """Yield what could not be said, once, with the settings of which it could not."""
    settings: dict[str, list[str]] = {}
    for one in found:
        for line in one.missing:
            settings.setdefault(line, []).append(_setting_words(one.setting))
    for line, whose in settings.items():
        where = "" if len(whose) == len(found) else f" ({'; '.join(whose)})"
        yield f"{line[0].upper()}{line[1:]}{where}."


def sentences(found: Sequence[Limits]) -> list[str]:
    """Return how many targets are met, in all and in each setting with those that are not; nothing without any."""
    by_setting = [(one, goals) for one in found if (goals := _goals(one))]
    goals = [goal for _, own in by_setting for goal in own]
    if not goals:
        return []
    near = sum(target.within_noise(ratio) for ratio, target in goals)
    said = [f"{_count(goals)} of {len(goals)} targets are met; {near} of all are within noise."]
    for one, own in by_setting:
        missed = [words for row in one.rows for words in _missed_by(row)]
        missed += [f"{share.kernel}: {_what(share)}" for share in one.shares if _is_missed(share)]
        told = f"{_setting_words(one.setting)}: {_count(own)} of {len(own)}"
        said.append(f"{told}; missed: {'; '.join(missed)}." if missed else f"{told}.")
    return said


def _goals(found: Limits) -> list[tuple[Ratio, Target]]:
    """Return every target with the value that is held to it."""
    shares = [share for share in found.shares if share.believed]
    items: list[Place | Share] = [*(place for row in found.rows for place in row.places), *shares]
    return [(item.ratio, item.target) for item in items if item.target is not None]


def _count(goals: Sequence[tuple[Ratio, Target]]) -> int:
    return sum(target.met(ratio) for ratio, target in goals)


def _is_missed(item: Place | Share) -> bool:
    return item.target is not None and not item.target.met(item.ratio)


def _missed_by(row: Row) -> Iterator[str]:
    sizes = [f"{place.batch_size:,}" for place in row.places if _is_missed(place)]
    if sizes:
        yield f"{row.kernel} in batches of {', '.join(sizes)}"


def _setting_words(setting: Setting) -> str:
    """Return network, threads given, dtype and data: ``784-50-100-10, 1 thread, float32, mnist``."""
    return f"{setting.spec}, {units.things(setting.threads, 'thread')}, {setting.dtype}, {setting.data}"


def measured_with(found: Sequence[Limits]) -> list[str]:
    """Return when, where and with which versions, a sentence for each that differs, with its repeats."""
    repeats: dict[str, list[int]] = {}
    for setting in (one.setting for one in found):
        versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
        when = f"Measured on {setting.started[:10]}" if setting.started else "Measured"
        repeats.setdefault(f"{when}: {setting.machine}; {versions}", []).append(setting.repeats)
    return [f"{said}; {_range(counts)}, medians with 95 % intervals." for said, counts in repeats.items()]


def _range(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return units.things(most, "repeat") if least == most else f"{least} to {most} repeats"


def tables(found: Sequence[Limits]) -> tuple[Table, ...]:
    """Return for each network, dtype and data of a sweep a table of ratios and one of limits, with all its threads."""
    alike: dict[tuple[str | None, str, str], list[Limits]] = {}
    for one in found:
        setting = one.setting
        name = f"{setting.spec}, {setting.dtype}, {setting.data}"
        alike.setdefault((setting.started, setting.machine, name), []).append(one)
    names = [name for _, _, name in alike]
    shown: list[Table] = []
    for (started, _, name), group in alike.items():
        # Several sweeps of one network: by the time of each.
        which = f"{name}, started {started}" if names.count(name) > 1 and started else name
        shown += [_ratio_table(which, group)] if any(one.rows for one in group) else []
        shown += [_share_table(which, group)] if any(one.shares for one in group) else []
    return tuple(shown)


def _goal(ratio: Ratio, target: Target, *, as_share: bool = False) -> str:
    """Return a target and what became of it: ``at least 3.5: met``; as a share, ``at least 93 %: met``."""
    aim = f"{100 * target.value:g} %" if as_share else f"{target.value:g}"
    return f"at {'least' if target.at_least else 'most'} {aim}: {_verdict(ratio, target)}"


def _verdict(ratio: Ratio, target: Target) -> str:
    """Return whether a target is met, and whether that is within noise."""
    said = "met" if target.met(ratio) else "missed"
    return f"{said}, within noise" if target.within_noise(ratio) else said


def _share_table(which: str, found: Sequence[Limits]) -> Table:
    """Return the kernels against the machine's limits."""
    rows = tuple((share.kernel, *_share(share)) for one in found for share in one.shares)
    names = ("threads", "batch size", "value", "target", "limit measured")
    columns = (Column("kernel"), Column("what"), *(Column(name, number=True) for name in names))
    return Table(f"Against the machine's limits: {which}.", columns, rows, heads=2)


def _ratio_table(which: str, found: Sequence[Limits]) -> Table:
    """Return one line for each kernel: threads given, ratios with their targets, and the best peers by name."""
    sizes = sorted({place.batch_size for one in found for row in one.rows for place in row.places})
    rows = tuple(
        (row.kernel, _RETURNS[row.returns], _threads(row, one.setting), *_cells(row, sizes), _peers(row))
        for one in found
        for row in one.rows
    )
    numbers = ("threads", *(f"batch {size:,}" for size in sizes))
    columns = (Column("kernel"), Column("results"), *(Column(name, number=True) for name in numbers))
    caption = f"Best peer's time / the kernel's, like for like: {which}."
    return Table(caption, (*columns, Column("best peer")), rows, heads=3)


def _threads(row: Row, setting: Setting) -> str:
    """Return the threads that the peers were given, and how many of as many the kernel used if fewer: ``1 of 2``."""
    return str(setting.threads) if row.threads in (None, setting.threads) else f"{row.threads} of {setting.threads}"


def _cells(row: Row, sizes: Sequence[int]) -> Iterator[str]:
    """Yield a ratio and what it is held to for each batch size: ``3.59x (3.55 to 3.62), of 3.5``."""
    there = {place.batch_size: place for place in row.places}
    for place in map(there.get, sizes):
        if place is None:
            yield "no peer"
        elif place.target is None:
            yield units.ratio(place.ratio)
        else:
            missed = f": {_verdict(place.ratio, place.target)}" if _is_missed(place) else ""
            yield f"{units.ratio(place.ratio)}, of {place.target.value:g}{missed}"


def _peers(row: Row) -> str:
    """Return the best peers, the most frequent first, the others with their batch sizes."""
    sizes: dict[str, list[str]] = {}
    for place in row.places:
        sizes.setdefault(place.peer, []).append(f"{place.batch_size:,}")
    first, *others = sorted(sizes, key=lambda peer: -len(sizes[peer]))
    return "; ".join([first, *(f"{peer} at {', '.join(sizes[peer])}" for peer in others)])


def _share(share: Share) -> tuple[str, ...]:
    return (_what(share), str(share.threads), f"{share.batch_size:,}", _value(share), _aim(share), _when(share))


def _when(share: Share) -> str:
    return "once, at the start" if share.once else f"in {share.ratio.n} repeat{'' if share.ratio.n == 1 else 's'}"


def _aim(share: Share) -> str:
    if not share.believed:
        return _TOO_LOW
    return "none" if share.target is None else _goal(share.ratio, share.target, as_share=share.what in _AS_SHARE)


def _what(share: Share) -> str:
    return _WHAT[share.what].format(memory=share.memory)


def _value(share: Share) -> str:
    return units.share(share.ratio) if share.what in _AS_SHARE else units.ratio(share.ratio)
