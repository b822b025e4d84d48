"""Records as tidy pandas data frames; what a file does not know is missing.

The unit of statistics is the repeat: estimates leave out the repeats that are ``disturbed``, as `bench.analysis.times`.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpbench.bench.analysis.compare import Comparison
from mlpbench.bench.analysis.judge import Judged, judge
from mlpbench.bench.analysis.summary import CaseSummary, summarize
from mlpbench.bench.analysis.times import accuracy, unchecked
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.device import MEASURES
from mlpbench.bench.record.runs import Run, read_runs
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats.estimates import Ratio
from mlpbench.bench.trust.rounds import CaseTime

#: A run, or the path of a run or of one of its records.
Source = Run | Path | str

_PHASES = {
    "import_s": "import the kernel's library",
    "construct_s": "make the kernel from its parameters",
    "compile_s": "compile, which is part of the others",
    "first_call_s": "make the first call of this shape",
}
#: Of the percentiles of device times.
_SHOWN = (5, 50, 95, 99)
_CACHES = {"fresh": "a process that found no compiled code", "filled": "the process after it, which found all of it"}

#: Every column of `load`: its dtype ("str" is a text), and what it holds.
COLUMNS = {
    "run": ("str", "the run's name: UTC stamp and commit; of one setting of a sweep, its label too"),
    "machine": ("str", "the machine's name"),
    "kernel": ("str", "what was timed"),
    "backend": ("str", "the kernel's library; missing where the kernel did not get far enough to say"),
    "device": ("str", "where the kernel computes; missing as the backend is"),
    "mode": ("str", "per_sample, batched or book"),
    "batch_size": ("int64", "rows of one call; of per_sample, the rows that one round goes through one at a time"),
    "repeat": ("int64", "number of the process, from 0"),
    "spec": ("str", "the network's sizes, as 784-50-100-10"),
    "dtype": ("str", "the network's dtype"),
    "hidden": ("str", "activation of the hidden layers"),
    "output": ("str", "activation at the output"),
    "threads": ("Int64", "threads that the libraries were given"),
    "env": ("str", "name of the Python environment that was measured; missing where that was mlpbench's own"),
    "data": ("str", "name of the data set"),
    "rounds": ("int64", "rounds in the file"),
    "rounds_used": ("int64", "how many of them made the time"),
    "quiet": ("float64", "share of the rounds that nothing disturbed; missing where nobody looked"),
    "iterations": ("int64", "calls timed together as one round"),
    "call_s": ("float64", "10th percentile over the rounds used of the seconds for one call of what was timed"),
    "sample_s": ("float64", "call_s / rows of a call: seconds for one sample (input row)"),
    "sample_p25_s": ("float64", "lower quartile over all rounds of the seconds for one sample"),
    "sample_p75_s": ("float64", "upper quartile over all rounds of the seconds for one sample"),
    "sample_min_s": ("float64", "minimum over all rounds of the seconds for one sample"),
    "first_call_s": ("float64", "seconds of the first call of this shape, compilation included"),
    "from_host_s": ("float64", "seconds to move the inputs of a case to the device: a batch, or its rows one by one"),
    "to_host_s": ("float64", "seconds to move the results back, likewise"),
    "construct_s": ("float64", "seconds to make the kernel from its parameters"),
    "accuracy": ("float64", "share of rows answered right, in the way of the case; missing without labels"),
    "repeated_rows": ("bool", "whether the data set was shorter than the sweep and its rows came again"),
    "includes_loading": ("bool", "whether loading data and weights is inside the time (the book's cell)"),
    "load_s": ("float64", "of the book's cell, median over the rounds used: seconds to read the data's files"),
    "initialise_s": ("float64", "the same to read the weights and make the network"),
    "infer_s": ("float64", "the same to infer every row"),
    "count_s": ("float64", "the same to count the hits"),
    "rest_s": ("float64", "what these four leave of a round"),
    "reads": ("str", "what the book's cell loads, in words"),
    "unchecked": ("bool", "whether no roof tells if the time can be: the kernel skips work, or its peak is unknown"),
    "disturbed": ("boolean", "whether too few rounds were quiet: estimates leave it out where two others are there"),
    "import_s": ("float64", "seconds to import the kernel's library"),
    "compile_s": ("float64", "seconds that the library compiled in this process, where it tells; part of the others"),
    **{
        f"{cache}_{phase}": ("float64", f"seconds to {what}, in {process}")
        for cache, process in _CACHES.items()
        for phase, what in _PHASES.items()
    },
    "peak_bytes": ("float64", "resident memory that the construction and the first calls added at their peak"),
    "pool_bytes": ("float64", "memory of a device, the most that the kernel's pool held"),
    "joules": ("float64", "joules of one sample, in the first repeat"),
    **{
        f"device_{name}_p{percent}_s": ("float64", f"of one call, p{percent} of the seconds {what}")
        for name, what in MEASURES.items()
        for percent in _SHOWN
    },
    "device_samples": ("Int64", "samples of all these that were kept"),
    "device_dropped": ("Int64", "samples that were dropped: the hold gave up, or the card's clock was lowered"),
}

#: Every column of `cases`: its dtype, and what it holds.
CASES = {
    **{name: COLUMNS[name] for name in ("run", "machine", "kernel", "mode", "batch_size")},
    **{name: COLUMNS[name] for name in ("spec", "dtype", "hidden", "output", "threads", "env", "data")},
    "sample_s": ("float64", "median over the repeats that count of the seconds for one sample"),
    "sample_low_s": ("float64", "lower end of its 95 % interval; missing with one repeat"),
    "sample_high_s": ("float64", "upper end of its 95 % interval"),
    "samples_per_s": ("float64", "samples per second: 1 / sample_s"),
    "speedup": ("float64", "time of the same kernel one at a time / sample_s, paired by repeat; of the former missing"),
    "speedup_low": ("float64", "lower end of its 95 % interval"),
    "speedup_high": ("float64", "upper end of its 95 % interval"),
    "repeats": ("int64", "repeats that count"),
    "disturbed": ("int64", "repeats that something disturbed, whether they count or not"),
    "rounds": ("int64", "rounds of a repeat, the fewest"),
    "first_call_s": ("float64", "median over repeats of the seconds of the first call of this shape"),
    **{name: COLUMNS[name] for name in ("accuracy", "repeated_rows", "includes_loading", "unchecked")},
}
#: Every column of `rounds`: its dtype, and what it holds.
ROUNDS = {
    **{name: COLUMNS[name] for name in ("run", "machine", "kernel", "mode", "batch_size", "repeat")},
    "round": ("int64", "number of the round in its repeat, from 0, in the order measured"),
    "call_s": ("float64", "seconds for one call of what was timed: the round / its iterations"),
    "sample_s": COLUMNS["sample_s"],
    "used": ("bool", "whether the round is one of those that made the time of its repeat"),
}

#: Every column of `compared`: its dtype, and what it holds.
COMPARED = {
    "baseline_kernel": ("str", "the kernel on the one side"),
    "candidate_kernel": ("str", "the kernel on the other side"),
    "mode": COLUMNS["mode"],
    "batch_size": COLUMNS["batch_size"],
    "setting": ("str", "which setting of a sweep both sides are, in words; missing where there is one"),
    "baseline_s": ("float64", "median over repeats of the seconds for one sample"),
    "candidate_s": ("float64", "the same on the other side"),
    "speedup": ("float64", "baseline time / candidate time: above 1 the candidate is faster"),
    "speedup_low": ("float64", "lower end of its 95 % interval"),
    "speedup_high": ("float64", "upper end of its 95 % interval"),
    "repeats": ("int64", "pairs of repeats, or the repeats of the side that has fewer"),
    "p_adjusted": ("float64", "p-value, corrected for the number of cases"),
    "verdict": ("str", "faster, slower, not slower, or undecided"),
    "decides": ("float64", "smallest share by which the candidate is shown not to be slower; missing if none is known"),
    "repeats_needed": ("Int64", "repeats on each side that would tell, of an undecided case where that is known"),
    "slowdown_seen": ("float64", "smallest slowdown that would have been found, as a share"),
}


def load(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return one row for each case and repeat, in the order of the sources, with the columns of `COLUMNS`.

    Raises UserError for a path that cannot be read, and for results that are named twice.
    """
    frame = framed(starmap(_row, _timed(sources)), COLUMNS)
    twice = frame[frame.duplicated(["run", "machine", "kernel", "mode", "batch_size", "repeat"])]
    if len(twice):
        raise UserError(f"the run {twice['run'].iloc[0]} is named twice: name each run or record once")
    return frame


