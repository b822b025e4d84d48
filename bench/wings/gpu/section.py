"""Device time beside host latency: what a call takes of the host and of the device, transfers, and what was dropped."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.device import DeviceCase, DeviceTimes
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.document import Block, Findings, Part, Table, table

#: The columns of each table, by the names of `bench.record.device.MEASURES`.
_CALLS = {
    "latency": "host latency",
    "enqueue": "enqueue",
    "cold": "device, cold",
    "hot": "device, hot",
    "graph": "graph replay",
}
_COPIES = {
    "to_device": "to device, staged",
    "to_device_pinned": "pinned",
    "to_device_uint8": "bytes",
    "to_host": "to host, staged",
    "to_host_pinned": "pinned ",
    "to_host_uint8": "bytes ",
}
_HOST = {"end_to_end": "end to end", "overlapped": "overlapped"}
_TABLES = {
    "One call: the median, in brackets the middle 90 % of the samples, and p99 where there are samples enough; medians "
    "over repeats. Host latency is until the result is there, enqueue until the call returns. Cold and hot are by the "
    "device's own clock: cold with its cache flushed, hot call behind call.": _CALLS,
    "The inputs and results of one call, as above. Staged: as the kernel moves them, through the library. Pinned: from "
    "and to pinned memory. Bytes: the same with a byte for each input, and one for the class of each row.": _COPIES,
    "From inputs in the host's pinned memory to results there, for one batch, as above: one behind the other, and "
    "many with copies and calls side by side on three streams.": _HOST,
}
_NAMES = _CALLS | _COPIES | _HOST
#: The fewest for which MLPerf's rule bounds a p99 with 99 % confidence, as in `mlpbench.bench.wings.latency`.
P99_SAMPLES = 662


def blocks(findings: Findings) -> tuple[Block, ...]:
    """Return the section's content; nothing where no kernel of the runs named a stream."""
    kernels = [(run, kernel, times) for run in findings.runs for kernel, times in _by_kernel(run).items()]
    if not kernels:
        return ()
    tables = (_table(kernels, *item, several=findings.several) for item in _TABLES.items())
    texts = dict.fromkeys(text for of_kernel in kernels for text in _sentences(*of_kernel, several=findings.several))
    return (*filter(None, tables), tuple(texts))


def _by_kernel(run: Run) -> dict[str, list[DeviceTimes]]:
    """Return the device times of each repeat of each kernel, of cases that have a time."""
    timed = (record for record in run.records if record.cases)
    return grouped((record.kernel, record.device_times) for record in timed if record.device_times is not None)


def _table(
    kernels: Sequence[tuple[Run, str, list[DeviceTimes]]], caption: str, names: Mapping[str, str], *, several: bool
) -> Table | None:
    """Return a table of some measurements; a column that nothing was measured for is left out."""
    cases = [
        ((run.name, kernel, words.case(*at)), [_cell(repeats, name) for name in names])
        for run, kernel, times in kernels
        for at, repeats in grouped(((case.mode, case.batch_size), case) for one in times for case in one.cases).items()
    ]
    measured = [number for number in range(len(names)) if any(cells[number] for _, cells in cases)]
    rows = [(*head, *(cells[number] or "not measured" for number in measured)) for head, cells in cases]
    numbers = [[*names.values()][number] for number in measured]
    return table(caption, ("kernel", "case"), numbers, rows=rows, several=several) if measured else None


def _cell(repeats: Sequence[DeviceCase], name: str) -> str:
    """Return a measurement, medians over repeats: ``12.0 µs (11.8 µs to 12.9 µs; p99 14.1 µs)``."""
    spreads = [case.times[name] for case in repeats if name in case.times]
    if not spreads:
        return ""
    low, middle, high, worst = (
        words.seconds(median(spread.seconds[name] for spread in spreads)) for name in ("p5", "p50", "p95", "p99")
    )
    enough = all(spread.samples >= P99_SAMPLES for spread in spreads)
    return f"{middle} ({low} to {high}{f'; p99 {worst}' if enough else ''})"


def _sentences(run: Run, kernel: str, times: Sequence[DeviceTimes], *, several: bool) -> Iterator[str]:
    """Yield what there is to say about the measurements of one kernel: the rule, what was dropped, what is missing."""
    of = f"{kernel} in {run.title}" if several else kernel
    cases = [case for of_repeat in times for case in of_repeat.cases]
    dropped, samples = sum(case.dropped for case in cases), sum(case.samples for case in cases)
    if dropped:
        low = sum(spread.throttled for case in cases for spread in case.times.values())
        why = f"{low:,} at a lowered clock, {dropped - low:,} because the host was not ready in time"
        yield f"{of}: {dropped:,} of {dropped + samples:,} samples were dropped: {why}."
    lost = grouped((reason, _NAMES.get(name, name).strip()) for case in cases for name, reason in case.lost.items())
    for reason, names in lost.items():
        yield f"{of}: not measured, {words.listed(dict.fromkeys(names))}: {reason}."
    yield from (f"{of}: {text}" for of_repeat in times for text in _card(of_repeat))


def _card(times: DeviceTimes) -> Iterator[str]:
    card = times.card
    if card.sm_mhz is not None:
        low, high = card.sm_mhz
        most = f" of {card.most_mhz:,.0f}" if card.most_mhz else ""
        why = f"; its clock was lowered for {words.listed(card.slowed)}" if card.slowed else ""
        yield f"the card ran at {low:,.0f} to {high:,.0f}{most} MHz{why}."
    if card.others:
        yield f"{words.things(card.others, 'other process', 'other processes')} computed on the card."
    if card.reason:
        yield f"the card's clock was not watched: {card.reason}."


SECTIONS = (Part(70, "device", "Device time beside host latency", blocks),)
