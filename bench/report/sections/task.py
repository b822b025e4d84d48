"""What was computed, by whom, what is in the clock, and how to do it again."""

import shlex
from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.report.document import Block, Command, Paragraph, Points, columns, table_of_runs
from mlpbench.bench.report.parts import Findings, Part, always
from mlpbench.bench.report.sections import trust
from mlpbench.bench.report.sections.machine import short

_CLOCK = (
    (
        "A time is the fastest tenth of the quiet rounds of one process, divided by the samples that a call processes. "
        "The value shown is the median over repeats, each a fresh process, and its interval is from the repeats alone."
    ),
    (
        "One at a time: Python calls the kernel with one sample and waits for the result, sample after sample. Batch: "
        "one call for all samples of the batch, and the wait for the result."
    ),
    (
        "In the clock: the forward pass and the wait. Outside it: making parameters, moving data to a device and back, "
        "compiling, the first call, the check. The first call has a column of its own."
    ),
    (
        "A speedup is the time per sample one at a time divided by the time per sample in a batch, within the same "
        "process; the value shown is the median of these ratios over the repeats."
    ),
    (
        "Each kernel has just agreed with a float64 reference, in the same process, when it is timed. Inputs rotate "
        "through the data set, so that no kernel is timed on one row that stays in cache."
    ),
)
_BOOK_CLOCK = (
    "The book's cell: everything in the clock, as the book has it. Data and weights are loaded, the network is made, "
    "all images are inferred, and the hits are counted; its time is divided by the number of images."
)


def _clock(found: Findings) -> tuple[Points]:
    """Return what is in the clock, in that of the book's cell where it was timed, and what the harness costs."""
    paragraphs = (*_CLOCK, _BOOK_CLOCK) if any(case.mode == "book" for case in found.cases) else _CLOCK
    return (Points((*paragraphs, *trust.harness(found.of(trust.judged)))),)


def computed(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return network, data and weights, run after run."""
    found: list[Block] = []
    for run in runs:
        if run.records:
            found += [Paragraph(f"{run.title}:")] if len(runs) > 1 else []
            found.append(Points(tuple(_computed(run))))
    return tuple(found)


def _computed(run: Run) -> list[str]:
    first = run.records[0]
    spec, data, weights = first.spec, first.data, first.weights
    network = f"{spec.hidden} in the hidden layers, {spec.output} at the output, {spec.dtype}"
    size = f"{spec.flop(1):,} floating-point operations per sample, {words.data_size(spec.weight_bytes())} of weights"
    origin = f"from {data.source}" if data.source else "source not recorded"
    said = [
        f"Network {spec.label()}: {network}; {size}.",
        f"Data: {data.name}, {data.rows:,} rows, {origin} (sha256 {short(data.sha256)}).",
        f"Weights: {weights.source or 'source not recorded'} (sha256 {short(weights.sha256)}).",
    ]
    cases = [case for record in run.records for case in record.cases]
    if any(case.repeated_rows for case in cases):
        rows = max(case.rows_per_call for case in cases)
        target = f"to {rows:,} rows" if rows > data.rows else "to fill the timed inputs"
        said.append(f"The {data.rows:,} rows of {data.name} are repeated {target}.")
    return said


def kernels(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return the kernels of every run, each as the first repeat that got so far says."""
    rows = [(run.name, *_kernel(record)) for run in runs for record in _firsts(run)]
    texts = ("kernel", "library", "device", "accuracy, one at a time / in batches")
    made = columns(texts, ("largest error", "import", "construction"), ["configuration"])
    caption = "As the first repeat of each kernel says that got so far."
    return (table_of_runs(caption, made, rows, several=len(runs) > 1),) if rows else ()


def _firsts(run: Run) -> list[Record]:
    """Return the first record of each kernel that passed the gate, or the first of all."""
    found: dict[str, Record] = {}
    for record in run.records:
        before = found.setdefault(record.kernel, record)
        if before.backend is None and record.backend is not None:
            found[record.kernel] = record
    return [found[kernel] for kernel in run.kernels]


def _kernel(record: Record) -> tuple[str, ...]:
    used = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in record.describe.items() if value is not None)
    return (
        record.kernel,
        f"{record.backend or 'unknown'} {record.version or ''}".rstrip(),
        record.device or "unknown",
        _accuracy(record),
        "not measured" if record.max_error is None else f"{record.max_error:.1e}",
        *("not measured" if time is None else words.seconds(time) for time in (record.import_s, record.construct_s)),
        used or "defaults",
    )


def _accuracy(record: Record) -> str:
    found = record.accuracy
    if found.per_sample is None or found.batched is None:
        return found.reason or "not measured"
    return f"{found.per_sample:.4f} / {found.batched:.4f} of {found.rows:,} rows"


def again(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return the command of every run, and the order in which its processes ran."""
    return tuple(block for run in runs for block in _again(run, f"{run.title}. " if len(runs) > 1 else ""))


def _again(run: Run, head: str) -> tuple[Block, ...]:
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


SECTIONS = (
    Part(200, "clock", "What is in the clock", _clock, folded=always),
    Part(210, "computed", "Network, data and weights", lambda found: computed(found.runs), folded=always),
    Part(220, "kernels", "Kernels", lambda found: kernels(found.runs), folded=always),
    Part(240, "repeat", "Reproduce", lambda found: again(found.runs), folded=always),
)
