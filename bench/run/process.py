"""One process for each kernel and repeat, and what becomes of it: a result file, whatever happens."""

import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mlpbench.bench.cases import PER_SAMPLE_ROWS
from mlpbench.bench.clock import elapsed, utc_s
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child, environment, look
from mlpbench.bench.machine.child import PHASE, Ended
from mlpbench.bench.machine.scratch import scratch
from mlpbench.bench.machine.variables import inherited, with_threads
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import admitted
from mlpbench.bench.record import runs, schema, untrusted
from mlpbench.bench.record.plan import Plan, Ran
from mlpbench.bench.record.schema import STOPPED, Failure, Record, RecordFile, RecordHead, computed
from mlpbench.bench.record.write import as_bytes, write_bytes
from mlpbench.bench.trust.rounds import CaseTime, taken
from mlpbench.bench.words import things
from mlpbench.kernels.base import processors
from mlpbench.kernels.files import open_ordinary

#: Where the plan does not say after how many seconds a process is stuck.
TIMEOUT_S = 600.0
#: What pytest ends with where every test has been told of: all passed, or some did not. Any other status, 2 for one,
#: after an interrupt that a kernel has raised itself, leaves cases of which nobody has heard.
TOLD = (0, 1)
#: What is free among temporary files before a process starts: the largest record of a full sweep is below 1 MB, and as
#: pytest-benchmark writes it, with a line for each number, some times as long.
ROOM_BYTES = 4 * 2**20
#: What a process calls its record, beside its temporary files.
RECORD = "record.json"
#: Of a line that a kernel has printed, the most that becomes a reason.
LONGEST_LINE = 400
#: What the name of a file ends with that a process left as its record, and that is none: no reader looks for it.
UNREAD = ".unreadable"
#: What pytest says by itself, which tells nobody why a process ended. Behind the name of a test, a kernel may go on.
_PYTESTS = re.compile(r"^\S*test_forward\.py::\S+(?: *(?:[A-Z]+ +)?\[ *\d+%\])?|^=+ .* =+$|^collecting .*")
#: Where Python's own account of a crash begins; behind it stands the place in the code.
_CRASHED = "Current thread 0x"
#: Why a planned process has no result.
SPENT = "the budget was spent"
#: Of pytest's own plugins, those that a measurement does not need: they cost time in every process.
UNUSED = (
    *("doctest", "junitxml", "legacypath", "logging", "pastebin", "setuponly", "setupplan"),
    *("stepwise", "threadexception", "unraisableexception", "unittest"),
)
#: No settings file, no conftest, no plugin but these two: what pytest finds around us is meant for the user's tests.
OURS_ALONE = (
    *("-c", os.devnull, "--noconftest"),
    *("-p", "pytest_benchmark.plugin", "-p", "mlpbench.bench.measure.plugin", "-p", "no:cacheprovider"),
    "--no-header",
    "--assert=plain",  # nothing is asserted, and no source is read again and rewritten
    "--capture=no",  # what a kernel prints is read, and bounded, here: pytest would keep all of it, in a file
    *(word for name in UNUSED for word in ("-p", f"no:{name}")),
)


@dataclass(frozen=True)
class Outcome:
    """What came of one process. ``problems`` are lines for people; the record holds them too.

    ``times``: seconds per sample of each (mode, batch size) that has a time; ``disturbed``: those not to be believed.
    ``construct_s``: what making the kernel took, compiling with it. ``cut``: it was stopped, and nothing came of it.
    ``setting``: in a sweep over several, the one that it belongs to, in words.
    """

    kernel: str
    repeat: int
    path: Path
    problems: tuple[str, ...]
    setting: str | None = None
    times: Mapping[tuple[str, int], float] = field(default_factory=dict)
    disturbed: Collection[tuple[str, int]] = ()
    construct_s: float = 0.0
    cut: bool = False


@dataclass(frozen=True)
class Left:
    """What a process left: the bytes of its record, or of ours that says why it has none.

    ``ended``: how it ended, where that was badly and after its record was whole.
    """

    record: bytes
    ended: str | None = None


def pytest_command(plan: Plan, options: Options, kernel: str) -> list[str]:
    """Return the words that time a kernel by hand: the suite, the cases, the clock."""
    started = ["pytest"] if plan.env is None else [plan.env.python, "-m", "pytest"]
    return [*started, *_words(plan, options, kernel)]


def _words(plan: Plan, options: Options, kernel: str) -> list[str]:
    modes = dict.fromkeys(case.mode for case in plan.cases)
    sizes = dict.fromkeys(case.batch_size for case in plan.cases if case.mode != "per_sample")
    singles = {case.batch_size for case in plan.cases if case.mode == "per_sample"} - {PER_SAMPLE_ROWS}
    return [
        str(_package(plan) / "bench" / "test_forward.py"),
        f"--kernel={kernel}",
        *(f"--mode={mode}" for mode in modes),
        *(f"--batch-size={size}" for size in sizes),
        *(f"--per-sample-rows={rows}" for rows in singles),
        *options.arguments(),
        *admitted(plan.clock),
    ]


