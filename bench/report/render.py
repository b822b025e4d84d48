"""Puts a report together from runs, and writes it in a format: Markdown, one HTML page, CSV or JSON."""

from collections.abc import Sequence
from dataclasses import replace

from mlpbench.bench.analysis import compare, evidence, explain, headline, heatmap, history, limits, scaling, sides
from mlpbench.bench.analysis.compare import Comparison
from mlpbench.bench.analysis.headline import Headline
from mlpbench.bench.analysis.refused import settled
from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.names import named
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report import lead
from mlpbench.bench.report.document import MANY_RUNS, Block, Document, Paragraph, Points, Section
from mlpbench.bench.report.formats import csv, html, json, markdown
from mlpbench.bench.report.sections import bandwidth, book, device, gaps, latency, machine, spent, task, times, trust
from mlpbench.bench.report.sections import compare as compared
from mlpbench.bench.report.sections import explain as explained
from mlpbench.bench.report.sections import heatmap as heatmaps
from mlpbench.bench.report.sections import history as histories
from mlpbench.bench.report.sections import limits as limited
from mlpbench.bench.report.sections import scaling as scaled
from mlpbench.bench.stats.steps import LEAST
from mlpbench.kernels.registry import nearest

_WRITERS = {"md": markdown.render, "html": html.render, "csv": csv.render, "json": json.render}
FORMATS = tuple(_WRITERS)
_BANDWIDTH = "Is it the memory's bandwidth?"


def render(
    runs: Sequence[Run],
    format: str,  # noqa: A002 - the word of the command line
    p99_s: float | None = None,
) -> str:
    """Return the report of runs, as `bench.record.runs.read_run` reads them, in one of `FORMATS`.

    ``p99_s``: a latency budget in seconds, of which the report says the largest batch that keeps it.
    Raises UserError for another format, for no runs, for a run named twice, for HTML where Altair or vl-convert is not
    installed, and for a budget where a run has no single calls, or in CSV, which has no place for it.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}{nearest(format, list(FORMATS))}; there are {', '.join(FORMATS)}")
    if p99_s is not None:
        _require_single_calls(runs, format)
    return write(build(list(runs), p99_s), format)


def write(document: Document, format: str) -> str:  # noqa: A002 - as above
    """Return a report in one of `FORMATS`. Raises UserError for HTML where Altair or vl-convert is not installed."""
    return _WRITERS[format](document)


def _require_single_calls(runs: Sequence[Run], format: str) -> None:  # noqa: A002 - as above
    if format == "csv":
        raise UserError("a CSV has no place for the answer to --p99: choose md, html or json")
    for run in runs:
        if not any(single.mode == "batched" for record in run.records for single in record.trust.singles):
            raise UserError(f"{run.id}: no single calls of batches were timed: measure with `mlpbench run --p99 5ms`")


def build(runs: Sequence[Run], p99_s: float | None = None) -> Document:
    """Return the report of one or more runs. A run without any time has one too: it says why.

    ``p99_s``: a budget in seconds: the report says which batches keep it. Raises UserError for no runs, or one that is
    named twice.
    """
    if not runs:
        raise UserError("no run to report on: `mlpbench run` makes one")
    beside = [evidence.read(run) if any(record.cases for record in run.records) else None for run in runs]
    runs = list(map(settled, named(runs), beside))
    # Every figure is derived here, once: sections, charts and formats are made of these.
    cases = tuple(summarize(runs))
    by_run = _by_run(runs, cases)
    made_of = [explain.find(run, own, found) for (run, own), found in zip(by_run, beside, strict=True)]
    explanations = tuple(filter(None, made_of))
    places = [limits.find(run, own, found) for (run, own), found in zip(by_run, beside, strict=True)]
    known_limits = tuple(filter(None, places))
    heat, gains = heatmap.find(cases), scaling.find(by_run)
    versions = _versions(runs)
    asked = "versions" if versions else lead.first(runs, gains)
    answer = lead.answer(asked, by_run, known_limits, gains, explanations)
    if versions:
        answer = versions.conclusion()
    finding = headline.find(
        cases, {run.name: run.shown for run in runs if run.shown}, answer, headline.threads_of(runs)
    )
    if len(runs) == 1 and (said := history.against_previous(runs[0])):
        finding = replace(finding, notes=[*finding.notes, said])
    judged = tuple(trust.judge(run, own, p99_s) for run, own in by_run)
    gap_table = gaps.gap_table(runs)
    many = len(runs) > MANY_RUNS
    sections = (
        Section("charts", "Time and speedup against batch size", times.figures(times.grid(runs, cases))),
        Section("versions", "One environment against the other", compared.blocks(versions) if versions else ()),
        Section("threads", "What more threads bring", scaled.blocks(gains)),
        Section(
            "machines",
            "Which machine is good for what",
            heatmaps.of_machines(heatmap.of_machines(by_run), finding.kernels),
        ),
        Section("heatmap", "Who is fastest where", heatmaps.figures(heat)),
        Section("limits", "Beside other runtimes and the machine's limits", limited.blocks(known_limits)),
        Section("device", device.TITLE, device.blocks(runs, explanations)),
        Section("bandwidth", _BANDWIDTH, bandwidth.blocks(explanations), folded=asked != "bandwidth"),
        Section("explained", explained.TITLE, explained.blocks(explanations)),
        Section("book", "Where the time of the book's cell goes", book.blocks(finding.book)),
        Section("trust", trust.TITLE, trust.blocks(judged)),
        Section("missing", "What is missing", (gap_table,) if gap_table else ()),
        Section("kernel-by-kernel", "Kernel by kernel", _kernel_by_kernel(runs, finding), folded=True),
        Section("history", histories.TITLE, _past(runs, [case.kernel for case in cases])),
        Section("cases", "Every case", _cases(runs, cases), folded=True),
        Section("differences", "What differs between the runs", machine.differences(runs), folded=many),
        *latency.sections(judged, folded=p99_s is None),
        Section("spent", spent.TITLE, spent.blocks(runs), folded=True),
        Section(
            "clock", "What is in the clock", (task.clock(book=any(case.mode == "book" for case in cases)),), folded=True
        ),
        Section("computed", "Network, data and weights", task.computed(runs), folded=True),
        Section("kernels", "Kernels", task.kernels(runs), folded=True),
        Section("environment", "Machine and software", machine.environment(runs), folded=True),
        Section("repeat", "Reproduce", task.again(runs), folded=True),
    )
    return Document(
        title="mlpbench: one sample at a time against batches",
        chips=machine.chips(runs),
        headline=finding,
        notices=(*gaps.refused(runs), *_notices(runs)),
        # What was asked comes first, and then what one may ask of any run.
        sections=tuple(sorted((one for one in sections if one.blocks), key=lambda section: section.slug != asked)),
        runs=tuple(runs),
        cases=cases,
        explanations=explanations,
        judged=judged,
        heatmaps=heat,
        limits=known_limits,
        scalings=gains,
        overviews=tuple(headline.overview(run, own, place) for (run, own), place in zip(by_run, places, strict=True))
        if cases and len(runs) > 1
        else (),
    )


def _past(runs: Sequence[Run], kernels: Sequence[str]) -> tuple[Block, ...]:
    """Return the history of the machine of a run; nothing of several runs, and of one that has few beside it."""
    folder = runs[0].path.parent
    if len(runs) != 1 or not runs[0].path.is_dir() or len(list(folder.glob("*/run.json"))) <= LEAST:
        return ()
    try:
        return histories.blocks(history.find(folder), runs[0].id, kernels)
    except ImportError:
        return (Paragraph(f"{history.NEEDS}."),)
    except UserError as reason:  # of another run, or of the calibration: it costs no report
        return (Paragraph(f"{reason}."),)


def _versions(runs: Sequence[Run]) -> Comparison | None:
    """Return the comparison of the two environments of a sweep; None where there are not two, or nothing in common."""
    names = list(dict.fromkeys(run.setting.env for run in runs if run.setting and run.setting.env))
    sweeps = {run.plan.sweep if run.plan else None for run in runs}
    if len(names) != 2 or len(sweeps) != 1 or None in sweeps:
        return None
    axis, left, right = sides.by_axis([sides.Side(run) for run in runs], f"env={names[0]},{names[1]}")
    try:
        return compare.compare(left, right, by=axis)
    except NothingComparable:  # the report says what is missing
        return None


def _by_run(runs: Sequence[Run], cases: Sequence[CaseSummary]) -> list[tuple[Run, tuple[CaseSummary, ...]]]:
    """Return each run with its cases, which have its machine in their run's name where names alone are ambiguous."""
    own = grouped((case.run, case) for case in cases)
    return [(run, (*own.get(run.name, ()), *own.get(f"{run.machine}/{run.name}", ()))) for run in runs]


