"""The report's content as data: JSON with the numbers that its texts were made of, CSV with the tidy frame."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.record.schema import Record
from mlpbench.bench.report.document import Document, interval, registered
from mlpbench.bench.report.sections import gaps, setup
from mlpbench.bench.trust.rounds import At, CaseTime, State


def as_json(document: Document) -> str:
    """Return the report as JSON; what has no value is null. Times in seconds, intervals 95 %."""
    ids = {run.name: run.id for run in document.runs}
    data: dict[str, Any] = {
        "schema": 1,  # of this document, not of the result files
        "title": document.title,
        "headline": _with_ids(words.plain(asdict(document.headline)), ids),
        "notices": list(document.notices),
        "cases": [_case(case, run) for run, cases in document.by_run for case in cases],
        "runs": [_run(*of_run, document) for of_run in zip(document.runs, document.of(setup.states), strict=True)],
    }
    for name, value in document.data.items():
        place, _, last = name.rpartition(".")
        (data[place] if place else data)[last] = _with_ids(value, ids)
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _with_ids(value: Any, ids: Mapping[str, str]) -> Any:
    """Return the same with runs named by their ids, whatever texts call them."""
    if isinstance(value, list):
        return [_with_ids(item, ids) for item in value]
    if isinstance(value, dict):
        return {key: ids.get(item, item) if key == "run" else _with_ids(item, ids) for key, item in value.items()}
    return value


def _case(case: CaseSummary, run: Judged) -> dict[str, Any]:
    return {
        "run": run.id,
        **_fields(run, "setting"),
        **_fields(case, "kernel", "mode", "batch_size"),
        "sample_s": interval(case.sample),
        "samples_per_s": 1 / case.sample.value,
        "speedup": interval(case.speedup) if case.speedup else None,
        "no_speedup": case.no_speedup,
        "first_call_s": words.plain(case.first_call_s),
        **_fields(case, "rounds", "repeats", "disturbed", "accuracy"),
        **_fields(case, "repeated_rows", "includes_loading", "unchecked"),
        "sample_s_by_repeat": case.by_repeat,
    }


def _fields(owner: Any, *names: str) -> dict[str, Any]:
    """Return some fields of an object; those that have parts of their own as dictionaries."""
    values = {name: getattr(owner, name) for name in names}
    return {name: value.as_dict() if hasattr(value, "as_dict") else value for name, value in values.items()}


def _run(run: Judged, state: State, document: Document) -> dict[str, Any]:
    more = {name: value(document, run) for part in registered() for name, value in part.data_of_run.items()}
    return {
        "run": run.id,
        **_fields(run, "setting", "machine", "plan"),
        "environment": run.measured_in.as_dict(),
        "kernels": [_kernel(*of_record) for of_record in zip(run.records, run.times, strict=True)],
        "missing": [dict(zip(("kernel", "what", "why"), gap, strict=True)) for gap in gaps.gaps(run)],
        "interrupted": bool(run.problems),
        **_fields(run, "ending"),
        "trust": words.plain({"machine": asdict(state), "call_cost_s": setup.call_costs(run), **more}),
    }


def _kernel(record: Record, times: Mapping[At, CaseTime]) -> dict[str, Any]:
    of_kernel = ("backend", "version", "device", "describe", "accuracy", "max_error", "import_s", "construct_s")
    return {
        **_fields(record, "kernel", "repeat", "spec", "data", "weights", "thread_use", "device_times"),
        **_fields(record.kernel_info, *of_kernel),
        "disturbed": [words.case(*at) for at, case in times.items() if case.disturbed],
    }


def as_csv(document: Document) -> str:
    """Return a row for each case and repeat as CSV; times in seconds, missing values empty."""
    from mlpbench.bench.analysis import frame  # brings pandas, which no other format needs

    return frame.load(document.runs).map(_defused).to_csv(index=False, lineterminator="\n")


def _defused(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula (OWASP, "CSV Injection"), also by signs of full width."""
    first = unicodedata.normalize("NFKC", value[:1])[:1] if isinstance(value, str) else ""
    return f"'{value}" if first and first in "=+-@\t\r\n" else value
