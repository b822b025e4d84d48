"""`mlpbench export`: seconds per sample of each case, with the interval, for programs that keep a history of them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import judge
from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.cli import console
from mlpbench.bench.cli.options import Results, Runs
from mlpbench.bench.cli.report import name_left_out
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import Run, read_runs
from mlpbench.bench.record.write import write_document
from mlpbench.kernels.registry import nearest

Points = Mapping[str, tuple[Run, CaseSummary]]


def _consumers(incomplete: str) -> list[str]:
    return [name for name in CONSUMERS if name.startswith(incomplete)]


def export(
    runs: Runs = None,
    to: Annotated[
        str,
        typer.Option("--to", help="bencher or github-action-benchmark.", autocompletion=_consumers, metavar="WHO"),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File to write. Default: stdout."),
    ] = None,
    results: Results = Path("results"),
) -> None:
    """Write saved results for a program that keeps a history: median seconds per sample, the interval as bounds.

    Both take one run at a time. For other programs there are `report --format csv` and `--format json`.

    Example: mlpbench export --to bencher -o bencher.json
    """
    if to not in CONSUMERS:
        asked = f"unknown --to {to!r}{nearest(to, list(CONSUMERS))}" if to else "--to is missing"
        raise UserError(f"{asked}; there are {', '.join(CONSUMERS)}")
    chosen = [run for path in console.resolve(runs, results) for run in read_runs(path)]
    text = render(chosen, to)
    if output is None:
        print(text, end="")  # noqa: T201 - data, to stdout as it is
    else:
        write_document(output, text)
        console.say(f"wrote {output}")
    name_left_out(chosen)
    for run in chosen:
        if run.environment.git.dirty:
            console.say(f"warning: {run.id} was measured with uncommitted changes", "yellow")


def render(runs: Sequence[Run], consumer: str) -> str:
    """Return one run, or the settings of one sweep, as a consumer reads it. Raises UserError for several runs."""
    content = CONSUMERS[consumer](_points(runs, consumer))
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _points(runs: Sequence[Run], consumer: str) -> Points:
    """Return every case by a name that means the same in every run."""
    # Tables may call two runs by one name; here each has its own.
    ready = [replace(judge(run), shown=str(number)) for number, run in enumerate(runs)]
    cases = [(run, case) for run in ready for case in summarize([run])]
    if not cases:
        raise UserError("nothing to export: no case has a time")
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError("nothing to export: a run is named twice, name each once")
    points = {_name(run, case): (run, case) for run, case in cases}
    # All settings of a sweep share a folder. Records of one process are runs of their own: their cases have one name.
    folders = {(run.path.parent if run.plan and run.plan.sweep else run.path).resolve() for run in runs}
    if len(folders) > 1 or len(points) < len(cases):
        raise UserError(f"{consumer} takes one run at a time: name one")
    return points


def _name(run: Run, case: CaseSummary) -> str:
    """Return ``numpy/batched/100 (784-50-100-10 ... float32, 2 threads)``, with the environment if it was chosen."""
    record, env = run.records[0], run.env
    threads = words.things(record.threads, "thread") if record.threads else "threads unknown"
    network = f"{record.spec}, {threads}" + (f", env {env}" if env else "")
    return f"{case.kernel}/{case.mode}/{case.batch_size} ({network})"


def _bencher(points: Points) -> dict[str, Any]:
    """Return Bencher Metric Format, https://bencher.dev/docs/reference/bencher-metric-format.

    Bencher's own measure ``latency`` is in nanoseconds. One repeat has no bounds.
    """
    metrics: dict[str, Any] = {}
    for name, (_, case) in points.items():
        bounds = {"lower_value": case.sample.low, "upper_value": case.sample.high}
        known = {end: value for end, value in bounds.items() if not math.isnan(value)}
        metrics[name] = {"seconds-per-sample": {"value": case.sample.value, **known}}
    return metrics


def _action_benchmark(points: Points) -> list[dict[str, Any]]:
    """Return what benchmark-action/github-action-benchmark reads with ``tool: customSmallerIsBetter``.

    The action shows the range as it is. It would take "± x" apart, and an interval of ours has two different halves.
    """
    results = []
    for name, (run, case) in points.items():
        low, high = case.sample.low, case.sample.high
        ends = {} if math.isnan(low) else {"range": f"{low:.6g} to {high:.6g}"}
        extra = f"{case.repeats} repeats, {case.disturbed} disturbed\n{run.machine}\n{run.id}"
        results.append({"name": name, "unit": "s/sample", "value": case.sample.value, **ends, "extra": extra})
    return results


CONSUMERS: dict[str, Callable[[Points], Any]] = {"bencher": _bencher, "github-action-benchmark": _action_benchmark}
