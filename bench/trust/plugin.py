"""The pytest side of trust: watches every case, and puts the block ``trust`` into the result file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench import plugin
from bench.measure import is_asynchronous
from bench.trust import watch
from bench.trust.selftest import GROUP

if TYPE_CHECKING:
    from collections.abc import Generator

WATCH = pytest.StashKey[watch.Watch]()
HARNESS = Path(__file__).resolve().parent.with_name("test_harness.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Time the harness last, and only where a result file keeps it: Numba is imported for it, unasked."""
    harness = [item for item in items if item.path == HARNESS]
    others = [item for item in items if item.path != HARNESS]
    saved = any(map(config.getoption, plugin.SAVING))
    items[:] = others + (harness if saved else [])
    if harness and not saved:
        config.hook.pytest_deselected(items=harness)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Watch a case while it is timed, and look closer at the kernel when it has been."""
    found = getattr(item, "funcargs", {})
    if "contestant" not in found or plugin.SUITE not in item.config.stash:
        return (yield)
    observer = item.config.stash.setdefault(WATCH, watch.Watch())
    observer.begin()
    yield
    observer.end(found["case"], waits=is_asynchronous(found["contestant"].kernel))
    return None


@pytest.hookimpl(trylast=True)
def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Move the harness's own rows out of the cases, and add what was watched."""
    rows = output_json["benchmarks"]
    output_json["benchmarks"] = [row for row in rows if row["group"] != GROUP]
    if "mlpbench" in output_json:
        observer = config.stash.get(WATCH, None) or watch.Watch()
        harness = [row for row in rows if row["group"] == GROUP]
        output_json["mlpbench"]["trust"] = observer.as_dict(harness)
