"""Puts a report together from runs: which sections there are, and what each says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.analysis import evidence, explain, headline, heatmap, scaling
from mlpbench.bench.analysis import limits as limits_of
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import named
from mlpbench.bench.report.document import (
    MANY_RUNS,
    Block,
    Column,
    Command,
    Document,
    Paragraph,
    Points,
    Section,
    Table,
)
from mlpbench.bench.report.sections import bandwidth, book, closer, gaps, machine, tables, trust
from mlpbench.bench.report.sections import explain as explained
from mlpbench.bench.report.sections import heatmap as heatmaps
from mlpbench.bench.report.sections import limits as limit_blocks
from mlpbench.bench.report.sections import scaling as scalings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.analysis.headline import Headline, Overview
    from mlpbench.bench.analysis.limits import Limits
    from mlpbench.bench.analysis.summary import CaseSummary
    from mlpbench.bench.record.runs import Run
    from mlpbench.bench.record.schema import Record


_CLOCK = """
A time is the median over the rounds of one process, divided by the samples that a call processes. The value shown
is the median over repeats, each a fresh process, and its 95 % interval comes from the repeats alone.

One at a time: Python calls the kernel with one sample and waits for the result, sample after sample. Batch: one
call for all samples of the batch, and the wait for the result.

In the clock: the forward pass and the wait. Outside it: making parameters, moving data to a device and back,
compiling, the first call, the check. The first call has a column of its own.

A speedup is the time per sample one at a time divided by the time per sample in a batch, within the same process;
the value shown is the median of these ratios over the repeats.

Each kernel has just agreed with a float64 reference, in the same process, when it is timed. Inputs rotate through
the data set, so that no kernel is timed on one row that stays in cache.
"""
#: These tables of many runs would be most of a page.
_LONG_TABLES = ("cases", "cold", "latency", "inputs", "kernels")
_BOOK_CLOCK = """

