"""What `mlpbench check` says of one kernel, in a separate process, which it may end."""

import sys
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb, format_exception
from typing import Literal

import msgspec
from msgspec.structs import replace

from mlpbench.bench import words
from mlpbench.bench.cases import Case
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.machine import child
from mlpbench.bench.measure import checks
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.record.fields import Block, Number
from mlpbench.bench.record.schema import Accuracy
from mlpbench.bench.record.untrusted import clean_text
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable, NonConforming

#: What a kernel that has passed the gate is called with, as a run would.
CASES = (Case("per_sample", 100), *(Case("batched", size) for size in (1, 100, 1000, 5000)))


class Verdict(Block, frozen=True, omit_defaults=True):
    """What is said of a kernel: its figures where it conforms, else the ``reason``, and what it raised."""

    kernel: str
    verdict: Literal["conforms", "unavailable", "non-conforming"]
    reason: str | None
    traceback: str | None = None
    conformance: dict[str, Number] = msgspec.field(default_factory=dict)
    accuracy: Accuracy | None = None

    def __post_init__(self) -> None:
        has_figures = self.accuracy is not None and self.conformance.keys() == {"max_error", "max_error_ratio"}
        if (self.verdict == "conforms", bool(self.reason)) != (has_figures, not has_figures):
            raise ValueError("no verdict")


def ask(options: Options, name: str) -> Verdict:
    """Return the verdict of a separate process on a kernel, which may print anything, hang or end it."""
    # Compiling takes a minute at most, and the gate seconds: a kernel that takes longer is stuck.
    process = child.ask(__name__, {"kernel": name, "options": vars(options)}, timeout_s=300)
    with suppress(msgspec.ValidationError):
        found = msgspec.convert({"reason": None, **(process.found or {}), "kernel": name}, Verdict)
        if found.accuracy is None:
            return replace(found, reason=clean_text(found.reason or ""))
        return replace(found, accuracy=replace(found.accuracy, reason=clean_text(found.accuracy.reason or "") or None))
    return Verdict(name, "non-conforming", process.reason or "it gave no answer")


def here(workload: Workload, name: str) -> Verdict:
    """Return the verdict of this process on a kernel."""
    suite = Suite(workload, [name], [], named=True)
    try:
        contestant = suite.admit(name)
    except KernelUnavailable as reason:
        return Verdict(name, "unavailable", str(reason))
    except Exception as error:  # noqa: BLE001 - whatever a kernel raises is its verdict, and the others go on
        why = str(error) if isinstance(error, NonConforming) else f"{type(error).__name__}: {error}"
        # The gate says which check it was in; what the kernel raised is the cause of that.
        raised = error.__cause__ if isinstance(error, NonConforming) else error
        if raised is None:
            return Verdict(name, "non-conforming", why)
        why = f"{why} ({_place(raised, name)})"
        return Verdict(name, "non-conforming", why, "".join(format_exception(raised)))
    inputs = contestant.inputs[: max(case.batch_size for case in CASES)]
    if refusals := checks.wrong(contestant.kernel, workload.params, inputs, CASES):
        first = refusals[0]
        where = "" if first.mode is None else f"{words.case(first.mode, first.batch_size or 1)}: "
        return Verdict(name, "non-conforming", f"{first.check}: {where}{first.reason}")
    info = contestant.kernel_info
    errors = {"max_error": info.max_error or 0.0, "max_error_ratio": info.max_error_ratio or 0.0}
    return Verdict(name, "conforms", None, conformance=errors, accuracy=info.accuracy)


def _place(raised: BaseException, kernel: str) -> str:
    """Return the last file and line of the kernel's own module that an exception came through, else of any."""
    frames, lives_in = extract_tb(raised.__traceback__), registry.module(kernel)
    own = getattr(sys.modules.get(lives_in), "__file__", lives_in)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(frame.filename).name}, line {frame.lineno}"


if __name__ == "__main__":
    asked = child.question()
    child.tell(here(Workload(Options(**asked["options"])), asked["kernel"]).as_dict())