def cases(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return one row for each case of each run, with the columns of `CASES`. Raises UserError as `load`."""
    return framed((_case(run, case) for run in runs(sources) for case in summarize([run])), CASES)


def rounds(sources: Source | Iterable[Source]) -> pd.DataFrame:
    """Return one row for each round of each case and repeat, with the columns of `ROUNDS`. Raises UserError."""
    return framed(chain.from_iterable(starmap(_rounds, _timed(sources))), ROUNDS)


def compared(comparison: Comparison) -> pd.DataFrame:
    """Return one row for each case of a comparison, with the columns of `COMPARED`."""
    rows = (
        {
            **_known(row, COMPARED),
            "baseline_s": row.baseline.value,
            "candidate_s": row.candidate.value,
            **_ratio(row.speedup),
            "repeats": row.speedup.n,
            "slowdown_seen": row.detectable,
        }
        for row in comparison.rows
    )
    return framed(rows, COMPARED)


def _ratio(speedup: Ratio | None) -> dict[str, float]:
    return {"speedup": speedup.value, "speedup_low": speedup.low, "speedup_high": speedup.high} if speedup else {}


def _known(owner: object, columns: Iterable[str]) -> dict[str, Any]:
    """Return the columns that an object has under the same name."""
    return {name: getattr(owner, name) for name in columns if hasattr(owner, name)}


def framed(rows: Iterable[dict[str, Any]], columns: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Return rows as a frame that has all ``columns``, with their dtypes; what a row lacks is missing."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    there = zip(columns.items(), map(str, frame.dtypes), strict=True)
    # Texts keep the dtype of the installed pandas.
    return frame.astype({name: dtype for (name, (dtype, _)), current in there if dtype not in ("str", current)})


def _of_run(run: Run, record: Record) -> dict[str, Any]:
    spec = {**_known(record.spec, ("dtype", "hidden", "output")), "spec": record.spec.label()}
    whose = _known(record, ("machine", "kernel", "repeat", "threads"))
    return {"run": run.id, "env": run.env, "data": record.data.name, **whose, **spec}


def _case(run: Run, case: CaseSummary) -> dict[str, Any]:
    own = {name: value for name, value in _known(case, CASES).items() if name not in ("run", "speedup")}
    return {
        **_of_run(run, run.records[0]),
        **own,
        "sample_s": case.sample.value,
        "sample_low_s": case.sample.low,
        "sample_high_s": case.sample.high,
        "samples_per_s": 1 / case.sample.value,
        **_ratio(case.speedup),
    }


def _rounds(run: Run, record: Record, case: CaseTime) -> Iterator[dict[str, Any]]:
    timing, used = case.timing, set(case.chosen)
    whose = {**_of_run(run, record), "mode": timing.mode, "batch_size": timing.batch_size}
    for number, call_s in enumerate(timing.rounds_s):
        times = {"call_s": call_s, "sample_s": call_s / timing.rows_per_call}
        yield {**whose, **times, "round": number, "used": number in used}


def runs(sources: Source | Iterable[Source]) -> Iterator[Judged]:
    """Yield the sources as judged runs; paths are read, a record alone becomes its own run."""
    for source in (sources,) if isinstance(sources, Run | Path | str) else sources:
        yield from map(judge, (source,) if isinstance(source, Run) else read_runs(Path(source)))


def _timed(sources: Source | Iterable[Source]) -> Iterator[tuple[Run, Record, CaseTime]]:
    for run in runs(sources):
        for record, cases in zip(run.records, run.times, strict=True):
            yield from ((run, record, case) for case in cases.values())


def _row(run: Run, record: Record, taken: CaseTime) -> dict[str, Any]:
    case, trust = taken.timing, record.trust
    rows, at = case.rows_per_call, (case.mode, case.batch_size)
    low, high = np.quantile(case.rounds_s, [0.25, 0.75])
    row = {
        **_of_run(run, record),
        **_known(record.kernel_info, COLUMNS),
        **_known(case, COLUMNS),
        "rounds": len(case.rounds_s),
        "rounds_used": len(taken.chosen),
        "quiet": taken.quiet,
        "disturbed": taken.disturbed if taken.quiet is not None else None,
        "call_s": taken.call_s,
        "sample_s": taken.sample_s,
        "sample_p25_s": low / rows,
        "sample_p75_s": high / rows,
        "sample_min_s": min(case.rounds_s) / rows,
        "accuracy": accuracy(record, *at),
        "reads": case.reads if case.parts_s else None,
        "unchecked": unchecked(record),
        "compile_s": trust.compile_s,
        "pool_bytes": trust.pool_bytes,
        **{f"{name}_s": call_s for name, call_s in taken.parts_s.items()},
    }
    for start in trust.starts:
        values = (
            start.import_s,
            start.construct_s,
            start.compile_s,
            start.first_calls_s.get(at),
        )
        row |= {f"{'fresh' if start.fresh else 'filled'}_{name}": s for name, s in zip(_PHASES, values, strict=True)}
        # With a filled cache nothing compiles: what is added is the kernel's own, and not the compiler's.
        row |= {} if start.fresh else {"peak_bytes": start.peak_bytes}
    if device := record.device_times and record.device_times.of(*at):
        row |= {"device_samples": device.samples, "device_dropped": device.dropped}
        for name, one in device.times.items():
            row |= {f"device_{name}_p{percent}_s": one.seconds[f"p{percent}"] for percent in _SHOWN}
    return row
