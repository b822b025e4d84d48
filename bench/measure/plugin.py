"""The pytest side: options, cases, the gate as a fixture, and our block in pytest-benchmark's JSON."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace
from pytest_benchmark.utils import load_timer

from mlpbench.bench import cases as cases_
from mlpbench.bench import values, words
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child, environment, look, supervised
from mlpbench.bench.machine.child import PHASE
from mlpbench.bench.machine.threads import TooManyThreads
from mlpbench.bench.measure import anatomy, arguments, closer, cold, device, watch
from mlpbench.bench.measure.audit import Audit
from mlpbench.bench.measure.behind import Behind
from mlpbench.bench.measure.instruments import GROUP, known, plant
from mlpbench.bench.measure.session import Contestant, Suite
from mlpbench.bench.measure.spent import spent
from mlpbench.bench.measure.turns import TURN, Turns, Wanted
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.plan import case_order
from mlpbench.bench.record import look as look_file
from mlpbench.bench.record import runs
from mlpbench.bench.record.fields import as_json
from mlpbench.bench.record.look import BestLook
from mlpbench.bench.record.plan import Plan
from mlpbench.bench.record.schema import RecordHead, computed
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors
from mlpbench.kernels.errors import KernelUnavailable, NonConforming, ParamsError, SpecError, UnknownKernel

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

SUITE = pytest.StashKey[Suite]()
WATCH = pytest.StashKey[watch.Watch]()
#: What was last said to be done.
TOLD = pytest.StashKey[str]()
#: In a process of a run.
TURNS = pytest.StashKey[Turns]()
AUDIT = pytest.StashKey[Audit]()
#: The suite: every case, and the harness itself.
TESTS = Path(__file__).resolve().parent.with_name("test_forward.py")
HARNESS = "test_harness"
BY_HAND = (
    "by hand: one case after the other, and nobody looks whether the core was shared, or behind the clock; in "
    "`mlpbench run` cases take turns, with a look beside each round, and kernels that lie lose their times"
)
#: pytest-benchmark's options that write a file.
SAVING = ("--benchmark-json", "--benchmark-save", "--benchmark-autosave")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options; the clock's are pytest-benchmark's."""
    arguments.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Read the options where pytest tells a mistake in one line: while tests are collected, it shows a traceback."""
    paths = [session.config.invocation_params.dir / arg.partition("::")[0] for arg in session.config.args]
    if any(path.resolve() in (TESTS, *TESTS.parents) for path in paths):
        suite(session.config)


def suite(config: pytest.Config) -> Suite:
    """Return what this process was asked to time. Raises pytest.UsageError for options that make no sense."""
    if SUITE not in config.stash:
        try:
            config.stash[SUITE] = _read_options(config)
        except (UserError, SpecError, ParamsError, UnknownKernel) as error:
            raise pytest.UsageError(f"mlpbench: {error}") from None
    return config.stash[SUITE]


def _read_options(config: pytest.Config) -> Suite:
    option = config.getoption
    plant()
    # Unknown names are told at once; a kernel that cannot be loaded fails in its tests.
    named = list(dict.fromkeys(map(registry.give, option("--kernel"))))
    if len(named) != 1 and any(map(option, SAVING)):
        raise UserError("a result file holds one kernel: name it with --kernel, or use `mlpbench run`")
    quick = profiles.PROFILES["quick"]
    sizes = tuple(values.parse_batch_size(text) for text in option("--batch-size")) or quick.batch_sizes
    rows = values.parse_batch_size(option("--per-sample-rows"))
    cases = cases_.grid(tuple(option("--mode")) or quick.modes, sizes, rows)
    environment.machine()  # kept from now on: the load before anything is measured
    names = ("spec", "hidden", "output", "dtype", "data", "data_dir", "weights")
    options = Options(**{name: option(f"--{name.replace('_', '-')}") for name in names})
    workload = Workload(options, rows=max(cases_.ALL_ROWS, *(case.batch_size for case in cases)))
    _ = workload.facts()  # bad data or weights are told before anything runs
    plan = None
    if option("--mlpbench-run"):
        plan = runs.read_plan(option("--mlpbench-run"))
    found = Suite(workload, named or registry.usual(), cases, bool(named), option("--mlpbench-repeat"), plan)
    found.tell = partial(_tell, config)
    if plan is not None:
        config.stash[TURNS] = _turns(config, found, plan)
    return found


def _tell(config: pytest.Config, phase: str) -> None:
    """Say on stdout what is done now, to the `mlpbench run` that started us: past what pytest captures."""
    reporter, capture = map(config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))
    if config.stash[SUITE].plan is None or reporter is None or capture is None or phase == config.stash.get(TOLD, ""):
        return
    config.stash[TOLD] = phase
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(f"{PHASE}{phase}", flush=True)


def _turns(config: pytest.Config, asked: Suite, plan: Plan) -> Turns:
    """Return the turns of a process of a run, as long as pytest-benchmark's own options say."""
    option = config.getoption
    given = plan.threads or processors()
    wanted = Wanted(
        round_s=float(option("benchmark_min_time")),
        rounds=int(option("benchmark_min_rounds")),
        seconds=float(option("benchmark_max_time")),
    )
    order = (
        case_order(asked.cases, plan.seed or 0, asked.kernels[0], asked.repeat, turn, threads=given)
        for turn in range(wanted.turns)
    )
    return Turns(wanted, list(order), given, Behind(given, config.stash.get(AUDIT, None)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench/test_forward.py` its cases: kernel by kernel, or in a run turn by turn."""
    if "contestant" in metafunc.fixturenames and "case" in metafunc.fixturenames:
        asked = suite(metafunc.config)
        points: list[tuple[Any, ...]] = [(k, c.mode, c.batch_size) for k in asked.kernels for c in asked.cases]
        names, ids = ["kernel", "mode", "batch_size"], ["-".join(map(str, point)) for point in points]
        turns = metafunc.config.stash.get(TURNS, None)
        if turns is not None:
            (kernel,), names = asked.kernels, [*names, "turn"]
            points = [(kernel, c.mode, c.batch_size, turn) for turn, order in enumerate(turns.order) for c in order]
            ids = [f"{kernel}-{mode}-{size}-{TURN}{turn}" for _, mode, size, turn in points]
        metafunc.parametrize(names, points, ids=ids)


@pytest.fixture
def case(mode: str, batch_size: int) -> cases_.Case:
    """Return the case of this test."""
    return cases_.Case(mode, batch_size)


@pytest.fixture
def turns(pytestconfig: pytest.Config) -> Turns | None:
    """Return the turns that the cases of this process take, None by hand."""
    return pytestconfig.stash.get(TURNS, None)


@pytest.fixture
def turn() -> int | None:
    """Return which turn this is: in a run it is a parameter of the test, by hand there are none."""
    return None


@pytest.fixture
def contestant(kernel: str, case: cases_.Case, turns: Turns | None, pytestconfig: pytest.Config) -> Contestant:
    """Return the kernel, which has just agreed with the reference; else fail, or skip if nobody named it.

    Raises TooManyThreads where the libraries have more threads than the run gave them, before a case's first rounds.
    """
    asked = suite(pytestconfig)
    try:
        found = asked.admit(kernel)
    except KernelUnavailable as reason:
        verdict, may_be_left_out = f"{kernel} is unavailable: {reason}", not asked.named
    except NonConforming as reason:
        verdict, may_be_left_out = f"{kernel} does not conform and is not timed: {reason}", False
    else:
        if turns is None or case not in turns.series:
            asked.check_threads(found)
        return found
    if may_be_left_out:
        pytest.skip(verdict)
    pytest.fail(verdict, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note every case that has no time, with its reason."""
    report = yield
    params, stash = getattr(getattr(item, "callspec", None), "params", {}), item.config.stash
    if "kernel" not in params or SUITE not in stash:
        return report
    case, turns = cases_.Case(params["mode"], params["batch_size"]), stash.get(TURNS, None)
    if report.failed and call.excinfo is not None:
        error = call.excinfo.value
        told = isinstance(error, pytest.fail.Exception | TooManyThreads)
        reason = str(error) if told else f"{type(error).__name__}: {error}"
        phase = "threads" if isinstance(error, TooManyThreads) else "gate" if call.when == "setup" else "measure"
        stash[SUITE].fail(params["kernel"], case, phase, reason)
        if turns is not None:
            turns.failed.add(case)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Leave a block out where its case has ended or failed, or is not due in this turn."""
    turns, params = item.config.stash.get(TURNS, None), getattr(getattr(item, "callspec", None), "params", {})
    if turns is None or "turn" not in params:
        return None
    is_due = turns.is_due(cases_.Case(params["mode"], params["batch_size"]), params["turn"])
    return None if is_due else True


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    """Replace pytest-benchmark's, which takes the host's name; ours is in the block."""
    return environment.machine_info()


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_generate_commit_info() -> dict[str, Any]:
    """Name the commit of mlpbench, wherever pytest was started."""
    git = environment.commit()
    return {"id": git.commit, "dirty": git.dirty, "project": "mlpbench"}


@pytest.hookimpl(trylast=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add our block to a result file of the suite."""
    rows = output_json["benchmarks"]
    ours = [row for row in rows if row["group"] != GROUP]
    turns = config.stash.get(TURNS, None)
    refusals = () if turns is None else turns.refusals()
    output_json["benchmarks"] = ours if turns is None else turns.merged(ours, refusals)
    if SUITE in config.stash:
        config.stash[SUITE].tell("looking closer")
        asked, observer = config.stash[SUITE], config.stash.get(WATCH, None)
        head = _head(asked, asked.cases if turns is None else turns.order[0], config)
        if observer is not None:
            observer.more |= {**_starts(config), "refusals": refusals}
            if turns is not None:
                observer.more["look"] = look.facts(turns.looks(), _best_looks(config))
            head = replace(head, trust=observer.trust([known(row) for row in rows if row["group"] == GROUP]))
        output_json["mlpbench"] = msgspec.json.decode(msgspec.json.encode(head, enc_hook=as_json))  # NaN is null there


def _head(asked: Suite, first: Sequence[cases_.Case], config: pytest.Config) -> RecordHead:
    """Return our block; ``first``: the cases in the order of the first turn."""
    (name,) = asked.kernels
    found = asked.admitted(name)
    dissected = found if asked.repeat < anatomy.REPEATS else None
    return RecordHead(
        kernel=name,
        repeat=asked.repeat,
        environment=environment.collect(found.kernel_info.facts if found else None),
        **computed(*asked.workload.facts()),
        kernel_info=found.kernel_info if found else None,
        conformance=found.conformance if found else None,
        accuracy=found.accuracy if found else None,
        timings=found.timings if found else None,
        thread_use=asked.thread_use,
        case_order=tuple((case.mode, case.batch_size) for case in first),
        anatomy=anatomy.measure(type(dissected.kernel), asked.workload.spec) if dissected else None,
        device_times=device.measure(found, asked.cases, float(config.getoption("benchmark_max_time")))
        if found
        else None,
        plan=asked.plan,
        failures=tuple(asked.failures),
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the result file that pytest-benchmark leaves out where no case has a time; mark one that is whole."""
    config = session.config
    path = config.getoption("--benchmark-json")
    if path and SUITE in config.stash and not path.exists():
        content: dict[str, Any] = {"machine_info": environment.machine_info(), "benchmarks": []}
        content["commit_info"] = pytest_benchmark_generate_commit_info()
        pytest_benchmark_update_json(config, content)
        path.write_text(json.dumps(content), encoding="utf-8")
    if config.getoption("--mlpbench-run") and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        child.mark_whole(Path(path))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say for each kernel how near the reference it came."""
    if SUITE not in terminalreporter.config.stash:
        return
    asked = terminalreporter.config.stash[SUITE]
    if asked.plan is None:
        terminalreporter.write_line(BY_HAND)
    for contestant in filter(None, map(asked.admitted, asked.kernels)):
        error, accuracy = contestant.conformance.max_error, contestant.accuracy.batched
        words = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        terminalreporter.write_line(f"{contestant.name}: agrees with the reference within {error:.1e}{words}")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options where pytest tells a mistake in one line; note what times, before a kernel could change it."""
    if config.getoption("--mlpbench-audit"):
        timer = load_timer(str(config.getoption("benchmark_timer")))  # type: ignore[no-untyped-call]
        config.stash[AUDIT] = Audit(timer.target)
    if config.getoption("--mlpbench-run"):
        supervised.end_with_parent()
    try:
        _ = config.getoption("--p99") and values.parse_duration(config.getoption("--p99"))
    except UserError as error:
        raise pytest.UsageError(f"mlpbench: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Time the harness last, in the first repeat, and only where a result file keeps it."""
    harness = [item for item in items if _is_harness(item)]
    others = [item for item in items if not _is_harness(item)]
    wanted = _is_saved(config) and config.getoption("--mlpbench-repeat") == 0
    items[:] = others + (harness if wanted else [])
    if harness and not wanted:
        config.hook.pytest_deselected(items=harness)


def _is_harness(item: pytest.Item) -> bool:
    return item.path.resolve() == TESTS and getattr(item, "originalname", None) == HARNESS


def _is_saved(config: pytest.Config) -> bool:
    return any(map(config.getoption, SAVING))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Watch a case while it is timed; where that is kept, look closer at the kernel when it has been."""
    found, config = getattr(item, "funcargs", {}), item.config
    if _is_harness(item) and SUITE in config.stash:
        config.stash[SUITE].tell("checking the clock")
    if "contestant" not in found or SUITE not in config.stash or not _is_saved(config):
        return (yield)
    contestant, case, turns = found["contestant"], found["case"], found["turns"]
    observer = config.stash.setdefault(WATCH, watch.Watch())
    config.stash[SUITE].tell(_phase(case, turns, found["turn"]))
    if turns is not None:
        turns.settle(case)
    yield
    observer.end(contestant.kernel)
    if turns is None or turns.is_over(case):
        config.stash[SUITE].check_threads(contestant)
        _look_closer(config, contestant, case)
    return None


def _phase(case: cases_.Case, turns: Turns | None, turn: int | None) -> str:
    """Return what is done now in words: of the first turn, in which cases are made ready, case by case."""
    if turns is None or not turn:
        return f"{'timing' if turns is None else 'warming'} {words.case(case.mode, case.batch_size)}"
    return f"timing, turn {turn} of {turns.wanted.turns - 1}"


def _look_closer(config: pytest.Config, contestant: Contestant, case: cases_.Case) -> None:
    """In the first repeat, time single calls and count joules: once for each kernel is enough."""
    suite, more = config.stash[SUITE], config.stash[WATCH].more
    if suite.repeat > 0:
        return
    if closer.is_asked(case, config.getoption("--p99")):
        more["singles"] = (*more.get("singles", ()), closer.single_calls(contestant, case))
    more["spent"] = (*more.get("spent", ()), *spent(contestant, case))


def _best_looks(config: pytest.Config) -> tuple[BestLook, ...]:
    """Return the fastest looks that are known; the run tells what is wrong with their file."""
    path = config.getoption("--mlpbench-looks")
    try:
        return look_file.read(path) if path else ()
    except UserError:
        return ()


def _starts(config: pytest.Config) -> dict[str, Any]:
    """Return the starts of the kernel: in the first repeat of a run, and by hand where they are asked for."""
    suite, asked = config.stash[SUITE], config.getoption("--cold")
    of_a_run = suite.plan is not None and suite.plan.profile != "smoke"
    (kernel,) = suite.kernels
    if suite.repeat > 0 or not (asked or of_a_run) or suite.admitted(kernel) is None:
        return {}
    found, reason = cold.starts(suite, kernel, fresh=asked)
    return {"starts": tuple(found), "no_starts": reason}
