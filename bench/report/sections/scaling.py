"""What threads bring, as a figure for each group of runs that differ in nothing else, with the numbers as a table."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis.scaling import Gain, Scaling
from mlpbench.bench.report.document import Block, Figure, Paragraph, Table, columns

_READING = (
    "Time per sample with {fewest} divided by the time with more, the same kernel at the same batch size; both axes "
    "are logarithmic. Below the dashed line at 1x more threads are slower."
)


def blocks(found: Sequence[Scaling]) -> tuple[Block, ...]:
    """Return a figure for each group, or its table where nothing was timed in batches, and the threads in use."""
    first = next((number for number, one in enumerate(found) if one.drawn), 0)
    return tuple(
        block
        for number, one in enumerate(found)
        for block in (_figure(number, one, again=number > first) if one.drawn else _table(one), Paragraph(_in_use(one)))
    )


def _in_use(found: Scaling) -> str:
    """Return how many threads the kernels say that they used, as a sentence for each number that was given."""
    said = []
    for given in sorted({gain.threads for gain in found.gains}):
        used = {gain.kernel: _count(gain.used) for gain in found.gains if gain.threads == given}
        kernels = ", ".join(f"{kernel} {count}" for kernel, count in used.items())
        said.append(f"Of {_threads(given)} given, kernels say that they use: {kernels}.")
    return " ".join(said)


def _figure(number: int, found: Scaling, *, again: bool) -> Figure:
    """Return the figure of a group; how to read it is said of the first."""
    title = f"Speedup over {_threads(found.fewest)}: {found.spec}, {found.dtype}, {found.data}"
    reading = "Read as the one above." if again else _READING.format(fewest=_threads(found.fewest))
    return Figure(f"scaling-{number}", title, reading, _table(found), found)


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
    caption = (
        f"Time with {_threads(found.fewest)} / time with more. Used: what the kernel says; small batches may use fewer."
    )
    return Table(caption, columns(["kernel"], numbers), rows)


def _count(*used: int | None) -> str:
    return next((str(count) for count in used if count is not None), "does not say")
