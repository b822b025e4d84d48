"""The pytest side: options, cases, the gate as a fixture, and our block in pytest-benchmark's JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from msgspec.structs import replace

from mlpbench.bench import cases as cases_
from mlpbench.bench import values, words
from mlpbench.bench.data.workload import Options, Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child, environment, look
from mlpbench.bench.machine.child import PHASE
from mlpbench.bench.machine.threads import TooManyThreads
from mlpbench.bench.measure.case import Contestant
from mlpbench.bench.measure.schedule import TURN, Schedule, Wanted
from mlpbench.bench.measure.session import Suite
from mlpbench.bench.plan.plan import PROFILES, case_order
from mlpbench.bench.record import runs
from mlpbench.bench.record.fields import as_json
from mlpbench.bench.record.schema import KernelInfo, RecordHead, computed
from mlpbench.bench.registered import modules
from mlpbench.kernels import registry
from mlpbench.kernels.base import processors
from mlpbench.kernels.errors import KernelUnavailable, NonConforming
from mlpbench.kernels.spec import MNIST

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

SUITE = pytest.StashKey[Suite]()
TESTS = Path(__file__).resolve().parent.with_name("test_forward.py")
BY_HAND = "by hand: nobody checks whether the core was shared, or what was timed; `mlpbench run` does"
#: pytest-benchmark's options that write a file.
SAVING = ("--benchmark-json", "--benchmark-save", "--benchmark-autosave")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options; the clock's are pytest-benchmark's."""
    add, many = parser.getgroup("mlpbench").addoption, {"action": "append", "default": []}
    single, modes = str(cases_.PER_SAMPLE_ROWS), ", ".join(cases_.MODES)
    usual = "a kernel to time, may be repeated; default: every available one but peers"
    add("--kernel", metavar="NAME", help=usual, **many)
    add("--mode", metavar="MODE", help=f"{modes}; may be repeated; default: the first two", **many)
    add("--batch-size", metavar="N", help="rows per call, or all (10,000); may be repeated", **many)
    add("--per-sample-rows", metavar="N", default=single, help=f"rows of a round of per_sample; default: {single}")
    add("--data", metavar="NAME", help="digits, mnist or random; default: digits where they fit")
    add("--model", metavar="FILE", help="weights or a network; default: those shipped")
    add("--spec", help=f"sizes of the layers and activations; default: {MNIST.text}")
    add("--dtype", default=MNIST.dtype, help="float32 or float64; default: %(default)s")
    add("--mlpbench-run", metavar="FILE", type=Path, help="run.json of the run that this process belongs to")
    add("--mlpbench-repeat", metavar="K", type=int, default=0, help="which repeat of that run this is")
    add("--p99", metavar="TIME", help="a budget, as 5ms: time single calls of every batch size")
    add("--mlpbench-audit", action="store_true", help="ask too whether the kernel changes what measures it")
    add("--cold", action="store_true", help="start the kernel without compiled code too, which compiles it")


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
        except UserError as error:
            raise pytest.UsageError(f"mlpbench: {error}") from None
    return config.stash[SUITE]


