"""What `mlpbench check` says of one kernel, in a process of its own, which it may end."""

import sys
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb, format_exception
from typing import Any, Literal

import msgspec

from mlpbench.bench import words
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import question
from mlpbench.bench.measure import checks
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import Number
from mlpbench.bench.record.schema import Accuracy
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable, NonConforming

#: What a kernel that has passed the gate is called with, as a run would.
CASES = (Case("per_sample", 100), *(Case("batched", size) for size in (1, 100, 1000, 5000)))


class _Answer(msgspec.Struct):
    """What a process says of a kernel, which may have printed anything in its place."""

    verdict: Literal["conforms", "unavailable", "non-conforming"] = "non-conforming"
    reason: str | None = None
    traceback: str | None = None
    conformance: dict[str, Number] = {}
    accuracy: Accuracy | None = None


def ask(options: Options, name: str) -> dict[str, Any]:
    """Return the verdict on a kernel from a process of its own: one that ends it, or hangs, is non-conforming."""
    # Compiling takes a minute at most, and the gate seconds: a kernel that takes longer is stuck.
    process = question.ask(__name__, {"kernel": name, "options": options.texts()}, timeout_s=300)
    with suppress(msgspec.ValidationError):
        answer = msgspec.convert(process.found or {}, _Answer)
        if answer.verdict != "conforms" and answer.reason:
            return _refused(name, clean_text(answer.reason), answer.traceback, answer.verdict)
        if answer.accuracy is not None and answer.conformance.keys() == {"max_error", "max_error_ratio"}:
            reason = answer.accuracy.reason
            hits = {**answer.accuracy.as_dict(), "reason": reason and clean_text(reason)}
            return _conforms(name, answer.conformance, hits)
    return _refused(name, process.reason or "it gave no answer")


def _conforms(name: str, conformance: dict[str, float], accuracy: dict[str, Any]) -> dict[str, Any]:
    figures = {"conformance": conformance, "accuracy": accuracy}
    return {"kernel": name, "verdict": "conforms", "reason": None, **figures}


def _refused(name: str, reason: str, traceback: str | None = None, verdict: str = "non-conforming") -> dict[str, Any]:
    return {"kernel": name, "verdict": verdict, "reason": reason, "traceback": traceback}


def here(workload: Workload, name: str) -> dict[str, Any]:
    """Return the verdict on a kernel, with its figures, or its reason and what it raised (``traceback``)."""
    suite = Suite(workload, [name], [], named=True)
    try:
        contestant = suite.admit(name)
    except KernelUnavailable as reason:
        return {"kernel": name, "verdict": "unavailable", "reason": str(reason)}
    except Exception as error:  # noqa: BLE001 - whatever a kernel raises is its verdict, and the others go on
        why = str(error) if isinstance(error, NonConforming) else f"{type(error).__name__}: {error}"
        # The gate says which check it was in; what the kernel raised is the cause of that.
        raised = error.__cause__ if isinstance(error, NonConforming) else error
        if raised is None:
            return _refused(name, why)
        return _refused(name, f"{why} ({_place(raised, name)})", "".join(format_exception(raised)))
    inputs = contestant.inputs[: max(case.batch_size for case in CASES)]
    if refusals := checks.wrong(contestant.kernel, workload.params, inputs, CASES):
        first = refusals[0]
        where = "" if first.mode is None else f"{words.case(first.mode, first.batch_size or 1)}: "
        return _refused(name, f"{first.check}: {where}{first.reason}")
    info = contestant.kernel_info
    errors = {"max_error": info.max_error or 0.0, "max_error_ratio": info.max_error_ratio or 0.0}
    return _conforms(name, errors, info.accuracy.as_dict())


def _place(raised: BaseException, kernel: str) -> str:
    """Return the last file and line of the kernel's own module that an exception came through, else of any."""
    frames, lives_in = extract_tb(raised.__traceback__), registry.module(kernel)
    own = getattr(sys.modules.get(lives_in), "__file__", lives_in)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(frame.filename).name}, line {frame.lineno}"


if __name__ == "__main__":
    asked = question.question()
    question.tell(here(Workload(Options.of(asked["options"])), asked["kernel"]))
