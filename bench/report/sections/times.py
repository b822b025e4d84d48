"""The cases as tables: every case with all that is known about it, and one value against batch size."""

from collections.abc import Callable, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.headline import KernelFinding
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.groups import grouped
from mlpbench.bench.report import document
from mlpbench.bench.report.document import Block, Figure, Findings, Part, Section, Table, pivot, table

_MODES = {"per_sample": "one at a time", "batched": "batch", "book": "book's cell"}

_TIME_READING = (
    "Lower is faster; both axes are logarithmic. A line is one kernel called with whole batches. Hollow symbols on the "
    "left: one sample at a time. Small dots are repeats, a whisker is the 95 % interval from them."
)
_SPEEDUP_READING = (
    "Higher gains more; both axes are logarithmic. Each kernel is compared with itself one at a time, in the same "
    "process. The dashed line at 1x is one at a time; below it, batches are slower."
)
_PANELS = " A panel is one run or setting; all have the same axes."
_NO_WHISKERS = " With one repeat there is no interval, so no whisker is drawn."


def case_table(cases: Sequence[CaseSummary]) -> Table:
    """Return the table of all cases."""
    numbers = ("batch size", "time per sample", "samples/s", "speedup", "first call", "rounds", "repeats")
    caption = (
        "Every case: the median over repeats, with the 95 % interval in brackets. Rounds are per repeat, the fewest; "
        "a repeat's time is the fastest tenth of its quiet rounds."
    )
    return table(caption, ("kernel", "mode"), numbers, rows=map(_case_row, cases), several=_are_several(cases))


def _are_several(cases: Sequence[CaseSummary]) -> bool:
    return len({case.run for case in cases}) > 1


def _case_row(case: CaseSummary) -> tuple[str, ...]:
    return (
        case.run,
        case.name,
        _MODES.get(case.mode, case.mode),
        f"{1 if case.mode == 'per_sample' else case.batch_size:,}",
        words.duration(case.sample),
        words.count(case.throughput),
        _speedup(case),
        words.seconds(case.first_call_s),
        f"{case.rounds:,}",
        f"{case.repeats}, {case.disturbed} disturbed" if case.disturbed else str(case.repeats),
    )


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
    caption = f"Time per sample, the fastest kernel first, with 95 % intervals{'' if several else ' of the speedups'}."
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
    times = _against_batch_size(cases, lambda case: words.duration(case.sample))
    time = Figure("time", "Time per sample", _TIME_READING + note, times, panels)
    if not any(case.speedup is not None for case in batches):
        return (time,)
    gains = _against_batch_size(cases, _speedup)
    gain = Figure("speedup", "Speedup over one at a time", _SPEEDUP_READING + note, gains, panels)
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
    return table(caption, ("kernel",), numbers, rows=rows, several=_are_several(cases))


def _cases(findings: Findings) -> tuple[Block, ...]:
    """Return every case, and for each run whose repeats were open why it ended."""
    texts = (f"{run.title}: {run.outcome}" for run in findings.runs if run.outcome)
    return (case_table(findings.cases), *(texts if findings.cases else ()))


def _kernel_by_kernel(findings: Findings) -> tuple[Block, ...]:
    """Return what several runs show of each kernel, and who is fastest."""
    heading = findings.of(document.heading)
    return (kernel_table(heading.kernels, several=True), tuple(heading.ranks)) if findings.several else ()


SECTIONS = (
    Part(10, "charts", "Time and speedup against batch size", _figures, open=True),
    Part(15, "cases", "Every case", _cases, open=True),
    Part(120, "kernel-by-kernel", "Kernel by kernel", _kernel_by_kernel),
)
