"""One process for each kernel and repeat, and what becomes of it: a result file, whatever happens."""

import os
import re
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from mlpbench.bench.machine.child import PHASE, Ended, scratch
from mlpbench.bench.machine.threads import with_threads
from mlpbench.bench.plan.effort import Effort
from mlpbench.bench.plan.plan import MOST_TIMEOUT_S
from mlpbench.bench.plan.sweep import Sweep
from mlpbench.bench.record import runs, schema, untrusted
from mlpbench.bench.record.plan import Plan, Ran
from mlpbench.bench.record.schema import STOPPED, Failure, Record, RecordFile, RecordHead, computed
from mlpbench.bench.record.write import as_bytes, write_bytes
from mlpbench.bench.trust.rounds import At, taken
from mlpbench.bench.words import things
from mlpbench.kernels.base import processors
from mlpbench.kernels.files import open_ordinary

#: What pytest ends with where every test was told of: all passed, or some did not. With 2, after an interrupt that a
#: kernel has raised itself, nobody has heard of some cases.
TOLD = (0, 1)
#: What is free among temporary files before a process starts: the largest record, as pytest-benchmark writes it.
ROOM_BYTES = 4 * 2**20
#: What a process calls its record, beside its temporary files.
RECORD = "record.json"
#: Of a line that a kernel has printed, the most that becomes a reason.
LONGEST_LINE = 400
#: How the name of a file ends that a process left as its record, and that is none.
UNREAD = ".unreadable"
#: What pytest says by itself, which tells nobody why a process ended. Behind the name of a test, a kernel may go on.
_PYTESTS = re.compile(r"^\S*test_forward\.py::\S+(?: *(?:[A-Z]+ +)?\[ *\d+%\])?|^=+ .* =+$|^collecting .*")
#: Where Python's own account of a crash begins; behind it stands the place in the code.
_CRASHED = "Current thread 0x"
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
    *("-v", "--color=no"),
    *(word for name in UNUSED for word in ("-p", f"no:{name}")),
)


@dataclass(frozen=True)
class Job:
    """One process of a run: the ``repeat`` of a kernel, which leaves its record in ``folder``.

    ``on_phase(job, phase)`` is called as it begins to do something else. ``setting``: in a sweep over several, its own,
    in words.
    """

    plan: Plan
    workload: Workload
    folder: Path
    kernel: str
    repeat: int
    on_phase: Callable[["Job", str], None]
    setting: str | None = None

    @property
    def path(self) -> Path:
        """The file of its record."""
        return self.folder / f"{self.kernel}.{self.repeat}.json"