def _kernel_by_kernel(runs: Sequence[Run], finding: Headline) -> tuple[Block, ...]:
    """Return what the headline of one run says of each kernel, as a table for several."""
    if len(runs) < 2 or not finding.kernels:
        return ()
    return (times.finding_table(finding.kernels), *([Points(tuple(finding.ranks))] if finding.ranks else []))


def _cases(runs: Sequence[Run], cases: Sequence[CaseSummary]) -> tuple[Block, ...]:
    """Return every case, and for each run whose repeats were open why it ended."""
    if not cases:
        return ()
    endings = {run.name: run.ending for run in runs if run.ending}
    said = [f"{run.title}: {told}" for run in runs if run.ending and (told := run.ending.sentence())]
    return (times.case_table(cases, endings), *map(Paragraph, said))


def _notices(runs: Sequence[Run]) -> list[str]:
    """Return what must not be overlooked: the numbers are not all that were planned."""
    cut = [
        (run, f"{len(run.missing)} of {len(run.plan.order if run.plan else run.missing)} processes have no result")
        for run in runs
        if run.missing
    ]
    found = gaps.once_for_all(runs, cut, "interrupted")
    for run in runs:
        which = run.title if len(runs) > 1 else "The run"
        if run.problems and not run.missing:
            found.append(f"{which} was {'; '.join(run.problems)}.")
        found += [one.sentence() for one in run.resumed]
        found += [f"{which} contradicts itself: {doubt}." for doubt in run.contradictions]
        found += [f"{which} leaves a file out; the rest is shown. {line}." for line in run.damaged]
        badly = [(one.path.name, one.ran.ended) for one in run.records if one.ran and one.ran.ended]
        found += [f"{name} was whole when its process {ended}: it counts." for name, ended in badly]
        failed = dict.fromkeys(failure.kernel for failure in run.failures)
        if failed:
            found.append(f'{which} has failures, told under "What is missing": {", ".join(failed)}.')
    return found
