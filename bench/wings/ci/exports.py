"""`mlpbench export`: seconds per sample of each case, with the interval, for programs that keep a history of them."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
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
from mlpbench.kernels.registry import nearest

_TO = "bencher or github-action-benchmark."
Points = Mapping[str, tuple[Run, CaseSummary]]


def export(
    runs: Runs = None,
    to: Annotated[str, typer.Option(metavar="WHO", help=_TO, autocompletion=lambda: CONSUMERS)] = "",
    results: Results = Path("results"),
) -> None:
    """Write saved results for a program that keeps a history: median seconds per sample, the interval as bounds.

    Both take one run at a time. For other programs there are `report --format csv` and `--format json`.

    Example: mlpbench export --to bencher > bencher.json
    """
    if to not in CONSUMERS:
        asked = f"unknown --to {to!r}{nearest(to, list(CONSUMERS))}" if to else "--to is missing"
        raise UserError(f"{asked}; there are {', '.join(CONSUMERS)}")
    paths = console.resolve(runs, results)
    if len(paths) > 1:
        raise UserError(f"{to} takes one run at a time: name one")
    chosen = read_runs(paths[0])
    print(render(chosen, to), end="")  # noqa: T201 - data, to stdout as it is
    name_left_out(chosen)
    for run in chosen:
        if run.environment.git.dirty:
            console.say(f"warning: {run.id} was measured with uncommitted changes", "yellow")


def render(runs: Sequence[Run], consumer: str) -> str:
    """Return a run, or the settings of one sweep, as a consumer reads it. Raises UserError where nothing was timed."""
    points = {_name(run, case): (run, case) for run in runs for case in summarize([judge(run)])}
    if not points:
        raise UserError("nothing to export: no case has a time")
    return json.dumps(CONSUMERS[consumer](points), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
