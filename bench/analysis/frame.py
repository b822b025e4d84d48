"""Records as tidy pandas data frames. The files keep the rounds; what stands here is derived from them.

One row of `load` is one case in one repeat (one process). Its columns:

================  =================================================================================================
run, machine      the run's name (UTC stamp and commit; of one setting of a sweep, its label too) and the machine's
kernel, backend,  what was timed; ``backend`` and ``device`` are missing where the kernel did not get far enough to
device            say
mode              ``per_sample``, ``batched`` or ``book``
batch_size        rows of one call; of ``per_sample``, the rows that one round goes through one by one
repeat            number of the process, from 0
spec, dtype,      the network: sizes as ``784-50-100-10``, its dtype, hidden and output activation
hidden, output
threads           threads that the libraries were given
data              name of the data set
rounds,           rounds in the file, and calls timed together as one round
iterations
call_s            median over rounds of the seconds for one call of what was timed
sample_s          the same for one sample (input row): ``call_s`` / rows of a call
sample_p25_s,     quartiles and minimum over rounds of the seconds for one sample
sample_p75_s,
sample_min_s
first_call_s      seconds of the first call of this shape, compilation included
from_host_s,      seconds to move one batch of inputs to the device, and its result back
to_host_s
construct_s       seconds to make the kernel from its parameters
accuracy          share of rows answered right, in the way of the case (one at a time or batched); missing without
                  labels
repeated_rows     whether the data set was shorter than the sweep and its rows came again
includes_loading  whether loading data and weights is inside the time (the book's cell)
load_s,           of the book's cell, median over rounds of the seconds for its parts: reading the data's files, reading
initialise_s,     weights and making the network, inferring every row, counting the hits; and for what they leave
infer_s, count_s,
rest_s
reads             what the book's cell loads, in words
disturbed         whether something else got in the way of this case in this repeat (`bench.trust.disturbance`)
import_s          seconds to import the kernel's library
compile_s         seconds that the library spent compiling in this process, where it tells; part of other columns
fresh_import_s,   the same in a process of its own that found no compiled code; compiling is part of the others
fresh_construct_s,
fresh_compile_s,
fresh_first_call_s
filled_import_s,  the same in the process after it, which found all of it; both are in the rows of the repeat beside
filled_construct_s,  which they were measured
filled_compile_s,
filled_first_call_s
peak_bytes        resident memory that the construction and the first calls added at their peak
pool_bytes        memory of a device, the most that the kernel's pool held
================  =================================================================================================

What a file does not know is NaN (or missing, in a text column). The unit of statistics is the repeat: take
``sample_s`` per repeat to `bench.stats.estimates`, not the rounds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import book_parts
from mlpbench.bench.record.runs import Run, read_runs
from mlpbench.bench.record.schema import Record
from mlpbench.bench.trust.disturbance import best_spin_s, disturbances

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlpbench.bench.record.schema import Timing
    from mlpbench.bench.record.trust import Start


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlpbench.bench.record.schema import Timing

_PHASES = ("import_s", "construct_s", "compile_s", "first_call_s")
TRUST_COLUMNS = {
    "disturbed": "boolean",
    "import_s": "float64",
    "compile_s": "float64",
    **{f"{cache}_{phase}": "float64" for cache in ("fresh", "filled") for phase in _PHASES},
    "peak_bytes": "float64",
    "pool_bytes": "float64",
}


class Columns:
    """Makes the columns of the rows of one run: whether a case was disturbed depends on all of its processes."""

    def __init__(self, records: Sequence[Record]) -> None:
        best = best_spin_s(record.trust for record in records)
        self._disturbed = {id(record): disturbances(record.trust, best) for record in records}

    def row(self, record: Record, case: Timing) -> dict[str, Any]:
        """Return the columns of one case of one process."""
        trust, at = record.trust, (case.mode, case.batch_size)
        known = any((window.mode, window.batch_size) == at for window in trust.windows)
        row: dict[str, Any] = {
            "disturbed": at in self._disturbed[id(record)] if known else None,
            "import_s": record.import_s,
            "compile_s": trust.compile_s,
            "pool_bytes": trust.pool_bytes,
        }
        for start in trust.starts:
            row |= _start(start, at)
        return row


def _start(start: Start, at: tuple[str, int]) -> dict[str, Any]:
    values = (start.import_s, start.construct_s, start.compile_s, start.first_calls_s.get(at))
    named = {f"{'fresh' if start.fresh else 'filled'}_{phase}": v for phase, v in zip(_PHASES, values, strict=True)}
    # With a filled cache nothing compiles: what is added is the kernel's own, and not the compiler's.
    return named if start.fresh else {**named, "peak_bytes": start.peak_bytes}


#: A run, one of its records, or the path of either.
Source = Run | Record | Path | str

COLUMNS = {
    "run": "str",
    "machine": "str",
    "kernel": "str",
    "backend": "str",
    "device": "str",
    "mode": "str",
    "batch_size": "int64",
    "repeat": "int64",
    "spec": "str",
    "dtype": "str",
    "hidden": "str",
    "output": "str",
    "threads": "Int64",
    "data": "str",
    "rounds": "int64",
    "iterations": "int64",
    "call_s": "float64",
    "sample_s": "float64",
    "sample_p25_s": "float64",
    "sample_p75_s": "float64",
    "sample_min_s": "float64",
    "first_call_s": "float64",
    "from_host_s": "float64",
    "to_host_s": "float64",
    "construct_s": "float64",
    "accuracy": "float64",
    "repeated_rows": "bool",
    "includes_loading": "bool",
    **book_parts.COLUMNS,
    **TRUST_COLUMNS,
}
_ROUNDS = {
    "run": "str",
    "kernel": "str",
    "mode": "str",
    "batch_size": "int64",
    "repeat": "int64",
    "round": "int64",
    "call_s": "float64",
}
_FAILURES = {
    "run": "str",
    "kernel": "str",
    "mode": "str",
    "batch_size": "Int64",
    "repeat": "int64",
    "phase": "str",
    "reason": "str",
}
_SKIPPED = {"run": "str", "kernel": "str", "reason": "str"}


def load(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return one row for each case and repeat, in the order of the sources; the columns are in this module's text.

    Paths are read by `bench.record.runs.read_run`, which raises UserError for what it cannot read; so does naming the same
    results twice, which would count every repeat twice. Without any timing the frame is empty and has its columns.
    """
    frame = _frame(_rows(sources), COLUMNS)
    twice = frame[frame.duplicated(["run", "machine", "kernel", "mode", "batch_size", "repeat"])]
    if len(twice):
        raise UserError(f"the run {twice['run'].iloc[0]} is named twice: name each run or record once")
    return frame


