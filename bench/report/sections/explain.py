"""The report's section on what the speedup is made of: sentences, three charts for each run, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpbench.bench import words
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.explain_words import (
    PART_WORDS,
    impossible_words,
    kernel_sentences,
    part_words,
    percent,
    run_sentences,
)
from mlpbench.bench.report.document import MANY_RUNS, Block, Column, Figure, Fold, Paragraph, Points, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlpbench.bench.analysis.explain import CaseShare, Explanation, KernelExplanation


TITLE = "What the speedup is made of"
ROOF_COLUMNS = ("case", "intensity", "achieved", "share", "roof that binds")

_WATERFALL = (
    "Read from top to bottom: the whole time of a sample one at a time, what each cause takes off it, and what is left "
    "in batches; a bar begins where the one above it ends, and unexplained is what the causes do not account for."
)
_HOCKNEY = (
    "Both axes are logarithmic: symbols are measured calls, the line is t0 + B / r_inf fitted to them (t0: what a call "
    "costs; r_inf: the rate of endless batches, of which n_half rows reach half; dashed: the line in parts), and where "
    "a symbol lies off its line the kernel does not follow the model."
)
_ROOFLINE = (
    "Both axes are logarithmic: no symbol can lie above its roof, slanted where reading limits, from the memory that "
    "holds the weights, and flat where arithmetic does (dashed: one thread); the nearer a symbol is to it, the less is "
    "left to gain."
)


def chart_name(kind: str, number: int) -> str:
    """Return the name of a chart of the run with that number."""
    return f"{kind}-{number}"


def blocks(explanations: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the section's content, run after run; of many runs, each has to be opened on a page."""
    several, many = len(explanations) > 1, len(explanations) > MANY_RUNS
    told: list[Block] = []
    for number, found in enumerate(explanations):
        inner = tuple(_of_run(found, number, several=several))
        told += (Fold(found.title, inner),) if many else ((Paragraph(f"{found.title}:"),) * several + inner)
    return tuple(told)


def notices(explanations: Sequence[Explanation]) -> tuple[str, ...]:
    """Return what must stand beside the headline: times that cannot be, and so are no evidence.

    Of several runs, one sentence for each that has any: the section says what is wrong with each time.
    """
    if len(explanations) > 1:
        return tuple(text for found in explanations if (text := _impossible_in(found)))
    return tuple(
        f"{kernel.kernel}: {line}"
        for found in explanations
        for kernel in found.kernels
        for line in map(impossible_words, kernel.impossible)
    )


def _impossible_in(found: Explanation) -> str | None:
    counts = [(kernel.kernel, len(kernel.impossible)) for kernel in found.kernels if kernel.impossible]
    if not counts:
        return None
    told = ", ".join(f"{count} of {kernel}" for kernel, count in counts)
    return f'{found.title} has times that are impossible and refused, told under "{TITLE}": {told}.'


def _of_run(found: Explanation, number: int, *, several: bool) -> Iterator[Block]:
    yield Points(tuple(run_sentences(found)))
    for kernel in found.kernels:
        yield Paragraph(f"{kernel.kernel}:")
        yield Points(tuple(kernel_sentences(kernel)))
    after = f", {found.of_run}" if several else ""
    if any(kernel.attribution for kernel in found.kernels):
        title = f"Where the time of a sample goes{after}"
        yield Figure(chart_name("waterfall", number), title, _WATERFALL, waterfall_table(found))
    if any(kernel.fit for kernel in found.kernels):
        title = f"Time of a call, and the line through it{after}"
        yield Figure(chart_name("hockney", number), title, _HOCKNEY, _hockney_table(found))
    if any(share.verdict for kernel in found.kernels for share in kernel.shares):
        title = f"Every case under its roof{after}"
        yield Figure(chart_name("roofline", number), title, _ROOFLINE, _roof_table(found))


def waterfall_table(found: Explanation) -> Table:
    """Return the time of a sample of each kernel, one at a time and in batches, and what the difference is made of."""
    names = ("one at a time", *(PART_WORDS[name] for name in PARTS), "in batches of", "left")
    rows = []
    for kernel in found.kernels:
        parts = kernel.attribution
        if parts is not None:
            cells = [part_words(parts.parts[name], parts) for name in PARTS]
            ends = words.seconds(parts.one_s), f"{parts.batch_size:,}", words.seconds(parts.batch_s)
            rows.append((kernel.kernel, ends[0], *cells, *ends[1:]))
    caption = "Time per sample: shares are of what batching saves, intervals are 95 % over repeats."
    return Table(caption, (Column("kernel"), *(Column(name, number=True) for name in names)), tuple(rows))


def _hockney_table(found: Explanation) -> Table:
    names = ("batch size", "measured call", "fitted", "predicted from three")
    rows = tuple(row for kernel in found.kernels for row in _hockney_rows(kernel))
    caption = "Time of a call. The three batch sizes that predictions are made from have none."
    return Table(caption, (Column("kernel"), *(Column(name, number=True) for name in names)), rows)


def _hockney_rows(kernel: KernelExplanation) -> Iterator[tuple[str, ...]]:
    if kernel.fit is None:
        return
    predicted = {one.batch_size: one for one in kernel.fit.predictions}
    for size, misfit in kernel.fit.misfit.items():
        guess = predicted.get(size)
        yield (
            kernel.kernel,
            f"{size:,}",
            words.seconds(kernel.measured[size]),
            f"{words.seconds(kernel.fit.line.call_s(size))} ({_percent(misfit)})",
            "" if guess is None else f"{words.seconds(guess.predicted_s)} ({_percent(guess.error)})",
        )


def _roof_table(found: Explanation) -> Table:
    rows = tuple((kernel.kernel, *roof_row(share)) for kernel in found.kernels for share in kernel.shares)
    columns = (Column("kernel"), *(Column(name, number=name in ROOF_COLUMNS[1:-1]) for name in ROOF_COLUMNS))
    caption = (
        "Intensity: floating-point operations for each byte that must be read or written. Share: the least time that "
        "the roof allows, divided by the measured time."
    )
    return Table(caption, columns, rows, heads=2)


def roof_row(share: CaseShare) -> tuple[str, ...]:
    """Return the cells of a case, in the order of `ROOF_COLUMNS`."""
    where = "one at a time" if share.mode == "per_sample" else f"batch {share.batch_size:,}"
    numbers = (where, f"{share.intensity:.3g} FLOP/B", f"{share.flop_s / 1e9:.3g} GFLOP/s")
    verdict = share.verdict
    if verdict is None:
        return (*numbers, "", "no roof was measured")
    roof = (
        verdict.binding.roof
        if verdict.binding.what == "arithmetic"
        else f"{verdict.binding.what} from {verdict.binding.roof}"
    )
    of_roof = percent(verdict.share)
    if verdict.impossible:
        return (*numbers, f"{of_roof}: impossible", f"{roof}; {verdict.reason}")
    return (*numbers, of_roof, f"{roof}; {verdict.reason}" if verdict.reason else roof)


def _percent(share: float) -> str:
    return f"{share:+.1%}".replace("%", " %")
