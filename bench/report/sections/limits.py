"""The section on where kernels stand: beside the best peers of their kind, and beside the machine's limits."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from mlpbench.bench import words
from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.limits import BesidePeers, Conditions, Limits, LimitShare
from mlpbench.bench.groups import grouped
from mlpbench.bench.report.document import Block, Figure, Fold, Paragraph, Points, Table, columns
from mlpbench.bench.report.parts import Findings, Part

_LIKE = (
    "Like for like: a kernel that returns a new array is compared with peers that do, and a kernel that keeps its "
    "output buffer with peers that keep theirs. A ratio is the best peer's time / the kernel's, "
    "paired by repeat: above 1, the kernel is faster."
)
_BEST = (
    "The best peer is chosen at each batch size by its median, after the fact. That favours the peers: of several "
    "medians the shortest is a little too short."
)
_LIMITS = (
    "A limit has as many threads as the kernel uses. It is the median round in the same repeat or, where it was "
    "measured once, the best round at the run's end. FLOP/s count the matrix products and biases alone. A call's "
    "cost is the time of the same kernel on two neurons a layer."
)
_WHAT = {
    "peak": "FLOP/s / multiply-adds in registers",
    "product": "FLOP/s / a square matrix product",
    "floor": "time of a call / weights read from {memory} and one call's cost",
}
_TOO_LOW = "not believed: the peak was measured too low"
_RETURNS = {"new": "new array", "kept": "kept"}


_READING = (
    "The best peer's time / the kernel's, paired by repeat: above the dashed line at 1x the kernel is faster. Whiskers "
    "are 95 % intervals; both axes are logarithmic. Point at a symbol to see the peer."
)


def blocks(found: Sequence[Limits]) -> tuple[Block, ...]:
    """Return the section's content; nothing without any. On a page the tables are behind folds."""
    if not found:
        return ()
    how = Points((_LIKE, _BEST, *[_LIMITS] * any(one.shares for one in found)))
    missing = tuple(_missing(found))
    ratios, shares = (list(filter(None, kind)) for kind in zip(*_pairs(found), strict=True))
    drawn: list[Block] = []
    if ratios:
        first, *others = ratios
        drawn = [Paragraph(verdict(found)), Figure("peers", "Beside the best peer", _READING, first, found)]
        drawn += [Fold("The ratios of the other settings", tuple(others))] * bool(others)
    drawn += [Fold("Against the machine's limits", tuple(shares))] * bool(shares)
    conditions: tuple[Block, ...] = (how, *map(Paragraph, measured_with(found)), *[Points(missing)] * bool(missing))
    return (*drawn, Fold("How this was measured, and what is missing", conditions))


def verdict(found: Sequence[Limits]) -> str:
    """Return in how many places kernels are faster than the best peer, slower, or not told apart from it."""
    ratios = [place.ratio for one in found for row in one.rows for place in row.places]
    faster, slower = sum(ratio.low > 1 for ratio in ratios), sum(ratio.high < 1 for ratio in ratios)
    close = len(ratios) - faster - slower
    places = "places" if len(ratios) != 1 else "place"
    return (
        f"Beside the best peer, ours are faster in {faster} of {len(ratios)} {places}, slower in {slower}, and too "
        f"close to call in {close}."
    )


def _missing(found: Sequence[Limits]) -> Iterator[str]:
    """Yield what could not be said, once, with the settings of which it could not."""
    settings = grouped((line, setting_words(one.setting)) for one in found for line in one.missing)
    for line, whose in settings.items():
        where = "" if len(whose) == len(found) else f" ({'; '.join(whose)})"
        yield f"{line[0].upper()}{line[1:]}{where}."


def setting_words(setting: Conditions) -> str:
    """Return network, threads given, dtype and data: ``784-50-100-10, 1 thread, float32, mnist``."""
    return f"{setting.spec}, {words.things(setting.threads, 'thread')}, {setting.dtype}, {setting.data}"


def apart(settings: Sequence[Conditions]) -> list[str]:
    """Return what tells settings apart, as `setting_words` of what differs among them."""
    parts = [(one.started or "", *setting_words(one).split(", ")) for one in settings]
    differs = [len(set(values)) > 1 for values in zip(*parts, strict=True)]
    return [", ".join(value for value, tells in zip(one, differs, strict=True) if tells) for one in parts]


