"""Device time beside host latency: what a call takes of the host and of the device, transfers, and what was dropped."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.explain import DeviceShare, Explanation
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.device import DeviceCase, DeviceTimes, Spread
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.document import Block, Points, Table, columns, table_of_runs
from mlpbench.bench.report.parts import Part
from mlpbench.bench.report.sections.explain import limit_words, of_report
from mlpbench.bench.stats.percentiles import calls_needed

_CALLS = ("latency", "enqueue", "cold", "hot", "graph")
_COPIES = ("to_device", "to_device_pinned", "to_device_uint8", "to_host", "to_host_pinned", "to_host_uint8")
_HOST = ("end_to_end", "overlapped")
#: The columns of the tables by the names of `bench.record.device.MEASURES`.
_NAMES = {
    "latency": "host latency",
    "enqueue": "enqueue",
    "cold": "device, cold",
    "hot": "device, hot",
    "graph": "graph replay",
    "to_device": "to device, staged",
    "to_device_pinned": "pinned",
    "to_device_uint8": "bytes",
    "to_host": "to host, staged",
    "to_host_pinned": "pinned ",
    "to_host_uint8": "bytes ",
    "end_to_end": "end to end",
    "overlapped": "overlapped",
}
_CALLING = (
    "Of one call: the median, in brackets the middle 90 % of the samples, and p99 where there are samples enough; "
    "medians over repeats. Host latency is from the call until its result is there, enqueue until the call returns. "
    "Cold and hot are by the device's own clock, with no launch waited for: cold with its cache flushed, hot call "
    "behind call. Graph replay is host latency, of a CUDA graph that was captured once. Share: the least time that the "
    "roof allows with an empty cache and no launch, divided by the cold time."
)
_MOVING = (
    "Of the inputs and results of one call, as above. Staged: as the kernel moves them, through the library. Pinned: "
    "from and to pinned memory. Bytes: the same with a byte for each input, and one for the class of each row."
)
_WHOLE = (
    "From inputs in the host's pinned memory to results there, for one batch, as above: one batch behind the other; "
    "and many of them with copies and calls side by side on three streams."
)


def blocks(runs: Sequence[Run], explanations: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the section's content; nothing where no kernel of the runs named a stream."""
    shares = {
        (found.run_id, kernel.kernel, one.mode, one.batch_size): one
        for found in explanations
        for kernel in found.kernels
        for one in kernel.on_device
    }
    rows = [(run, kernel, found) for run in runs for kernel, found in _by_kernel(run).items()]
    if not rows:
        return ()
    tables = (
        _table(runs, rows, caption, names, shares)
        for caption, names in ((_CALLING, _CALLS), (_MOVING, _COPIES), (_WHOLE, _HOST))
    )
    said = dict.fromkeys(line for row in rows for line in _said(*row, several=len(runs) > 1))
    return (*filter(None, tables), Points(tuple(said)))


def _by_kernel(run: Run) -> dict[str, list[DeviceTimes]]:
    """Return the device times of each repeat of each kernel, of cases that have a time."""
    return grouped((one.kernel, one.device_times) for one in run.records if one.device_times is not None and one.cases)


def _cases(found: Sequence[DeviceTimes]) -> dict[tuple[str, int], list[DeviceCase]]:
    return grouped(((case.mode, case.batch_size), case) for times in found for case in times.cases)


def _table(
    runs: Sequence[Run],
    rows: Sequence[tuple[Run, str, list[DeviceTimes]]],
    caption: str,
    names: Sequence[str],
    shares: Mapping[tuple[str, str, str, int], DeviceShare],
) -> Table | None:
    """Return a table of some measurements; a column that nothing was measured for is left out."""
    cells = [
        ((run.name, kernel, words.case(*at)), {name: _cell(repeats, name) for name in names}, (run.id, kernel, *at))
        for run, kernel, found in rows
        for at, repeats in _cases(found).items()
    ]
    there = [name for name in names if any(of_row[name] for _, of_row, _ in cells)]
    with_share = "cold" in there and any(key in shares for *_, key in cells)
    made = columns(
        ("kernel", "case"), [*(_NAMES[name] for name in there), *["cold share"] * with_share], ["roof"] * with_share
    )
    filled = [
        (*head, *(of_row[name] or "not measured" for name in there), *(_share(shares.get(key)) if with_share else ()))
        for head, of_row, key in cells
    ]
    return table_of_runs(caption, made, filled, heads=2, several=len(runs) > 1) if there else None


def _share(found: DeviceShare | None) -> tuple[str, str]:
    if found is None:
        return "", "no roof was measured"
    return words.percent(found.verdict.share), limit_words(found.verdict)


def _cell(repeats: Sequence[DeviceCase], name: str) -> str:
    """Return a measurement over its repeats: ``12.0 µs (11.8 µs to 12.9 µs; p99 14.1 µs)``."""
    found = [one.times[name] for one in repeats if name in one.times]
    if not found:
        return ""
    low, middle, high, worst = (words.seconds(value) for value in percentiles(found).values())
    enough = all(one.samples >= calls_needed(0.99) for one in found)
    return f"{middle} ({low} to {high}{f'; p99 {worst}' if enough else ''})"


def percentiles(repeats: Sequence[Spread]) -> Mapping[str, float]:
    """Return the medians over repeats of p5, p50, p95 and p99, in seconds."""
    names = ("p5_s", "p50_s", "p95_s", "p99_s")
    return {name: median(getattr(one, name) for one in repeats) for name in names}


def _said(run: Run, kernel: str, found: Sequence[DeviceTimes], *, several: bool) -> Iterator[str]:
    """Yield what there is to say about the measurements of one kernel: the rule, what was dropped, what is missing."""
    of = f"{kernel} in {run.title}" if several else kernel
    yield f"{found[0].rule[0].upper()}{found[0].rule[1:]}."
    cases = [case for times in found for case in times.cases]
    dropped, samples = sum(one.dropped for one in cases), sum(one.samples for one in cases)
    if dropped:
        low = sum(one.throttled for one in cases)
        why = f"{low:,} at a lowered clock, {dropped - low:,} because the host was not ready in time"
        yield f"{of}: {dropped:,} of {dropped + samples:,} samples were dropped: {why}."
    reasons: dict[str, dict[str, None]] = {}
    for case in cases:
        for name, lost in case.lost.items():
            reasons.setdefault(lost.reason, {})[_NAMES.get(name, name).strip()] = None
    for reason, names in reasons.items():
        yield f"{of}: not measured, {words.listed(names)}: {reason}."
    yield from (f"{of}: {line}" for line in dict.fromkeys(line for times in found for line in _card(times)))


def _card(found: DeviceTimes) -> Iterator[str]:
    card = found.card
    if card.sm_mhz is not None:
        low, high = card.sm_mhz
        most = f" of {card.most_mhz:,.0f}" if card.most_mhz else ""
        why = f"; its clock was lowered for {words.listed(card.slowed)}" if card.slowed else ""
        yield f"the card ran at {low:,.0f} to {high:,.0f}{most} MHz{why}."
    if card.others:
        yield f"{words.things(card.others, 'other process', 'other processes')} computed on the card."
    if card.reason:
        yield f"the card's clock was not watched: {card.reason}."


SECTIONS = (
    Part(70, "device", "Device time beside host latency", lambda found: blocks(found.runs, found.of(of_report))),
)
