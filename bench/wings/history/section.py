"""What became of a machine's cases from run to run: a figure, and the changes for good as a table."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis import compare, judge
from mlpbench.bench.analysis.compare import Comparison
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import runs
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, Table, ends, table
from mlpbench.bench.report.sections import compare as comparison
from mlpbench.bench.wings.history import history
from mlpbench.bench.wings.history.change_points import LEAST
from mlpbench.bench.wings.history.history import Change, Series

_READING = (
    "A symbol is the time of a case in one run, at one pace of the processor, as a multiple of its median over the "
    "runs. A large symbol is the first run after a change for good: point at it for its size and what else changed."
)
_LAST_READING = "Right of the dashed line this run is faster. Whiskers are 95 % intervals."


def sentence(series: Sequence[Series]) -> str:
    """Return in how many series something changed for good."""
    changed, runs = sum(bool(one.changes) for one in series), max((len(one.runs) for one in series), default=0)
    short = sum(len(one.runs) < 2 * LEAST for one in series)
    if series and short == len(series):
        return f"Too short to see a change: {words.things(runs, 'run')}, and {2 * LEAST} are needed."
    text = f"{changed or 'None'} of {words.things(len(series), 'case')} changed for good in {words.things(runs, 'run')}"
    return f"{text}; {short} are in fewer than {2 * LEAST} runs, too few to tell." if short else f"{text}."


def change_table(changed: Sequence[Series], *, several: bool, details: bool = False) -> Table:
    """Return a row for each change, the newest first; ``several``: with what was computed, where that differs.

    ``details``: with everything else that changed, and not the first of it.
    """
    rows = [
        (
            one.kernel,
            words.case(one.mode, one.batch_size),
            *([one.task] if several else []),
            words.ratio(change.ratio),
            change.after,
            "; ".join(_besides(change, details=details)) or "nothing that was recorded",
        )
        for one in changed
        for change in reversed(one.changes)
    ]
    texts = ("kernel", "case", *(["what was computed"] if several else []))
    caption = "Changes for good, with 95 % intervals, the first run after each, and what else changed with it."
    last = ("since", "what else changed")
    return table(caption, texts, ("time after / before",), last, rows=rows)


def _besides(change: Change, *, details: bool) -> Iterator[str]:
    shown = change.besides if details else change.besides[:3]
    yield from shown
    if len(change.besides) > len(shown):
        yield f"{len(change.besides) - len(shown)} more"


def _past(findings: Findings) -> tuple[Block, ...]:
    """Return the series that a run is part of; nothing of several runs, and where they are too short for a change.

    Of the batches of each kernel, the one is drawn that was best in the newest run.
    """
    run, folder = findings.runs[0], findings.runs[0].path.parent
    if findings.several or not run.path.is_dir() or len(list(folder.glob("*/run.json"))) <= LEAST:
        return ()
    try:
        past = history.find(folder, latest=history.NEWEST)
    except UserError as reason:  # of another run: it costs no report
        return (f"{reason}.",)
    kernels = {case.kernel for case in findings.cases}
    own = [one for one in past.series if run.id in one.runs and one.kernel in kernels and len(one.runs) > LEAST]
    batches = grouped((one.kernel, one) for one in own if one.mode == "batched")
    panels = {
        "one at a time": [one for one in own if one.mode == "per_sample"],
        "the best batch": [min(of_kernel, key=lambda one: one.samples_s[-1]) for of_kernel in batches.values()],
    }
    if not (drawn := {title: series for title, series in panels.items() if series}):
        return ()
    changes = change_table([one for one in past.changed if one in own], several=False)
    draw = partial(history_charts, drawn)
    return (sentence(own), Figure("history", "Time per sample, run by run", _READING, changes, draw))


def previous(findings: Findings) -> Comparison | str | None:
    """Compare a run with the one before it; None where that computed something else, and why not where it is broken."""
    run = findings.runs[0]
    path = None if findings.several or run.missing or not run.path.is_dir() else runs.previous(run.path)
    try:
        earlier = judge.read(path) if path else []
        alike = len(earlier) == 1 and earlier[0].setting == run.setting
        return compare.compare(earlier[0], run) if alike else None
    except NothingComparable:
        return None
    except UserError as reason:  # of the other run: it costs no report
        return f"The previous run of this machine was not compared: {reason}."


def _against_previous(findings: Findings) -> list[str]:
    found = findings.of(previous)
    return [history.told(found) if isinstance(found, Comparison) else found] if found else []


def _last(findings: Findings) -> tuple[Block, ...]:
    """Return the best time of each kernel against that of the previous run; nothing without one to compare with."""
    found = findings.of(previous)
    if not isinstance(found, Comparison):
        return ()
    best = replace(found, rows=history.best(found))
    title, draw = "Best time of each kernel: previous run / this run", partial(previous_chart, best)
    return (Figure("previous", title, _LAST_READING, comparison.table(best), draw),)


def previous_chart(best: Comparison, names: Names) -> dict[str, Spec]:
    """Return a symbol with its interval for each row: the time in the previous run / in this one."""
    rows: list[Row] = [
        {
            "kernel": row.kernels,
            **ends(row.speedup),
            "case": words.case(row.mode, row.batch_size),
            "gain": words.ratio(row.speedup),
        }
        for row in best.rows
    ]
    # Two runs alike differ by some per cent, which must not look like much.
    around = [*rows, {"value": 0.9}, {"value": 1.1}]
    channels = {
        "x": charts.value_axis(around, "times as fast as in the previous run", charts.RATIO_LABEL),
        "y": charts.field("named", "nominal", sort=None, axis=charts.NAME_AXIS),
        "color": charts.colour(names),
        **charts.telling({"kernel": "kernel", "case": "case", "gain": "previous run / this run"}),
    }
    layers = [charts.rule_at_one("x"), charts.whiskers(channels, along="x"), charts.symbols(channels)]
    what = "Best time of each kernel in the previous run / in this run."
    return charts.drawn(layers, {"": rows}, names, what, 28 * len(rows) + 10)


def history_charts(panels: Mapping[str, Sequence[Series]], names: Names) -> dict[str, Spec]:
    """Return time per sample, as a share of its median, against the number of the run, with its day on the axis."""
    runs = sorted({run for panel in panels.values() for series in panel for run in series.runs})
    rows = {title: [row for series in panel for row in _rows(series, runs)] for title, panel in panels.items()}
    days = json.dumps([f"{run[4:6]}-{run[6:8]}" for run in runs])
    labels = {
        "values": list(range(0, len(runs), -(-len(runs) // 6))),
        "labelExpr": f"{days}[datum.value]",
        "grid": False,
    }
    across = {"domain": [-0.3, len(runs) - 0.7], "nice": False}
    values = [0.97, 1.03, *(row["value"] for panel in rows.values() for row in panel)]
    upwards = {"domain": [min(values) - 0.01, max(values) + 0.01], "nice": False, "zero": False}
    ticks = {"labelExpr": charts.RATIO_LABEL, "tickCount": 6}
    lines = {
        "x": charts.field("x", title="run, by month and day", scale=across, axis=labels),
        "y": charts.field("value", title="time per sample / its median", scale=upwards, axis=ticks),
        "color": charts.colour(names),
    }
    titles = {"kernel": "kernel", "case": "case", "run": "run", "time": "time per sample", "change": "change"}
    points = lines | {"shape": charts.shape(names), **charts.telling(titles)}
    layers = [
        charts.rule_at_one(),
        charts.layer("line", lines, strokeWidth=1.5, clip=True),
        charts.symbols(points, "!datum.changed", size=45),
        charts.symbols(points, "datum.changed", size=260),
    ]
    what = "Time per sample of each case as a share of its median, run by run."
    return charts.drawn(layers, rows, names, what, 270)


def _rows(series: Series, runs: Sequence[str]) -> Iterator[Row]:
    changes, usual = {change.at: change for change in series.changes}, median(series.samples_s)
    for number, (run, sample_s) in enumerate(zip(series.runs, series.samples_s, strict=True)):
        change = changes.get(number)
        yield {
            "kernel": series.kernel,
            "case": words.case(series.mode, series.batch_size),
            "x": runs.index(run),
            "value": sample_s / usual,
            "run": run,
            "time": words.seconds(sample_s),
            "change": "; ".join([words.ratio(change.ratio), *change.besides[:3]]) if change else "none",
            "changed": change is not None,
        }


SECTIONS = (
    Part(12, "previous", "This run against the previous one", _last, open=True),
    Part(130, "history", "From run to run", _past, notes=_against_previous),
)