def _read_options(config: pytest.Config) -> Suite:
    option = config.getoption
    if option("--mlpbench-run"):
        child.end_with_parent()
    if option("--p99"):
        values.parse_duration(option("--p99"))
    audits = [module.Audit() for module in modules("audit")] if option("--mlpbench-audit") else []
    # Unknown names end it at once; a kernel that cannot be loaded fails in its tests.
    named = list(dict.fromkeys(map(registry.give, option("--kernel"))))
    if len(named) != 1 and any(map(option, SAVING)):
        raise UserError("a result file holds one kernel: name it with --kernel, or use `mlpbench run`")
    quick = PROFILES["quick"]
    sizes = tuple(values.parse_batch_size(text) for text in option("--batch-size")) or quick.batch_sizes
    rows = values.parse_batch_size(option("--per-sample-rows"))
    cases = cases_.grid(tuple(option("--mode")) or quick.modes, sizes, rows)
    environment.machine()  # kept from now on: the load before anything is measured
    options = Options(**{name: option(f"--{name}") for name in ("spec", "dtype", "data", "model")})
    workload = Workload(options, rows=max(cases_.ALL_ROWS, *(case.batch_size for case in cases)))
    _ = workload.facts()  # bad data or weights end it before anything runs
    asked = Suite(workload, named or registry.usual(), cases, bool(named), option("--mlpbench-repeat"), audits=audits)
    if option("--mlpbench-run"):
        asked.plan = plan = runs.read_head(option("--mlpbench-run")).plan
        least_s, rounds, most_s = (option(f"benchmark_{name}") for name in ("min_time", "min_rounds", "max_time"))
        wanted = Wanted(float(least_s), int(rounds), float(most_s), plan.threads or processors())
        order = partial(case_order, cases, plan.seed or 0, asked.kernels[0], asked.repeat, threads=wanted.threads)
        asked.schedule = Schedule(wanted, list(map(order, range(wanted.turns))))
        asked.tell = partial(_tell, config, asked)
    return asked


