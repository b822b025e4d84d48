"""What threads bring, as a figure for each group of runs that differ in nothing else, with the numbers as a table."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.scaling import Gain, Scaling
from mlpbench.bench.report.document import Block, Figure, Fold, Points, Table, columns

_READING = (
    "Time per sample with the fewest threads divided by the time with more: the same kernel at the same batch size. "
    "Whiskers are 95 % intervals; both axes are logarithmic. Below the dashed line at 1x more threads are slower."
)


def blocks(found: Sequence[Scaling]) -> tuple[Block, ...]:
    """Return the figure of all groups, or their tables where nothing was timed in batches, and the threads in use."""
    if not found:
        return ()
    said = Points(tuple(dict.fromkeys(map(_in_use, found))))
    tables = tuple(map(_table, found))
    if not any(one.drawn for one in found):
        return (*tables, said)
    first, *others = tables
    title = f"Speedup over {_threads(found[0].fewest)}"
    numbers = (Fold("The numbers of the other settings", tuple(others)),) if others else ()
    return (Figure("scaling", title, _READING, first, found), said, *numbers)


def _in_use(found: Scaling) -> str:
    """Return how many threads the kernels say that they used, as a sentence for each number that was given."""
    said = []
    for given in sorted({gain.threads for gain in found.gains}):
        used = {gain.kernel: _count(gain.used) for gain in found.gains if gain.threads == given}
        kernels = ", ".join(f"{kernel} {count}" for kernel, count in used.items())
        said.append(f"Of {_threads(given)} given, kernels say that they use: {kernels}.")
    return " ".join(said)


def _threads(count: int) -> str:
    return words.things(count, "thread")


def _table(found: Scaling) -> Table:
    """Return one row for each kernel and number of threads, one column for each case."""
    cases = list(dict.fromkeys((gain.mode, gain.batch_size) for gain in found.gains))
    cases.sort(key=lambda at: (at[0] != "per_sample", at))
    lines: dict[tuple[str, int], dict[tuple[str, int], Gain]] = {}
    for gain in found.gains:
        lines.setdefault((gain.kernel, gain.threads), {})[gain.mode, gain.batch_size] = gain
    rows = tuple(
        (
            kernel,
            str(threads),
            _count(*(gain.used for gain in line.values())),
            *(words.ratio(line[at].speedup) if at in line else "" for at in cases),
        )
        for (kernel, threads), line in lines.items()
    )
    numbers = ("threads given", "threads used", *(words.case(*at) for at in cases))
    where = f"{found.spec}, {found.dtype}, {found.data}{f', env {found.env}' if found.env else ''}"
    caption = (
        f"{where}: time with {_threads(found.fewest)} / time with more. Used: what "
        "the kernel says; small batches may use fewer."
    )
    return Table(caption, columns(["kernel"], numbers), rows)


def _count(*used: int | None) -> str:
    return next((str(count) for count in used if count is not None), "does not say")