def measured_with(found: Sequence[Limits]) -> list[str]:
    """Return when, where and with which versions, a sentence for each that differs, with its repeats."""
    repeats: dict[str, list[int]] = {}
    for setting in (one.setting for one in found):
        versions = ", ".join(f"{name} {version}" for name, version in setting.versions.items())
        when = f"Measured on {setting.started[:10]}" if setting.started else "Measured"
        repeats.setdefault(f"{when}: {setting.machine}; {versions}", []).append(setting.repeats)
    ends = {said: (min(counts), max(counts)) for said, counts in repeats.items()}
    return [
        f"{said}; {'' if least == most else f'{least} to '}{words.things(most, 'repeat')}, medians with 95 % intervals."
        for said, (least, most) in ends.items()
    ]


def tables(found: Sequence[Limits]) -> list[Table]:
    """Return for each network, dtype and data of a sweep a table of ratios and one of limits, with all its threads."""
    return [table for pair in _pairs(found) for table in pair if table]


def _pairs(found: Sequence[Limits]) -> Iterator[tuple[Table | None, Table | None]]:
    alike: dict[tuple[str | None, str, str], list[Limits]] = {}
    for one in found:
        setting = one.setting
        name = f"{setting.spec}, {setting.dtype}, {setting.data}"
        alike.setdefault((setting.started, setting.machine, name), []).append(one)
    names = [name for _, _, name in alike]
    for (started, _, name), group in alike.items():
        # Several sweeps of one network: by the time of each.
        which = f"{name}, started {started}" if names.count(name) > 1 and started else name
        yield (
            _ratio_table(which, group) if any(one.rows for one in group) else None,
            _share_table(which, group) if any(one.shares for one in group) else None,
        )


def _share_table(which: str, found: Sequence[Limits]) -> Table:
    rows = tuple((share.kernel, *_share(share)) for one in found for share in one.shares)
    names = ("threads", "batch size", "value", "limit measured")
    return Table(f"Against the machine's limits: {which}.", columns(("kernel", "what"), names), rows, heads=2)


def _ratio_table(which: str, found: Sequence[Limits]) -> Table:
    """Return one line for each kernel: threads given, ratios, and the best peers by name."""
    sizes = sorted({place.batch_size for one in found for row in one.rows for place in row.places})
    rows = tuple(
        (row.kernel, _RETURNS[row.returns], _threads(row, one.setting), *_cells(row, sizes), _peers(row))
        for one in found
        for row in one.rows
    )
    numbers = ("threads", *(f"batch {size:,}" for size in sizes))
    caption = f"Best peer's time / the kernel's, like for like: {which}."
    return Table(caption, columns(("kernel", "results"), numbers, ["best peer"]), rows, heads=3)


def _threads(row: BesidePeers, setting: Conditions) -> str:
    """Return the threads that the peers were given, and how many of as many the kernel used if fewer: ``1 of 2``."""
    return str(setting.threads) if row.threads in (None, setting.threads) else f"{row.threads} of {setting.threads}"


def _cells(row: BesidePeers, sizes: Sequence[int]) -> Iterator[str]:
    there = {place.batch_size: words.ratio(place.ratio) for place in row.places}
    return (there.get(size, "no peer") for size in sizes)


def _peers(row: BesidePeers) -> str:
    """Return the best peers, the most frequent first, the others with their batch sizes."""
    sizes = grouped((place.peer, f"{place.batch_size:,}") for place in row.places)
    first, *others = sorted(sizes, key=lambda peer: -len(sizes[peer]))
    return "; ".join([first, *(f"{peer} at {', '.join(sizes[peer])}" for peer in others)])


def _share(share: LimitShare) -> tuple[str, ...]:
    what = _WHAT[share.what].format(memory=share.memory)
    value = words.share(share.ratio) if share.what == "peak" else words.ratio(share.ratio)
    when = "once, at the start" if share.once else f"in {words.things(share.ratio.n, 'repeat')}"
    return what, str(share.threads), f"{share.batch_size:,}", value, when if share.believed else f"{when}; {_TOO_LOW}"


def by_run(found: Findings) -> tuple[Limits | None, ...]:
    """Return where the kernels of each run stand, None of a run without peers and limits."""
    pairs = zip(found.by_run, found.beside, strict=True)
    return tuple(limits.find(run, own, beside) for (run, own), beside in pairs)


def _known(found: Findings) -> tuple[Limits, ...]:
    return tuple(filter(None, found.of(by_run)))


def _answer(found: Findings) -> str | None:
    known = _known(found)
    return verdict(known) if any(row.places for one in known for row in one.rows) else None


SECTIONS = (
    Part(
        30,
        "limits",
        "Beside other runtimes and the machine's limits",
        lambda found: blocks(_known(found)),
        asked=lambda found: found.profile == "limits",
        answer=_answer,
        data={"limits": lambda found: [words.plain(asdict(one)) for one in _known(found)]},
    ),
)
