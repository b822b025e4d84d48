"""The cases as tables: every case with all that is known about it, and one value against batch size."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis import times
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.summary import CaseSummary, one_at_a_time
from mlpbench.bench.groups import grouped
from mlpbench.bench.report import charts, document
from mlpbench.bench.report.charts import Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, Section, Table, ends, pivot, table
from mlpbench.bench.stats.estimates import Estimate, Ratio

Panels = Mapping[str, Sequence[CaseSummary]]
Rows = Mapping[str, Sequence[Row]]
_MODES = {"per_sample": "one at a time", "batched": "batch", "book": "book's cell"}

_TIME_READING = (
    "Lower is faster. Lines are batches, hollow symbols one at a time, dots repeats, whiskers 95 % intervals."
)
_SPEEDUP_READING = (
    "Each kernel against itself one at a time, in the same process. Below the dashed line, batches are slower."
)
_TITLES = {"kernel": "kernel", "at": "batch size", "time": "time per sample", "rate": "samples", "gain": "speedup"}
_PANELS = " A panel is one run or setting; all have the same axes."
_NO_WHISKERS = " With one repeat there is no interval, so no whisker is drawn."


def case_table(cases: Sequence[CaseSummary]) -> Table:
    """Return the table of all cases."""
    numbers = ("batch size", "time per sample", "samples/s", "speedup", "first call", "rounds", "repeats")
    caption = (
        "Every case: the median over repeats, with the 95 % interval in brackets. Rounds: of each repeat, the fewest."
    )
    return table(
        caption, ("kernel", "mode"), numbers, rows=map(_case_row, cases), several=len({case.run for case in cases}) > 1
    )


def _case_row(case: CaseSummary) -> tuple[str, ...]:
    size = 1 if case.mode == "per_sample" else case.batch_size
    head = (case.run, case.name, _MODES.get(case.mode, case.mode), f"{size:,}")
    times = (
        words.duration(case.sample),
        words.count(1 / case.sample.value),
        _speedup(case),
        words.seconds(case.first_call_s),
    )
    repeats = f"{case.repeats}, {case.disturbed} disturbed" if case.disturbed else str(case.repeats)
    return (*head, *times, f"{case.rounds:,}", repeats)


def _speedup(case: CaseSummary) -> str:
    return words.ratio(case.speedup) if case.speedup is not None else str(case.no_speedup)


def kernel_table(kernels: Sequence[KernelFinding], *, several: bool = False) -> Table:
    """Return what batching does for each kernel, the fastest of a run first; of one run narrow for a terminal."""
    written = words.duration if several else words.time
    rows = []
    for kernel in kernels:
        one, best = (written(value) if value else "not measured" for value in (kernel.one, kernel.best))
        size = f"{kernel.best_batch_size:,}" if kernel.best_batch_size else "none"
        gain = words.ratio(kernel.speedup) if kernel.speedup else str(kernel.missing)
        rows.append((kernel.run, kernel.name, one, size, best, gain))
    claims = any(kernel.speedup and kernel.speedup.claims for kernel in kernels)
    intervals = f", with 95 % intervals{'' if several else ' of the speedups'}" if claims else ""
    caption = f"Time per sample, the fastest kernel first{intervals}."
    numbers = ("one at a time", "best batch", "time there", "speedup")
    return table(caption, ("kernel",), numbers, rows=rows, several=several)


def _figures(findings: Findings) -> tuple[Block, ...]:
    """Return the two charts, each with its table; none where nothing was timed in batches."""
    cases = findings.cases
    batches = [case for case in cases if case.mode == "batched"]
    if not batches:
        return ()
    panels = grouped((case.run, case) for case in cases if case.mode != "book")
    many = len(panels) > 1
    note = (_PANELS if many else "") + (_NO_WHISKERS if any(case.repeats == 1 for case in cases) else "")

    def figure(name: str, title: str, reading: str, text: Callable[[CaseSummary], str], draw: Any) -> Figure:
        return Figure(name, title, reading + note, _against_batch_size(cases, text), partial(draw, panels))

    time = figure("time", "Time per sample", _TIME_READING, lambda case: words.duration(case.sample), time_charts)
    if not any(case.speedup is not None for case in batches):
        return (time,)
    gain = figure("speedup", "Speedup over one at a time", _SPEEDUP_READING, _speedup, speedup_charts)
    return (time, Section("Speedup over one at a time, panel by panel", (gain,)) if many else gain)


def _against_batch_size(cases: Sequence[CaseSummary], text: Callable[[CaseSummary], str]) -> Table:
    """Return a row for each kernel of each run, with a column for single calls and one for each batch size."""
    sizes = sorted({case.batch_size for case in cases if case.mode == "batched"})
    cells = (
        ((case.run, case.name), 0 if case.mode == "per_sample" else case.batch_size, text(case))
        for case in cases
        if case.mode != "book"
    )
    numbers = ("one at a time", *(f"batch {size:,}" for size in sizes))
    caption = "Median over repeats, with the 95 % interval in brackets."
    rows = pivot(cells, (0, *sizes), "not measured")
    return table(caption, ("kernel",), numbers, rows=rows, several=len({case.run for case in cases}) > 1)


def _cases(findings: Findings) -> tuple[Block, ...]:
    """Return every case, and for each run whose repeats were open why it ended."""
    texts = (f"{run.title}: {run.outcome}" for run in findings.runs if run.outcome)
    return (case_table(findings.cases), *(texts if findings.cases else ()))


def _kernel_by_kernel(findings: Findings) -> tuple[Block, ...]:
    """Return what several runs show of each kernel."""
    kernels = findings.of(document.heading).kernels
    return (kernel_table(kernels, several=True),) if findings.several else ()


def time_charts(panels: Panels, names: Names) -> dict[str, Spec]:
    """Return time per sample against batch size, both logarithmic, for the cases of each panel."""
    rows = {
        title: [row for case in cases for row in _rows(case, case.sample, case.by_repeat)]
        for title, cases in panels.items()
    }
    # All units are one logarithmic axis, upside down but for time. The page's switch sets `unit`, to "time", to "rate",
    # or to the seconds of a baseline: a kernel's one at a time, of several runs the slowest.
    singles = ((case.sample.value, case.name) for case in chain(*panels.values()) if case.mode == "per_sample")
    bases = {name: seconds for seconds, name in sorted(singles)}
    label = f"unit == 'rate' ? format(1 / datum.value, '.3~s') + '/s' : {charts.TIME_LABEL}"
    axis = charts.value_axis(_values(rows), "", f"isNumber(unit) ? format(unit / datum.value, '.2~r') + 'x' : {label}")
    axis["scale"]["reverse"] = {"expr": "unit != 'time'"}
    params = [{"name": "unit", "value": "time"}, {"name": "bases", "value": bases}]
    what = "Time per sample against batch size, one line per kernel."
    drawn = line_charts(rows, axis, names, what, _TITLES)
    return {title: {**chart, "params": [*chart["params"], *params]} for title, chart in drawn.items()}


def speedup_charts(panels: Panels, names: Names) -> dict[str, Spec]:
    """Return the speedup over one at a time, the dashed rule at 1, against batch size, both logarithmic."""
    rows = {title: [row for case in cases for row in _gains(case, cases)] for title, cases in panels.items()}
    axis = charts.value_axis([*_values(rows), {"value": 1.0}], "speedup over one at a time", charts.RATIO_LABEL)
    what = "Speedup over one at a time against batch size, one line per kernel."
    return line_charts(rows, axis, names, what, _TITLES, charts.rule_at_one())


def _values(rows: Rows) -> list[Row]:
    """Return the rows of cases, which axes hold whole."""
    return [row for panel in rows.values() for row in panel if row.get("kind") != "repeat"]


def _rows(case: CaseSummary, value: Estimate | Ratio, repeats: Mapping[int, float]) -> Iterator[Row]:
    """Yield the row of a case, and one for each of several repeats."""
    single = case.mode == "per_sample"
    at = {"kernel": case.kernel, "x": charts.SINGLE_X if single else case.batch_size}
    yield {
        **at,
        **ends(value),
        "at": "one at a time" if single else f"{case.batch_size:,}",
        "time": words.duration(case.sample),
        "rate": f"{words.count(1 / case.sample.value)} per second",
        "gain": _speedup(case),
    }
    if len(repeats) > 1:
        yield from ({**at, "kind": "repeat", "value": repeat} for repeat in repeats.values())


def _gains(case: CaseSummary, cases: Sequence[CaseSummary]) -> Iterator[Row]:
    one = one_at_a_time([other for other in cases if other.kernel == case.kernel])
    if case.speedup is not None and one is not None:
        slow, fast = times.pairs(one, case)
        yield from _rows(case, case.speedup, {repeat: slow[repeat] / fast[repeat] for repeat in slow})


def line_charts(rows: Rows, axis: Spec, names: Names, what: str, titles: Names, *below: Spec) -> dict[str, Spec]:
    """Return charts of values upwards, with the layers ``below`` under the lines; ``titles`` as of `charts.telling`."""
    every = _values(rows)
    values, points = charts.against_batch_size(every, axis, names)
    told = charts.telling(titles)
    points |= {"description": told["description"]}
    case = "datum.kind != 'repeat'"
    batch, single = (f"{case} && datum.x {sign} {charts.SINGLE_X}" for sign in ("!=", "=="))
    layers = [
        *below,
        charts.layer("circle", values, "datum.kind == 'repeat'", size=16, opacity=0.5, clip=True, aria=False),
        charts.whiskers(values, case),
        charts.layer("line", values, batch, strokeWidth=2, clip=True),
        charts.symbols(points, batch),
        # An empty layer would be a picture without words to a screen reader.
        *([charts.hollow(points, single)] if any(row["x"] == charts.SINGLE_X for row in every) else []),
        # Invisible discs around the symbols are easy to hit with a finger, and they carry the tooltip.
        charts.layer("circle", values | told, case, size=450, opacity=0, aria=False),
    ]
    panels = {title: charts.dodged(panel) for title, panel in rows.items() if panel}
    return charts.drawn(layers, panels, names, what, 230 if len(rows) > 1 else 330)


SECTIONS = (
    Part(10, "charts", "Time and speedup against batch size", _figures, open=True),
    Part(15, "cases", "Every case", _cases, open=True),
    Part(120, "kernel-by-kernel", "Kernel by kernel", _kernel_by_kernel),
)
