"""What was computed, by whom, what is in the clock, and how to do it again."""

import shlex
from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.schema import Record
from mlpbench.bench.report.document import Block, Command, Findings, Part, table
from mlpbench.bench.report.sections import machine

_CLOCK = (
    "A time is the fastest tenth of a process's quiet rounds, divided by the samples of a call.",
    "The value shown is the median over repeats, each a fresh process; its interval is from the repeats alone.",
    "One at a time: Python calls the kernel with one sample and waits for the result. Batch: one call for all samples.",
    "In the clock: the forward pass and the wait. Outside: parameters, transfers, compiling, first call, check.",
    "Speedup: time per sample one at a time / in a batch, in the same process; the median of these over the repeats.",
    "A kernel is timed right after it agreed with a float64 reference, on inputs that rotate through the data set.",
)
_BOOK_CLOCK = "The book's cell: loading data and weights, making the network, inferring all images, counting hits."


def _clock(findings: Findings) -> tuple[Block, ...]:
    """Return what is in the clock, of the book's cell too where it was timed, and what the harness costs."""
    book = (_BOOK_CLOCK,) if any(case.mode == "book" for case in findings.cases) else ()
    return ((*_CLOCK, *book, *machine.harness(findings)),)


def _kernels(findings: Findings) -> tuple[Block, ...]:
    """Return the kernels of every run, each as the first repeat that got so far says."""
    rows = []
    for run in findings.runs:
        for kernel in run.kernels:
            records = [record for record in run.records if record.kernel == kernel]
            # The first that passed the gate, or the first of all.
            first = min(records, key=lambda record: (record.kernel_info.backend is None, record.repeat))
            rows.append((run.name, kernel, *_kernel(first), _threads(records)))
    numbers = ("largest error", "import", "construction", "accuracy, one at a time / in batches")
    last = ("library", "device", "configuration", "threads given; as reported by")
    caption = "As the first repeat of each kernel says that got so far. More threads than were given fail a case."
    return (table(caption, ("kernel",), numbers, last, rows=rows, several=findings.several),)


def _kernel(record: Record) -> tuple[str, ...]:
    info, accuracy = record.kernel_info, record.kernel_info.accuracy
    used = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in info.describe.items() if value is not None)
    hits = accuracy.reason or "not measured"
    if accuracy.per_sample is not None and accuracy.batched is not None:
        hits = f"{accuracy.per_sample:.4f} / {accuracy.batched:.4f} of {accuracy.rows:,} rows"
    return (
        "not measured" if info.max_error is None else f"{info.max_error:.1e}",
        *("not measured" if time is None else words.seconds(time) for time in (info.import_s, info.construct_s)),
        hits,
        f"{info.backend or 'unknown'} {info.version or ''}".rstrip(),
        record.device or "unknown",
        used or "defaults",
    )


def _threads(records: Sequence[Record]) -> str:
    """Return how many threads a kernel was given, and who reported how many: ``2; openblas 2, the kernel 1``."""
    if all(record.thread_use is None for record in records):
        return "not recorded"
    counts = grouped(count for record in records for count in record.thread_use or ())
    texts = (f"{who} {' or '.join(map(str, sorted(set(threads))))}" for who, threads in counts.items())
    return f"{records[0].threads}; {', '.join(texts) or 'nobody'}"


def _again(findings: Findings) -> Iterator[Block]:
    """Yield when every run started, and its command."""
    for run in findings.runs:
        head, plan = f"{run.title}. " if findings.several else "", run.plan
        if plan is None:
            yield f"{head}Made by pytest by hand; its command was not recorded."
            continue
        command = shlex.join(plan.command)
        seed = "" if plan.seed is None or "--seed" in command else f" --seed {plan.seed}"
        yield f"{head}Started {plan.started or 'at an unknown time'}; the seed sets the order of the processes."
        yield Command(command + seed)


SECTIONS = (
    Part(200, "clock", "What is in the clock", _clock),
    Part(220, "kernels", "Kernels", _kernels),
    Part(240, "repeat", "Reproduce", _again),
)