@dataclass(frozen=True)
class Left:
    """What a process left: the bytes of its record, or of ours that says why it has none.

    ``ended``: how it ended, where that was badly and after its record was whole. ``problems``: what no record says.
    """

    record: bytes
    ended: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of one process. ``problems`` are lines for people; the record holds them too.

    ``times``: seconds per sample of each (mode, batch size) that has a time; ``disturbed``: those not to be believed.
    """

    job: Job
    problems: tuple[str, ...]
    times: Mapping[At, float] = field(default_factory=dict)
    disturbed: Collection[At] = ()


def pytest_command(plan: Plan, options: Options, kernel: str) -> list[str]:
    """Return the words that time a kernel by hand: pytest, the suite, the cases, the clock."""
    modes = dict.fromkeys(case.mode for case in plan.cases)
    sizes = dict.fromkeys(case.batch_size for case in plan.cases if case.mode != "per_sample")
    singles = {case.batch_size for case in plan.cases if case.mode == "per_sample"} - {PER_SAMPLE_ROWS}
    return [
        "pytest",
        str(_package(plan) / "bench" / "test_forward.py"),
        f"--kernel={kernel}",
        *(f"--mode={mode}" for mode in modes),
        *(f"--batch-size={size}" for size in sizes),
        *(f"--per-sample-rows={rows}" for rows in singles),
        *options.arguments(),
        *plan.clock,
    ]


def _package(plan: Plan) -> Path:
    """Return the folder of mlpbench, in the environment that is measured."""
    return Path(plan.env.package) if plan.env else Path(__file__).parents[2]


def execute(
    sweep: Sweep, folders: Sequence[Path], on_phase: Callable[[Job, str], None], effort: Effort
) -> Iterator[Outcome]:
    """Run the processes that ``effort`` names, each into its setting's folder; ``on_phase`` as in `Job`.

    Leaving the iterator early, as Ctrl-C does, stops the process that runs.
    """
    for name, repeat in effort.processes():
        number, part = sweep.find(name)
        setting = part.setting.words if sweep.several else None
        job = Job(part.plan, part.workload, folders[number], part.names[name], repeat, on_phase, setting)
        yield run_process(job, effort, name)


def run_process(job: Job, effort: Effort, name: str) -> Outcome:
    """Run a process, write its file, and tell ``effort``, which calls the kernel ``name``.

    One that takes longer than the budget allows is stopped, and leaves no file.
    """
    share, began_s = effort.share(name), utc_s()
    with elapsed() as took:
        left = _process(job, effort.limit_s(), share)
    if left is None:
        effort.stopped(name, job.repeat, took.seconds, by_budget=True)
        return Outcome(job, (f"left out: stopped after {took.seconds:.0f} s, the budget was spent",))
    record = _file(job, left, Ran(began_s, took.seconds, share))
    times, disturbed = take_in(record, effort, name)
    refused = (f"refused: {one.check}" for one in record.trust.refusals if not one.by_time)  # the end says why
    reasons = (failure.reason for failure in record.failures)
    damaged = look.keep(job.folder, record)
    problems = dict.fromkeys((*reasons, *refused, *left.problems, *filter(None, [damaged])))  # a gate fails for all
    return Outcome(job, tuple(problems), times, disturbed)


def take_in(record: Record, effort: Effort, name: str) -> tuple[dict[At, float], set[At]]:
    """Tell ``effort`` what a process left of ``name``; return seconds per sample by case, and who was disturbed."""
    (found,) = taken([record])
    times = {at: case.sample_s for at, case in found.items()}
    disturbed = {at for at, case in found.items() if case.disturbed}
    ran = record.ran or Ran(0.0, 0.0)
    if any(failure.phase == STOPPED for failure in record.failures):
        effort.stopped(name, record.repeat, ran.took_s)
    else:
        timed_s = sum(sum(case.rounds_s) * case.iterations for case in record.cases)
        made_s = record.kernel_info.construct_s or 0.0
        effort.note(name, record.repeat, ran.took_s, times, disturbed, made_s, timed_s, ran.share)
    return times, disturbed


def _file(job: Job, left: Left, ran: Ran) -> Record:
    """Write the record of a process. One that no reader takes is kept beside that of a failure, which says why."""
    unread = job.path.with_name(job.path.name + UNREAD)
    try:
        content = _content(job, left.record, replace(ran, ended=left.ended), Path(unread.name))
    except (UserError, RecursionError) as error:
        write_bytes(unread, left.record)
        reason = f"its process left a record that does not count: {error}"
        content = _content(job, _failed(job, "record", reason), ran, job.path)
    write_bytes(job.path, content)
    return schema.read(job.path)


def _content(job: Job, written: bytes, ran: Ran, path: Path) -> bytes:
    """Return a record as its file holds it, with when its process ran.

    Raises UserError, which begins with ``path``, where no reader takes it, or where it is not the record of this job.
    """
    too_large = UserError(f"{path}: larger than {untrusted.MAX_BYTES // 2**20} MiB")
    if len(written) > untrusted.MAX_BYTES:
        raise too_large
    content = untrusted.decode(written, path, dict[str, Any], "a record")
    if isinstance(content.get("mlpbench"), dict):
        content["mlpbench"]["ran"] = ran.as_dict()
    whole = as_bytes(content)
    if len(whole) > untrusted.MAX_BYTES:
        raise too_large
    head, (spec, (*_, data, _), (_, weights)) = untrusted.decode(whole, path, RecordFile).mlpbench, job.workload.facts()
    run_id = head.plan and head.plan.run_id
    if (head.kernel, head.repeat, run_id) != (job.kernel, job.repeat, job.plan.run_id):
        raise UserError(f"{path}: the record of {head.kernel}, repeat {head.repeat}, perhaps of another run")
    if (head.network.spec, head.data.sha256, head.weights.sha256) != (spec, data, weights):
        raise UserError(f"{path}: of another specification, or of other data or weights than this run")
    return whole


def _process(job: Job, limit_s: float | None, share: float) -> Left | None:
    """Run one process; return what it left, or a record that says how it ended; None after ``limit_s``.

    It times its cases for a ``share`` of what the plan says.
    """
    job.on_phase(job, "starting")
    timeout_s = job.plan.timeout_s or MOST_TIMEOUT_S
    seconds = min(timeout_s, limit_s or timeout_s)
    with scratch(ROOM_BYTES) as temporary:
        ended, raw = _start(job, share, seconds, temporary), temporary / RECORD
        is_well = ended.status in TOLD
        record = _written(raw) if is_well or child.whole(raw).exists() else None
    problems = [f"it left {things(ended.left, 'process', 'processes')} behind: killed"] if ended.left else []
    if record is None:
        if ended.late and seconds < timeout_s:
            return None
        phase = "process" if ended.stopped is None else STOPPED
        return Left(_failed(job, phase, _how_it_ended(ended)), None, tuple(problems))
    if not is_well:
        problems.append(f"the process {ended.how()}; its record was whole by then, and counts")
    return Left(record, None if is_well else ended.how(), tuple(problems))


def _start(job: Job, share: float, seconds: float, temporary: Path) -> Ended:
    """Run the interpreter's pytest, with its threads set before any library loads, and none of pytest's variables."""

    def on_line(line: str) -> None:
        if line.startswith(PHASE):
            job.on_phase(job, line.removeprefix(PHASE).strip())

    plan, longest = job.plan, "--benchmark-max-time="
    python = plan.env.python if plan.env else None
    shorter = (share * float(word.removeprefix(longest)) for word in plan.clock if word.startswith(longest))
    command = [
        *(python or sys.executable, "-P", "-m"),
        *pytest_command(plan, job.workload.options, job.kernel),
        *(f"{longest}{max_s:.3g}" for max_s in shorter if share != 1),  # the last of pytest's options counts
        *OURS_ALONE,
        f"--rootdir={_package(plan).resolve().parent}",
        f"--mlpbench-run={job.folder / 'run.json'}",
        f"--mlpbench-repeat={job.repeat}",
        f"--benchmark-json={temporary / RECORD}",
        f"--benchmark-storage=file://{temporary}",  # by default, a folder wherever we were started
    ]
    kept = {name: value for name, value in child.inherited(python).items() if not name.startswith("PYTEST_")}
    ours = {"PYTHONUNBUFFERED": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return child.run(
        command,
        with_threads({**kept, **ours}, plan.threads or processors()),
        seconds,
        within=temporary,
        binding=plan.binding,
        merged=True,
        on_line=on_line,
        is_done=child.whole(temporary / RECORD).exists,
    )


def _written(raw: Path) -> bytes | None:
    """Return what a process wrote as its record, or the beginning of more than that can be; None where it wrote none.

    A link is none: a kernel could let it lead to any file.
    """
    with suppress(OSError):
        if not raw.is_symlink():
            with open_ordinary(raw) as file:
                return file.read(untrusted.MAX_BYTES + 1)
    return None


def _failed(job: Job, phase: str, reason: str) -> bytes:
    """Return the record of a process that left none."""
    head = RecordHead(
        kernel=job.kernel,
        repeat=job.repeat,
        environment=runs.read_head(job.folder / runs.PLAN_FILE).environment,
        **computed(*job.workload.facts()),
        plan=job.plan,
        failures=(Failure(job.kernel, phase=phase, reason=reason),),
    )
    return as_bytes({"machine_info": environment.machine_info(), "benchmarks": [], "mlpbench": head})


def _how_it_ended(ended: Ended) -> str:
    """Return how a process ended without a record, what it was doing, and what it said of that."""
    lines = ended.out.splitlines()
    phases = [line.removeprefix(PHASE).strip() for line in lines if line.startswith(PHASE)]
    told = [line for line in (_PYTESTS.sub("", line) for line in lines) if line.strip() and not line.startswith(PHASE)]
    crashed = next((number for number, line in enumerate(told) if line.startswith(_CRASHED)), len(told))
    errors = [line for line in told if line.startswith(("ERROR", "E  ", "!!!!"))]
    lost = ended.status is not None and ended.status >= 0
    last = next((line.strip() for line in (*told[crashed + 1 : crashed + 2], *errors[: int(lost)], *told[-1:])), None)
    if last and len(last) > LONGEST_LINE:
        last = f"{last[:LONGEST_LINE]}…"
    why = " (the system kills so when memory runs out)" if ended.status == -signal.SIGKILL else ""
    return (
        f"the process {ended.how()}{' and no result' if lost else why}{f' while {phases[-1]}' if phases else ''}; "
        f"{f'it said: {last}' if last else 'it printed nothing'}"
    )
