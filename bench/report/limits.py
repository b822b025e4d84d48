"""The section on where kernels stand: beside the best peers of their kind, and beside the machine's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import units
from bench.limits_targets import PROFILE
from bench.report.document import Block, Column, Paragraph, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.limits import Limits, Place, Row, Setting, Share
    from bench.limits_targets import Target
    from bench.statistics import Ratio

__all__ = ["blocks", "measured_with", "peer_table", "sentences", "setting_words", "share_table"]

_LIKE = (
    "Like for like: a kernel that returns a new array is held beside the peers that do, and one whose results lie in a "
    "buffer that is kept beside the peers that write into theirs. A ratio is the best peer's time / the kernel's, "
    "paired by repeat: above 1, the kernel is faster."
)
_BEST = (
    "The best peer is chosen at each batch size by its median, after the fact. That favours the peers: of several "
    "medians the shortest is a little too short."
)
_TARGETS = (
    "A target is met where the value itself reaches it. Within noise: the 95 % interval contains the target, and "
    "another run may say the opposite."
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
_RETURNS = {"new": "new array", "kept": "buffer kept"}


def blocks(found: Sequence[Limits]) -> tuple[Block, ...]:
    """Return the section's content, setting after setting; nothing without any."""
    if not found:
        return ()
    targets = any(one.setting.profile == PROFILE for one in found)
    how = Points((_LIKE, _BEST, _TARGETS) if targets else (_LIKE, _BEST))
    lines = sentences(found)
    said = dict.fromkeys(measured_with(one.setting) for one in found)
    return (
        how,
        *([Points(tuple(lines))] if lines else []),
        *map(Paragraph, said),
        *(block for one in found for block in _of_run(one)),
    )


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
        told = f"{setting_words(one.setting)}: {_count(own)} of {len(own)}"
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


def _of_run(found: Limits) -> Iterator[Block]:
    if found.rows:
        yield peer_table(found)
    if found.shares:
        yield share_table(found)
    if found.missing:
        yield Points(tuple(f"{line[0].upper()}{line[1:]}." for line in found.missing))


def setting_words(setting: Setting) -> str:
    """Return network, threads given, dtype and data: ``784-50-100-10, 1 thread, float32, mnist``."""
    threads = f"{setting.threads} thread{'' if setting.threads == 1 else 's'}"
    return f"{setting.spec}, {threads}, {setting.dtype}, {setting.data}"


def measured_with(setting: Setting) -> str:
    """Return when, where and with which versions, as one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
    when = f"Measured on {setting.started[:10]}" if setting.started else "Measured"
    repeats = f"{setting.repeats} repeat{'' if setting.repeats == 1 else 's'}"
    return f"{when}: {setting.machine}; {versions}; {repeats}, medians with 95 % intervals."


def peer_table(found: Limits) -> Table:
    """Return the ratios to the best peers: for each kernel a line of ratios, one of peers, and one of its targets."""
    sizes = sorted({place.batch_size for row in found.rows for place in row.places})
    rows = tuple(line for row in found.rows for line in _lines(row, sizes))
    columns = (Column("kernel"), Column("what"), *(Column(f"batch {size:,}", number=True) for size in sizes))
    caption = f"Best peer's time / the kernel's, like for like: {setting_words(found.setting)}."
    return Table(caption, columns, rows, heads=2)


def _lines(row: Row, sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    there = {place.batch_size: place for place in row.places}

    def line(name: str, text: Any) -> tuple[str, ...]:
        return (row.kernel, name, *(text(there[size]) if size in there else "no peer" for size in sizes))

    used = "" if row.threads is None else f", {row.threads} thread{'' if row.threads == 1 else 's'}"
    yield line(f"ratio ({_RETURNS[row.returns]}{used})", lambda place: units.ratio(place.ratio))
    yield line("best peer", lambda place: place.peer)
    if any(place.target for place in row.places):
        yield line("target", _target)


def _target(place: Place) -> str:
    return "none" if place.target is None else _goal(place.ratio, place.target)


def _goal(ratio: Ratio, target: Target, *, as_share: bool = False) -> str:
    """Return a target and what became of it: ``at least 3.5: met``; as a share, ``at least 93 %: met``."""
    aim = f"{100 * target.value:g} %" if as_share else f"{target.value:g}"
    return f"at {'least' if target.at_least else 'most'} {aim}: {_verdict(ratio, target)}"


def _verdict(ratio: Ratio, target: Target) -> str:
    """Return whether a target is met, and whether that is within noise."""
    said = "met" if target.met(ratio) else "missed"
    return f"{said}, within noise" if target.within_noise(ratio) else said


def share_table(found: Limits) -> Table:
    """Return the kernels against the machine's limits."""
    rows = tuple((share.kernel, *_share(share)) for share in found.shares)
    names = ("threads", "batch size", "value", "target", "limit measured")
    columns = (Column("kernel"), Column("what"), *(Column(name, number=True) for name in names))
    caption = (
        "Against the machine's limits with as many threads as the kernel uses: the median round in the same repeat or, "
        "where it was measured once, the best round at the run's start. FLOP/s count the matrix products and biases "
        "alone. A call's cost is that of the same kernel on two neurons a layer."
    )
    return Table(caption, columns, rows, heads=2)


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