def _package(plan: Plan) -> Path:
    """Return the folder of mlpbench, in the environment that is measured."""
    return Path(plan.env.package) if plan.env else Path(__file__).parents[2]


def run_process(
    plan: Plan,
    workload: Workload,
    folder: Path,
    at: tuple[str, int],
    on_phase: Callable[[str], None],
    effort: Effort,
    name: str,
) -> Outcome:
    """Run the process of a (kernel, repeat), write its file, and tell ``effort``, which calls the kernel ``name``.

    One that takes longer than the budget allows is stopped, and leaves no file.
    """
    kernel, repeat = at
    path = folder / f"{kernel}.{repeat}.json"
    share, began = effort.share(name), utc_s()
    told: list[str] = []
    with elapsed() as took:
        left = _process(plan, workload, folder, at, on_phase, effort.limit_s(), share, told)
    if left is None:
        effort.stopped(name, repeat, took.seconds, by_budget=True)
        return Outcome(kernel, repeat, path, (f"left out: stopped after {took.seconds:.0f} s, {SPENT}",), cut=True)
    record = _file(left, Ran(began, took.seconds, share), plan, workload, folder, at)
    found = take_in(record, effort, name)
    refused = (f"refused: {one.check}" for one in record.trust.refusals if not one.by_time)  # the end says why
    reasons = (failure.reason for failure in record.failures)
    problems = dict.fromkeys((*reasons, *refused, *told))  # a gate fails for all cases
    if (wrong := look.keep(look.path_for(folder), record)) is not None:
        problems[wrong] = None
    disturbed = {at for at, case in found.items() if case.disturbed}
    times = {at: case.sample_s for at, case in found.items()}
    construct_s = record.kernel_info.construct_s or 0.0
    return Outcome(kernel, repeat, path, tuple(problems), times=times, disturbed=disturbed, construct_s=construct_s)


def _file(left: Left, ran: Ran, plan: Plan, workload: Workload, folder: Path, at: tuple[str, int]) -> Record:
    """Write the record of a process. One that no reader takes is kept beside that of a failure, which says why."""
    path = folder / f"{at[0]}.{at[1]}.json"
    unread = path.with_name(path.name + UNREAD)
    try:
        content = _content(left.record, replace(ran, ended=left.ended), Path(unread.name), plan, workload, at)
    except UserError as error:
        write_bytes(unread, left.record)
        reason = f"its process left a record that does not count: {error}"
        content = _content(_failed(plan, workload, folder, at, "record", reason), ran, path, plan, workload, at)
    write_bytes(path, content)
    return schema.read(path)


def take_in(record: Record, effort: Effort, name: str) -> Mapping[tuple[str, int], CaseTime]:
    """Tell ``effort`` what a process left, and return the times in it; ``name``: what ``effort`` calls its kernel."""
    (found,) = taken([record])
    ran = record.ran or Ran(0.0, 0.0)
    if any(failure.phase == STOPPED for failure in record.failures):
        effort.stopped(name, record.repeat, ran.took_s)
        return found
    times = {at: case.sample_s for at, case in found.items()}
    disturbed = {at for at, case in found.items() if case.disturbed}
    timed_s = sum(sum(case.rounds_s) * case.iterations for case in record.cases)
    made_s = record.kernel_info.construct_s or 0.0
    effort.note(name, record.repeat, ran.took_s, times, disturbed, made_s, timed_s, ran.share)
    return found


def _content(written: bytes, ran: Ran, path: Path, plan: Plan, workload: Workload, at: tuple[str, int]) -> bytes:
    """Return a record as its file holds it, with when its process ran: only we know the end of that.

    Raises UserError, which begins with ``path``, where no reader takes it, or where it is not the record of this case.
    """
    if len(written) > untrusted.MAX_BYTES:
        raise UserError(f"{path}: larger than {untrusted.MAX_BYTES // 2**20} MiB; this is its beginning")
    content = untrusted.decode(written, path, dict[str, Any], "a record")
    if isinstance(content.get("mlpbench"), dict):
        content["mlpbench"]["ran"] = ran.as_dict()
    try:
        whole = as_bytes(content)
    except RecursionError:
        raise UserError(f"{path}: nested too deeply") from None
    if len(whole) > untrusted.MAX_BYTES:
        raise UserError(f"{path}: larger than {untrusted.MAX_BYTES // 2**20} MiB")
    head, (spec, (*_, data, _), (_, weights)) = untrusted.decode(whole, path, RecordFile).mlpbench, workload.facts()
    if (head.kernel, head.repeat) != at or head.plan is None or head.plan.run_id != plan.run_id:
        raise UserError(f"{path}: the record of {head.kernel}, repeat {head.repeat}, perhaps of another run")
    if (head.network.spec, head.data.sha256, head.weights.sha256) != (spec, data, weights):
        raise UserError(f"{path}: of another specification, or of other data or weights than this run")
    return whole


