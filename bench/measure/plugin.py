"""The pytest side: options, cases, the gate as a fixture, and our block in pytest-benchmark's JSON."""

from __future__ import annotations

import json
from collections.abc import Generator
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
from mlpbench.bench.machine import environment
from mlpbench.bench.machine.child import PHASE
from mlpbench.bench.machine.threads import TooManyThreads
from mlpbench.bench.measure import anatomy, closer, cold, watch
from mlpbench.bench.measure.instruments import GROUP, REPEATS, known, plant
from mlpbench.bench.measure.session import Contestant, Suite
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.plan import case_order
from mlpbench.bench.record import runs
from mlpbench.bench.record.fields import as_json
from mlpbench.bench.record.schema import Failure, RecordHead, computed
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable, NonConforming, ParamsError, SpecError, UnknownKernel
from mlpbench.kernels.spec import MNIST

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

SUITE = pytest.StashKey[Suite]()
WATCH = pytest.StashKey[watch.Watch]()
#: The suite: every case, and the harness itself.
TESTS = Path(__file__).resolve().parent.with_name("test_forward.py")
HARNESS = "test_harness"
#: pytest-benchmark's options that write a file.
SAVING = ("--benchmark-json", "--benchmark-save", "--benchmark-autosave")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options; the clock's are pytest-benchmark's."""
    group = parser.getgroup("mlpbench", "mlpbench: what is computed")
    many = {"action": "append", "default": []}
    group.addoption(
        "--kernel",
        metavar="NAME",
        help="a kernel to time, may be repeated; default: every available one but peers",
        **many,
    )
    group.addoption(
        "--mode", metavar="MODE", help=f"{', '.join(cases_.MODES)}; may be repeated; default: the first two", **many
    )
    group.addoption("--batch-size", metavar="N", help="rows per call, or all (10,000); may be repeated", **many)
    group.addoption(
        "--per-sample-rows",
        metavar="N",
        default=str(cases_.PER_SAMPLE_ROWS),
        help="rows that a round of per_sample takes, one at a time; default: %(default)s",
    )
    group.addoption("--data", metavar="NAME", help="digits, mnist or random; default: digits where they fit")
    group.addoption("--data-dir", metavar="DIR", type=Path, help="the folder of the MNIST files")
    group.addoption("--weights", metavar="FILE", type=Path, help="an .npz or the book's .pkl; default: those shipped")
    group.addoption("--spec", default=MNIST.label(), help="sizes of the layers; default: %(default)s")
    group.addoption("--hidden", default=MNIST.hidden, help="sigmoid, relu or step; default: %(default)s")
    group.addoption("--output", default=MNIST.output, help="softmax or identity; default: %(default)s")
    group.addoption("--dtype", default=MNIST.dtype, help="float32 or float64; default: %(default)s")
    group.addoption(
        "--mlpbench-run", metavar="FILE", type=Path, help="run.json of the run that this process belongs to"
    )
    group.addoption("--mlpbench-repeat", metavar="K", type=int, default=0, help="which repeat of that run this is")
    _add_trust_options(parser)


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
    named = list(dict.fromkeys(option("--kernel")))
    plant()
    for name in named:
        registry.module(name)  # unknown names are told at once; a kernel that cannot be loaded fails in its tests
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
        cases = case_order(cases, plan.seed or 0, named[0], option("--mlpbench-repeat"))
    suite = Suite(workload, named or registry.usual(), cases, bool(named), option("--mlpbench-repeat"), plan)
    suite.tell = partial(_tell, config)
    return suite


def _tell(config: pytest.Config, phase: str) -> None:
    """Say on stdout what is done now, to the `mlpbench run` that started us: past what pytest captures."""
    reporter, capture = map(config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager"))
    if config.stash[SUITE].plan is None or reporter is None or capture is None:
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(f"{PHASE}{phase}", flush=True)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `bench/test_forward.py` its cases, kernel by kernel."""
    if "contestant" in metafunc.fixturenames and "mode" in metafunc.fixturenames:
        asked = suite(metafunc.config)
        points = [(name, case.mode, case.batch_size) for name in asked.kernels for case in asked.cases]
        ids = ["-".join(map(str, point)) for point in points]
        metafunc.parametrize(("kernel", "mode", "batch_size"), points, ids=ids)


@pytest.fixture
def case(mode: str, batch_size: int) -> cases_.Case:
    """Return the case of this test."""
    return cases_.Case(mode, batch_size)


@pytest.fixture
def contestant(kernel: str, pytestconfig: pytest.Config) -> Contestant:
    """Return the kernel, which has just agreed with the reference; else fail, or skip if nobody named it.

    Raises TooManyThreads where the libraries use more threads than the run gave them.
    """
    asked = suite(pytestconfig)
    try:
        found = asked.admit(kernel)
    except KernelUnavailable as reason:
        verdict, may_be_left_out = f"{kernel} is unavailable: {reason}", not asked.named
    except NonConforming as reason:
        verdict, may_be_left_out = f"{kernel} does not conform and is not timed: {reason}", False
    else:
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
    params = getattr(getattr(item, "callspec", None), "params", {})
    if report.failed and call.excinfo is not None and "kernel" in params and SUITE in item.config.stash:
        error = call.excinfo.value
        told = isinstance(error, pytest.fail.Exception | TooManyThreads)
        reason = str(error) if told else f"{type(error).__name__}: {error}"
        phase = "threads" if isinstance(error, TooManyThreads) else "gate" if call.when == "setup" else "measure"
        failure = Failure(params["kernel"], params["mode"], params["batch_size"], phase, reason)
        item.config.stash[SUITE].failures.append(failure)
    return report


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
    output_json["benchmarks"] = [row for row in rows if row["group"] != GROUP]
    if SUITE in config.stash:
        config.stash[SUITE].tell("looking closer")
        head, observer = _head(config.stash[SUITE]), config.stash.get(WATCH, None)
        if observer is not None:
            observer.more |= _starts(config)
            head = replace(head, trust=observer.trust([known(row) for row in rows if row["group"] == GROUP]))
        output_json["mlpbench"] = msgspec.json.decode(msgspec.json.encode(head, enc_hook=as_json))  # NaN is null there