def _tell(config: pytest.Config, asked: Suite, phase: str) -> None:
    """Say on stdout what is done now, to the `mlpbench run` that started us."""
    reporter, capture = map(config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))
    if reporter is None or capture is None or phase == asked.told:
        return
    asked.told = phase
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(f"{PHASE}{phase}", flush=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench/test_forward.py` its cases: kernel by kernel, and in a run turn by turn."""
    if not {"contestant", "case"} <= set(metafunc.fixturenames):
        return
    asked = suite(metafunc.config)
    turns = enumerate([asked.cases] if asked.schedule is None else asked.schedule.order)
    blocks = [(turn, case) for turn, cases in turns for case in cases]
    points = [(kernel, case.mode, case.batch_size, turn) for kernel in asked.kernels for turn, case in blocks]
    endings = [f"-{TURN}{turn}" if asked.schedule else "" for *_, turn in points]
    ids = [f"{kernel}-{mode}-{size}{end}" for (kernel, mode, size, _), end in zip(points, endings, strict=True)]
    metafunc.parametrize(["kernel", "mode", "batch_size", "turn"], points, ids=ids)


@pytest.fixture
def case(mode: str, batch_size: int) -> cases_.Case:
    """Return the case of this test."""
    return cases_.Case(mode, batch_size)


@pytest.fixture
def contestant(kernel: str, case: cases_.Case, pytestconfig: pytest.Config) -> Contestant:
    """Return the kernel, if it agrees with the reference; else fail, or skip it if nobody named it."""
    asked = suite(pytestconfig)
    try:
        admitted = asked.admit(kernel)
    except KernelUnavailable as reason:
        if not asked.named:
            pytest.skip(f"{kernel} is unavailable: {reason}")
        pytest.fail(f"{kernel} is unavailable: {reason}", pytrace=False)
    except NonConforming as reason:
        pytest.fail(f"{kernel} does not conform and is not timed: {reason}", pytrace=False)
    if asked.schedule is None or case not in asked.schedule.series:
        asked.check_threads(admitted)
    return admitted


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note every case that has no time, with its reason."""
    report = yield
    params = getattr(getattr(item, "callspec", None), "params", {})
    if report.failed and call.excinfo is not None and "kernel" in params and SUITE in item.config.stash:
        error = call.excinfo.value
        is_told = isinstance(error, pytest.fail.Exception | TooManyThreads)
        reason = str(error) if is_told else f"{type(error).__name__}: {error}"
        phase = "threads" if isinstance(error, TooManyThreads) else "gate" if call.when == "setup" else "measure"
        case = cases_.Case(params["mode"], params["batch_size"])
        item.config.stash[SUITE].fail(params["kernel"], case, phase, reason)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Leave a block out where its case has ended or failed, or is not due in this turn."""
    params, asked = getattr(getattr(item, "callspec", None), "params", {}), item.config.stash.get(SUITE, None)
    if asked is None or asked.schedule is None or "turn" not in params:
        return None
    is_due = asked.schedule.is_due(cases_.Case(params["mode"], params["batch_size"]), params["turn"])
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
    if SUITE not in config.stash:
        return
    asked = config.stash[SUITE]
    schedule = asked.schedule
    if schedule is not None:
        of_process = (refusal for audit in asked.audits for refusal in audit.of_process())
        refusals = (*of_process, *schedule.refusals(partial(asked.fail, asked.kernels[0]), asked.audits))
        output_json["benchmarks"] = schedule.merged(output_json["benchmarks"], refusals)
        taken = [series.look for series in schedule.series.values() if series.look is not None]
        known = look.known(config.getoption("--mlpbench-run").parent)
        asked.trust = replace(asked.trust, look=look.facts(taken, known), refusals=refusals)
    for info in (row["extra_info"] for row in output_json["benchmarks"]):
        info.update(asked.beside[cases_.Case(info["mode"], info["batch_size"])])
    asked.tell("looking closer")
    contestant = asked.admitted(asked.kernels[0])
    beside: dict[str, Any] = {}
    for measure in _measurements("of_kernel") if contestant else ():
        beside |= measure(asked, contestant, config.getoption)
    head = RecordHead(
        kernel=asked.kernels[0],
        repeat=asked.repeat,
        environment=environment.collect(contestant.kernel_info.facts if contestant else None),
        **computed(*asked.workload.facts()),
        kernel_info=contestant.kernel_info if contestant else KernelInfo(),
        thread_use=asked.thread_use,
        trust=asked.trust,
        plan=asked.plan,
        failures=tuple(asked.failures),
        **beside,
    )
    output_json["mlpbench"] = msgspec.json.decode(msgspec.json.encode(head, enc_hook=as_json))  # NaN is null there


def _measurements(name: str) -> list[Callable[..., Any]]:
    """Return the functions of this name of the wings' measurements."""
    return [getattr(module, name) for module in modules("measurement") if hasattr(module, name)]


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
        with suppress(OSError):  # on a full disk there is no mark, and the record counts only if the process ends well
            child.whole(Path(path)).touch()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say for each kernel how near the reference it came."""
    if SUITE not in terminalreporter.config.stash:
        return
    asked = terminalreporter.config.stash[SUITE]
    if asked.plan is None:
        terminalreporter.write_line(BY_HAND)
    for contestant in filter(None, map(asked.admitted, asked.kernels)):
        error, accuracy = contestant.kernel_info.max_error or 0.0, contestant.kernel_info.accuracy.batched
        words = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        terminalreporter.write_line(f"{contestant.name}: agrees with the reference within {error:.1e}{words}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Say what is done; where times are saved, look closer at the kernel when a case has been timed."""
    fixtures, config = getattr(item, "funcargs", {}), item.config
    if "contestant" not in fixtures or SUITE not in config.stash or not any(map(config.getoption, SAVING)):
        return (yield)
    contestant, case, asked = fixtures["contestant"], fixtures["case"], config.stash[SUITE]
    schedule, turn = asked.schedule, fixtures["turn"]
    if schedule is not None:
        name = words.case(case.mode, case.batch_size)
        asked.tell(f"timing, turn {turn} of {schedule.wanted.turns - 1}" if turn else f"warming {name}")
        schedule.settle(case)
    yield
    kernel = contestant.kernel
    asked.trust = replace(asked.trust, compile_s=kernel.compiled_s(), pool_bytes=kernel.describe().pool_bytes)
    if schedule is None or schedule.series[case].ended:
        asked.check_threads(contestant)
        for measure in _measurements("of_case") if asked.repeat == 0 else ():  # once for each kernel is enough
            measure(asked, contestant, case, config.getoption)
    return None