def _process(
    plan: Plan,
    workload: Workload,
    folder: Path,
    at: tuple[str, int],
    on_phase: Callable[[str], None],
    limit_s: float | None,
    share: float,
    told: list[str],
) -> Left | None:
    """Run one process; return what it left, or a record that says how it ended; None after ``limit_s``.

    It times its cases for a ``share`` of what the plan says. What no record says of it is added to ``told``.
    """
    on_phase("starting")
    timeout_s = plan.timeout_s or TIMEOUT_S
    seconds = min(timeout_s, limit_s or timeout_s)
    with scratch(ROOM_BYTES) as temporary:
        raw = temporary / RECORD
        words = [
            *_words(plan, workload.options, at[0]),
            *_shorter(plan, share),
            *OURS_ALONE,
            f"--rootdir={_package(plan).resolve().parent}",
            "-v",
            "--color=no",
            f"--mlpbench-run={folder / 'run.json'}",
            f"--mlpbench-repeat={at[1]}",
            f"--benchmark-json={raw}",
            f"--benchmark-storage=file://{temporary}",  # by default, a folder wherever we were started
        ]
        ended = _start(words, plan, on_phase, seconds, temporary)
        if ended.left:
            told.append(f"it left {things(ended.left, 'process', 'processes')} behind: killed")
        came_to_its_end = ended.status in TOLD
        if (came_to_its_end or child.whole(raw).exists()) and (record := _written(raw)) is not None:
            if came_to_its_end:
                return Left(record)
            told.append(f"the process {ended.how()}; its record was whole by then, and counts")
            return Left(record, ended.how())
    if ended.status is None and ended.late and seconds < timeout_s:
        return None
    phase = "process" if ended.stopped is None else STOPPED
    return Left(_failed(plan, workload, folder, at, phase, _how_it_ended(ended)))


def _written(raw: Path) -> bytes | None:
    """Return what a process wrote as its record, or the beginning of more than that can be; None where it wrote none.

    Whatever lies there may be a kernel's: a link could lead to a file that is nobody's result.
    """
    with suppress(OSError):
        if not raw.is_symlink():
            with open_ordinary(raw) as file:
                return file.read(untrusted.MAX_BYTES + 1)
    return None


def _failed(plan: Plan, workload: Workload, folder: Path, at: tuple[str, int], phase: str, reason: str) -> bytes:
    """Return the record of a process that left none."""
    head = RecordHead(
        kernel=at[0],
        repeat=at[1],
        environment=runs.read_head(folder / runs.PLAN_FILE).environment,
        **computed(*workload.facts()),
        plan=plan,
        failures=(Failure(at[0], phase=phase, reason=reason),),
    )
    return as_bytes({"machine_info": environment.machine_info(), "benchmarks": [], "mlpbench": head})


def _shorter(plan: Plan, share: float) -> list[str]:
    """Return the word that makes timing shorter than the plan says: the last of pytest's options counts."""
    option = "--benchmark-max-time="
    planned = next((word.removeprefix(option) for word in plan.clock if word.startswith(option)), None)
    return [] if planned is None or share == 1 else [f"{option}{share * float(planned):.3g}"]


def _start(words: list[str], plan: Plan, on_phase: Callable[[str], None], seconds: float, temporary: Path) -> Ended:
    """Run the interpreter's pytest, with its threads set before any library loads, and none of pytest's variables."""

    def told(line: str) -> None:
        if line.startswith(PHASE):
            on_phase(line.removeprefix(PHASE).strip())

    python = plan.env.python if plan.env else None
    kept = {name: value for name, value in inherited(python).items() if not name.startswith("PYTEST_")}
    ours = {"PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return child.run(
        [python or sys.executable, "-P", "-m", "pytest", *words],
        with_threads({**kept, **ours}, plan.threads or processors()),
        seconds,
        within=temporary,
        binding=plan.binding,
        merged=True,
        on_line=told,
        is_done=child.whole(temporary / RECORD).exists,
    )


def _how_it_ended(ended: Ended) -> str:
    """Return how a process ended without a record, what it was doing, and what it said of that."""
    lines = ended.out.splitlines()
    phases = [line.removeprefix(PHASE).strip() for line in lines if line.startswith(PHASE)]
    told = [line for line in (_PYTESTS.sub("", line) for line in lines) if line.strip() and not line.startswith(PHASE)]
    crashed = next((number for number, line in enumerate(told) if line.startswith(_CRASHED)), len(told))
    errors = [line for line in told if line.startswith(("ERROR", "E  ", "!!!!"))]
    lost = ended.status is not None and ended.status >= 0
    last = next(iter([*told[crashed + 1 : crashed + 2], *errors[: int(lost)], *told[-1:]]), None)
    why = " (the system kills so when memory runs out)" if ended.status == -signal.SIGKILL else ""
    return (
        f"the process {ended.how()}{' and no result' if lost else why}{f' while {phases[-1]}' if phases else ''}; "
        f"{f'it said: {_short(last.strip())}' if last else 'it printed nothing'}"
    )


def _short(line: str) -> str:
    """Return the beginning of a line that a kernel may have printed: a record has no room for all of it."""
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"