def _head(asked: Suite) -> RecordHead:
    (name,) = asked.kernels
    found = asked.admitted(name)
    dissected = found if asked.repeat < anatomy.REPEATS else None
    return RecordHead(
        kernel=name,
        repeat=asked.repeat,
        environment=environment.collect(),
        **computed(*asked.workload.facts()),
        kernel_info=found.kernel_info if found else None,
        conformance=found.conformance if found else None,
        accuracy=found.accuracy if found else None,
        timings=found.timings if found else None,
        thread_use=asked.thread_use,
        case_order=tuple((case.mode, case.batch_size) for case in asked.cases),
        anatomy=anatomy.measure(type(dissected.kernel), asked.workload.spec) if dissected else None,
        plan=asked.plan,
        failures=tuple(asked.failures),
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the result file that pytest-benchmark leaves out where no case has a time: the reasons are results."""
    config = session.config
    path = config.getoption("--benchmark-json")
    if path and SUITE in config.stash and not path.exists():
        content: dict[str, Any] = {
            "machine_info": environment.machine_info(),
            "commit_info": pytest_benchmark_generate_commit_info(),
            "benchmarks": [],
        }
        pytest_benchmark_update_json(config, content)
        path.write_text(json.dumps(content), encoding="utf-8")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say for each kernel how near the reference it came."""
    if SUITE not in terminalreporter.config.stash:
        return
    asked = terminalreporter.config.stash[SUITE]
    for contestant in filter(None, map(asked.admitted, asked.kernels)):
        error, accuracy = contestant.conformance.max_error, contestant.accuracy.batched
        words = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        terminalreporter.write_line(f"{contestant.name}: agrees with the reference within {error:.1e}{words}")


def _add_trust_options(parser: pytest.Parser) -> None:
    """Add the options about trust."""
    group = parser.getgroup("mlpbench-trust", "mlpbench: what is looked at besides the times")
    group.addoption(
        "--latency",
        metavar="N",
        action="append",
        default=[],
        help="time single calls of this batch size too; may be repeated; batch size 1 always is",
    )
    group.addoption("--p99", metavar="TIME", help="a budget, as 5ms: time single calls of every batch size")
    group.addoption("--cold", action="store_true", help="start the kernel without compiled code too, which compiles it")


def pytest_configure(config: pytest.Config) -> None:
    """Read the options where pytest tells a mistake in one line."""
    try:
        _ = [values.parse_batch_size(text) for text in config.getoption("--latency")]
        _ = config.getoption("--p99") and values.parse_duration(config.getoption("--p99"))
    except UserError as error:
        raise pytest.UsageError(f"mlpbench: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Time the harness last, in the first repeats, and only where a result file keeps it."""
    harness = [item for item in items if _is_harness(item)]
    others = [item for item in items if not _is_harness(item)]
    wanted = _is_saved(config) and config.getoption("--mlpbench-repeat") < REPEATS
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
    contestant, case = found["contestant"], found["case"]
    observer = config.stash.setdefault(WATCH, watch.Watch())
    config.stash[SUITE].tell(f"timing {words.case(case.mode, case.batch_size)}")
    observer.begin()
    yield
    observer.end(contestant.kernel, case)
    _look_closer(config, contestant, case)
    return None


def _look_closer(config: pytest.Config, contestant: Contestant, case: cases_.Case) -> None:
    """Time single calls in the first repeats, and audit the inputs in the very first."""
    suite, more = config.stash[SUITE], config.stash[WATCH].more
    sizes = map(values.parse_batch_size, config.getoption("--latency"))
    if suite.repeat < closer.REPEATS and closer.is_asked(case, sizes, config.getoption("--p99")):
        more["singles"] = (*more.get("singles", ()), closer.single_calls(contestant, case))
    if suite.repeat == 0 and case in closer.audited(suite.cases, len(contestant.inputs)):
        more["audits"] = (*more.get("audits", ()), closer.audit(contestant, case))


def _starts(config: pytest.Config) -> dict[str, Any]:
    """Return the starts of the kernel: in the first repeat of a run, and by hand where they are asked for."""
    suite, asked = config.stash[SUITE], config.getoption("--cold")
    of_a_run = suite.plan is not None and suite.plan.profile != "smoke"
    (kernel,) = suite.kernels
    if suite.repeat > 0 or not (asked or of_a_run) or suite.admitted(kernel) is None:
        return {}
    found, reason = cold.starts(suite, kernel, fresh=asked)
    return {"starts": tuple(found), "no_starts": reason}