The book's cell: everything in the clock, as the book has it. Data and weights are loaded, the network is made, all
images are inferred, and the hits are counted; its time is divided by the number of images.
"""


def build(runs: Sequence[Run], p99_s: float | None = None) -> Document:
    """Return the report of one or more runs. A run without any time has one too: it says why.

    ``p99_s``: a budget in seconds: the report says which batches keep it. Raises UserError for no runs, or one named twice.
    """
    if not runs:
        raise UserError("no run to report on: `mlpbench run` makes one")
    runs = named(runs)
    cases = tuple(summarize(runs))
    gap_table = gaps.gap_table(runs)
    beside = [evidence.read(run) if any(record.cases for record in run.records) else None for run in runs]
    by_run = [(run, _of_run(run, cases)) for run in runs]
    explained_runs = (explain.find(run, own, found) for (run, own), found in zip(by_run, beside, strict=True))
    explanations = tuple(one for one in explained_runs if one is not None)
    finding = headline.find(cases, {run.name: run.shown for run in runs if run.shown})
    limited = [limits_of.find(run, own, found) for (run, own), found in zip(by_run, beside, strict=True)]
    limits = tuple(one for one in limited if one is not None)
    heat, gains = heatmap.find(cases), scaling.find(by_run)
    sections = (
        Section("kernel-by-kernel", "Kernel by kernel", _kernel_by_kernel(runs, finding), folded=True),
        Section("charts", "Time and speedup against batch size", tables.figures(cases)),
        Section("heatmap", "Who is fastest where", heatmaps.figures(heat)),
        Section("limits", "Beside peers and the machine's limits", limit_blocks.blocks(limits)),
        Section("threads", "What threads bring", scalings.blocks(gains)),
        Section(
            "explained",
            explained.TITLE,
            (*bandwidth.blocks(explanations), *explained.blocks(explanations)),
        ),
        Section("book", "The book's cell, part by part", book.blocks(finding.book)),
        Section("missing", "What is missing", (gap_table,) if gap_table else ()),
        Section("differences", "What differs between the runs", _differences(runs)),
        Section("cases", "Every case", _cases(runs, cases)),
        *trust.sections(runs),
        *closer.sections(runs, p99_s),
        Section("clock", "What is in the clock", (_clock(cases),)),
        Section(
            "computed", "Network, data and weights", tuple(b for run in runs for b in _computed(run, len(runs) > 1))
        ),
        Section("kernels", "Kernels", _kernels(runs)),
        Section("environment", "Environment", _environment(runs)),
        Section("repeat", "Do it again", tuple(block for run in runs for block in _again(run, len(runs) > 1))),
    )
    return Document(
        title="mlpbench: one sample at a time against batches",
        subtitle=_subtitle(runs),
        headline=finding,
        notices=trust.notices(runs) + _notices(runs) + explained.notices(explanations),
        sections=tuple(_folded(section, len(runs)) for section in sections if section.blocks),
        runs=tuple(runs),
        cases=cases,
        explanations=explanations,
        p99_s=p99_s,
        heatmaps=heat,
        limits=limits,
        scalings=gains,
        overviews=_overviews(by_run, limited) if cases else (),
    )


def _folded(section: Section, runs: int) -> Section:
    """Return a section of tables alone as one that has to be opened where the tables are those of many runs."""
    return replace(section, folded=True) if runs > MANY_RUNS and section.slug in _LONG_TABLES else section


def _overviews(
    by_run: Sequence[tuple[Run, Sequence[CaseSummary]]], limited: Sequence[Limits | None]
) -> tuple[Overview, ...]:
    """Return a line for each of several runs."""
    if len(by_run) < 2:
        return ()
    return tuple(headline.overview(run, own, limits) for (run, own), limits in zip(by_run, limited, strict=True))


def _kernel_by_kernel(runs: Sequence[Run], finding: Headline) -> tuple[Block, ...]:
    """Return what the headline of one run says of each kernel, as a table for several."""
    if len(runs) < 2 or not finding.kernels:
        return ()
    return (tables.finding_table(finding.kernels), *([Points(tuple(finding.ranks))] if finding.ranks else []))


def _environment(runs: list[Run]) -> tuple[Block, ...]:
    threads = machine.thread_table(runs)
    return (machine.environment_table(runs), *((threads,) if threads else ()))


def _of_run(run: Run, cases: Sequence[CaseSummary]) -> tuple[CaseSummary, ...]:
    """Return the cases of one run, which `bench.analysis.summary` calls by its machine too where names alone are ambiguous."""
    return tuple(case for case in cases if case.run in (run.name, f"{run.machine}/{run.name}"))


def _cases(runs: list[Run], cases: tuple[CaseSummary, ...]) -> tuple[Block, ...]:
    if not cases:
        return ()
    endings = {run.name: run.ending for run in runs if run.ending}
    said = [f"{run.title}: {told}" for run in runs if run.ending and (told := run.ending.sentence())]
    return (tables.case_table(cases, endings), *map(Paragraph, said))


def _clock(cases: Sequence[CaseSummary]) -> Points:
    text = _CLOCK + _BOOK_CLOCK if any(case.mode == "book" for case in cases) else _CLOCK
    return Points(tuple(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n") if paragraph.strip()))


def _subtitle(runs: list[Run]) -> str:
    plan = runs[0].plan
    if runs[0].shown and plan:
        return f"{plan.sweep} on {_model(runs[0])}, {len(runs)} settings: {'; '.join(run.name for run in runs)}"
    specs = [f", {run.records[0].spec.label()}" if run.records else "" for run in runs]
    return "; ".join(f"{run.id} on {_model(run)}{spec}" for run, spec in zip(runs, specs, strict=True))


def _model(run: Run) -> str:
    found = run.records[0].environment if run.records else run.environment
    block = found.get("machine")
    model = block.get("cpu_model") if isinstance(block, dict) else None
    return str(model or run.machine)


def _notices(runs: list[Run]) -> tuple[str, ...]:
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
        failed = dict.fromkeys(failure.kernel for failure in run.failures)
        if failed:
            found.append(f'{which} has failures, told under "What is missing": {", ".join(failed)}.')
    return tuple(found)


def _differences(runs: list[Run]) -> tuple[Block, ...]:
    if len(runs) < 2:
        return ()
    table = machine.differences(runs)
    return (
        (table,)
        if table
        else (Paragraph("Nothing that was recorded: same machine, libraries, network, data and weights."),)
    )


def _computed(run: Run, several: bool) -> tuple[Block, ...]:
    if not run.records:
        return ()
    first = run.records[0]
    spec, data, weights = first.spec, first.data, first.weights
    network = f"{spec.hidden} in the hidden layers, {spec.output} at the output, {spec.dtype}"
    size = f"{spec.flop(1):,} floating-point operations per sample, {words.data_size(spec.weight_bytes())} of weights"
    items = [
        f"Network {spec.label()}: {network}; {size}.",
        f"Data: {data.name}, {data.rows:,} rows, {_origin(data.source)} (sha256 {machine.short(data.sha256)}).",
        f"Weights: {weights.source or 'source not recorded'} (sha256 {machine.short(weights.sha256)}).",
    ]
    if any(case.repeated_rows for record in run.records for case in record.cases):
        rows = max(case.rows_per_call for record in run.records for case in record.cases)
        target = f"to {rows:,} rows" if rows > data.rows else "to fill the timed inputs"
        items.append(f"The {data.rows:,} rows of {data.name} are repeated {target}.")
    head = (Paragraph(f"{run.title}:"),) if several else ()
    return (*head, Points(tuple(items)))


def _origin(source: str | None) -> str:
    return f"from {source}" if source else "source not recorded"


def _kernels(runs: list[Run]) -> tuple[Block, ...]:
    several = len(runs) > 1
    firsts = {(run.name, kernel): _first(run, kernel) for run in runs for kernel in run.kernels}
    if not firsts:
        return ()
    names = [*(["run"] if several else []), "kernel", "library", "device"]
    names += ["accuracy, one at a time / in batches"]
    numbers = ["largest error", "import", "construction"]
    columns = (*map(Column, names), *(Column(name, number=True) for name in numbers), Column("what it says it uses"))
    rows = tuple((*([run] if several else []), *_kernel_row(record)) for (run, _), record in firsts.items())
    return (Table("Who ran, from the first repeat that got so far.", columns, rows, heads=2 if several else 1),)


def _first(run: Run, kernel: str) -> Record:
    """Return the first record of a kernel that passed the gate, or the first of all."""
    records = [record for record in run.records if record.kernel == kernel]
    return next((record for record in records if record.backend is not None), records[0])


def _kernel_row(record: Record) -> tuple[str, ...]:
    used = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in record.describe.items() if value is not None)
    return (
        record.kernel,
        f"{record.backend or 'unknown'} {record.version or ''}".rstrip(),
        record.device or "unknown",
        _accuracy(record),
        "not measured" if record.max_error is None else f"{record.max_error:.1e}",
        *("not measured" if time is None else words.seconds(time) for time in (record.import_s, record.construct_s)),
        used or "nothing",
    )


def _accuracy(record: Record) -> str:
    found = record.accuracy
    if found.per_sample is None or found.batched is None:
        return found.reason or "not measured"
    return f"{found.per_sample:.4f} / {found.batched:.4f} of {found.rows:,} rows"


def _again(run: Run, several: bool) -> tuple[Block, ...]:
    import shlex

    head = f"{run.title}. " if several else ""
    if run.plan is None:
        return (Paragraph(f"{head}Made by pytest by hand; its command was not recorded."),)
    plan = run.plan
    command = shlex.join(plan.command)
    if plan.seed is not None and "--seed" not in command:
        command += f" --seed {plan.seed}"
    ran = run.ending.order if run.ending else plan.order
    order = ", ".join(f"{kernel} {repeat + 1}" for kernel, repeat in ran)
    return (
        Paragraph(f"{head}Started {plan.started or 'at an unknown time'}; the seed sets the order of the processes."),
        Command(command),
        Paragraph(f"Order of kernels and repeats: {order}."),
    )
