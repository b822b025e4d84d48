"""``index.html`` of a folder of results: a row for each of its newest runs, with its times and a link to its page."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from mlpbench.bench import words
from mlpbench.bench.groups import grouped
from mlpbench.bench.record import runs
from mlpbench.bench.record.write import write_document
from mlpbench.bench.wings.history import history
from mlpbench.bench.wings.history.history import Level, RunLevels

NAME = "index.html"
#: By machine and by what was computed: each run with its fastest time.
Fastest = Mapping[tuple[str, tuple[str, ...]], Sequence[tuple[str, float]]]
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>mlpbench: {title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 24px; }}
table {{ border-collapse: collapse; }}
td:first-child {{ white-space: nowrap; }}
th, td {{ text-align: left; padding: 6px 16px 6px 0; border-bottom: 1px solid #8886; vertical-align: top; }}
polyline {{ fill: none; stroke: currentcolor; opacity: 0.5; }}
@media (max-width: 700px) {{ th {{ display: none; }} td {{ display: block; border: 0; padding: 0; }}
tr {{ display: block; padding: 10px 0; border-bottom: 1px solid #8886; }} }}
</style></head><body><h1>{title}</h1>
<table><tr><th>run</th><th>machine</th><th>computed</th><th>fastest</th><th>what batching gains</th>
<th>fastest time, run by run</th></tr>
{rows}
</table></body></html>
"""


def write(results: Path) -> None:
    """Write the page over the one before it. Raises UserError where it cannot be written."""
    paths = runs.find_runs(results)
    of_runs = [(path, levels) for path in paths[: history.NEWEST] for levels in history.levels_of(path)]
    fastest = grouped(
        ((path.parent.name, run.levels[0].task), (run.run, _best(run).sample_s))
        for path, run in reversed(of_runs)
        if run.levels
    )
    rows = (_row(path.relative_to(results), levels, fastest, results) for path, levels in of_runs)
    older = len(paths) - history.NEWEST
    title = words.things(len(paths), "run") + (f", the newest {history.NEWEST} of them" if older > 0 else "")
    write_document(results / NAME, _PAGE.format(title=title, rows="\n".join(rows)))


def _row(path: Path, run: RunLevels, fastest: Fastest, results: Path) -> str:
    day = run.started if run.problem else f"{run.started[:10]} {run.started[11:16]}"
    page = next((path / name for name in ("report.html", "report.md") if (results / path / name).exists()), None)
    link = f'<a href="{escape(page.as_posix())}">{escape(day)}</a>' if page else escape(day)
    if not run.levels:
        cells = [escape(run.problem or "nothing was timed"), "", "", ""]
    else:
        task = run.levels[0].task
        best = _best(run)
        first = f"{best.kernel}, {words.seconds(best.sample_s)} in {words.case(best.mode, best.batch_size)}"
        drawn = _sparkline(fastest[path.parent.name, task], run.run)
        cells = [escape(", ".join(filter(None, task[:3]))), escape(first), escape(", ".join(_gains(run))), drawn]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (link, escape(path.parent.name), *cells)) + "</tr>"


def _best(run: RunLevels) -> Level:
    """Return the fastest case of a run; one that is unchecked only where all are."""
    return min(run.levels, key=lambda level: (level.unchecked, level.sample_s))


def _gains(run: RunLevels) -> Iterator[str]:
    """Yield what batching gains, kernel by kernel: the time one at a time / in the best batch."""
    for kernel, levels in grouped((level.kernel, level) for level in run.levels).items():
        one = next((level.sample_s for level in levels if level.mode == "per_sample"), None)
        best = min((level.sample_s for level in levels if level.mode == "batched"), default=None)
        if one and best:
            yield f"{kernel} {one / best:.3g}x"


def _sparkline(times: Sequence[tuple[str, float]], run: str) -> str:
    """Return the fastest times of the runs that computed the same on a machine, with a dot at this one."""
    if len(times) < 2:
        return ""
    high, low = max(time for _, time in times), min(time for _, time in times)
    points = {
        name: (4 + 112 * number / (len(times) - 1), 20 - 16 * (time - low) / (high - low or 1))
        for number, (name, time) in enumerate(times)
    }
    line, (x, y) = " ".join(f"{x:.0f},{y:.0f}" for x, y in points.values()), points[run]
    label = f"{words.seconds(low)} to {words.seconds(high)}"
    dot = f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="currentcolor"/>'
    return f'<svg width="120" height="24" role="img" aria-label="{label}"><polyline points="{line}"/>{dot}</svg>'
