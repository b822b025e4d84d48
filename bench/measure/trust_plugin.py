"""The pytest side of trust: watches every case, looks closer at each kernel, adds the block ``trust`` to the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.measure import closer, cold, inputs, plugin, watch
from mlpbench.bench.measure.instruments import GROUP, REPEATS
from mlpbench.bench.plan import profiles
from mlpbench.bench.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Generator

    from mlpbench.bench.measure.session import Contestant

WATCH = pytest.StashKey[watch.Watch]()
HARNESS = Path(__file__).resolve().parent.with_name("test_harness.py")


def pytest_addoption(parser: pytest.Parser) -> None:
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
        _ = [profiles.parse_batch_size(text) for text in config.getoption("--latency")]
        _ = config.getoption("--p99") and parse_duration(config.getoption("--p99"))
    except UserError as error:
        raise pytest.UsageError(f"mlpbench: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Time the harness last, in the first repeats, and only where a result file keeps it."""
    harness = [item for item in items if item.path == HARNESS]
    others = [item for item in items if item.path != HARNESS]
    wanted = _is_saved(config) and config.getoption("--mlpbench-repeat") < REPEATS
    items[:] = others + (harness if wanted else [])
    if harness and not wanted:
        config.hook.pytest_deselected(items=harness)


def _is_saved(config: pytest.Config) -> bool:
    return any(map(config.getoption, plugin.SAVING))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Watch a case while it is timed; where that is kept, look closer at the kernel when it has been."""
    found, config = getattr(item, "funcargs", {}), item.config
    if "contestant" not in found or plugin.SUITE not in config.stash or not _is_saved(config):
        return (yield)
    contestant, case = found["contestant"], found["case"]
    observer = config.stash.setdefault(WATCH, watch.Watch())
    observer.begin()
    yield
    observer.end(contestant.kernel, case)
    _look_closer(config, contestant, case)
    return None


def _look_closer(config: pytest.Config, contestant: Contestant, case: profiles.Case) -> None:
    """Time single calls in the first repeats, and audit the inputs in the very first."""
    suite, more = config.stash[plugin.SUITE], config.stash[WATCH].more
    sizes = map(profiles.parse_batch_size, config.getoption("--latency"))
    if suite.repeat < closer.REPEATS and closer.is_asked(case, sizes, config.getoption("--p99")):
        more.setdefault("singles", []).append(closer.single_calls(contestant, case))
    if suite.repeat == 0 and case in inputs.audited(suite.cases, len(contestant.inputs)):
        more.setdefault("audits", []).append(inputs.audit(contestant, case))


def _starts(config: pytest.Config) -> dict[str, Any]:
    """Return the starts of the kernel: in the first repeat of a run, and by hand where they are asked for."""
    suite, asked = config.stash[plugin.SUITE], config.getoption("--cold")
    of_a_run = suite.plan is not None and suite.plan["profile"] != "smoke"
    (kernel,) = suite.kernels
    if suite.repeat > 0 or not (asked or of_a_run) or suite.admitted(kernel) is None:
        return {}
    return cold.starts(suite, kernel, fresh=asked)


@pytest.hookimpl(trylast=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Move the harness's own rows out of the cases, and add what was watched."""
    rows = output_json["benchmarks"]
    output_json["benchmarks"] = [row for row in rows if row["group"] != GROUP]
    observer = config.stash.get(WATCH, None)
    if "mlpbench" in output_json and observer is not None:
        observer.more |= _starts(config)
        harness = [row for row in rows if row["group"] == GROUP]
        output_json["mlpbench"]["trust"] = observer.as_dict(harness)