def load_named(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the same with runs called what tables call them (`bench.record.runs.named`)."""
    frame = load(runs)
    frame["run"] = frame["run"].map({run.id: run.name for run in runs})
    return frame


def load_rounds(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return every raw round: run, kernel, mode, batch_size, repeat, round (from 0), call_s (seconds per call)."""
    parts = [
        pd.DataFrame(
            {
                "run": run.id,
                "kernel": case.kernel,
                "mode": case.mode,
                "batch_size": case.batch_size,
                "repeat": record.repeat,
                "round": np.arange(len(case.rounds_s)),
                "call_s": case.rounds_s,
            }
        )
        for run, record, case in _cases(sources)
    ]
    return pd.concat(parts, ignore_index=True) if parts else _frame((), _ROUNDS)


def failures(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return what has no time: run, kernel, mode, batch_size, repeat, phase, reason; one row for each repeat.

    ``mode`` and ``batch_size`` are missing where the whole kernel failed. Processes that an interrupted run did not
    come to have the phase ``interrupted``.
    """
    rows: list[dict[str, Any]] = []
    for run in runs(sources):
        for record in run.records:
            rows += [{"run": run.id, "repeat": record.repeat, **vars(failure)} for failure in record.failures]
        reason = "the run was interrupted before this process ended"
        rows += [
            {"run": run.id, "kernel": kernel, "repeat": repeat, "phase": "interrupted", "reason": reason}
            for kernel, repeat in run.missing
        ]
    return _frame(rows, _FAILURES)


def skipped(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return the kernels that the runs left out: run, kernel, reason."""
    return _frame(({"run": run.id, **vars(item)} for run in runs(sources) for item in run.skipped), _SKIPPED)


def runs(sources: Source | Iterable[Source]) -> Iterator[Run]:
    """Yield the sources as runs, reading those that are paths; a record alone becomes a run of its own."""
    for source in (sources,) if isinstance(sources, Run | Record | Path | str) else sources:
        if isinstance(source, Run):
            yield source
        elif isinstance(source, Record):
            yield Run(source.path, source.plan, source.environment, (source,))
        else:
            yield from read_runs(Path(source))


def _cases(sources: Source | Iterable[Source]) -> Iterator[tuple[Run, Record, Timing]]:
    for run in runs(sources):
        for record in run.records:
            for case in record.cases:
                yield run, record, case


def _rows(sources: Source | Iterable[Source]) -> Iterator[dict[str, Any]]:
    for run in runs(sources):
        more = Columns(run.records)
        for record in run.records:
            yield from (_row(run, record, case) | more.row(record, case) for case in record.cases)


def _row(run: Run, record: Record, case: Timing) -> dict[str, Any]:
    low, median, high = np.quantile(case.rounds_s, [0.25, 0.5, 0.75])
    rows = case.rows_per_call
    one_by_one = case.mode == "per_sample" or (case.mode == "book" and case.batch_size == 1)
    return {
        "run": run.id,
        "machine": record.machine,
        "kernel": record.kernel,
        "backend": record.backend,
        "device": record.device,
        "mode": case.mode,
        "batch_size": case.batch_size,
        "repeat": record.repeat,
        "spec": record.spec.label(),
        "dtype": record.spec.dtype,
        "hidden": record.spec.hidden,
        "output": record.spec.output,
        "threads": record.threads,
        "data": record.data.name,
        "rounds": len(case.rounds_s),
        "iterations": case.iterations,
        "call_s": median,
        "sample_s": median / rows,
        "sample_p25_s": low / rows,
        "sample_p75_s": high / rows,
        "sample_min_s": min(case.rounds_s) / rows,
        "first_call_s": case.first_call_s,
        "from_host_s": case.from_host_s,
        "to_host_s": case.to_host_s,
        "construct_s": record.construct_s,
        "accuracy": record.accuracy.per_sample if one_by_one else record.accuracy.batched,
        "repeated_rows": case.repeated_rows,
        "includes_loading": case.includes_loading,
        **book_parts.columns(case.parts, case.rounds_s),
    }


def _frame(rows: Iterable[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    """Return rows as a frame whose number columns have their dtype; texts keep the one of the installed pandas."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    return frame.astype({name: dtype for name, dtype in columns.items() if dtype != "str"})
