"""What files of schema 1 hold, as schema 2 has it."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from mlpbench.bench.record.fields import MAX_INTEGER
from mlpbench.bench.record.trust import counted

#: Members of a record's block that are members of ``kernel_info`` now.
_OF_KERNEL = ("conformance", "timings")


def from_1(content: dict[str, Any]) -> None:
    """Rewrite the content of a file of schema 1 in place; what goes is ignored by the reader.

    A member that is not what it should be stays as it is: its type is checked later.
    """
    block = content["mlpbench"]
    block["schema"] = 2
    if "kernel" in block and "repeat" in block:
        _record(block)
    for plan in _objects([block.get("plan")]):
        setting = plan.get("setting")
        if isinstance(setting, dict) and "sweep" in setting:
            plan["sweep"] = setting.pop("sweep")


def _record(block: dict[str, Any]) -> None:
    info = block.get("kernel_info", {})
    if isinstance(info, dict):
        for member in _objects(map(block.get, _OF_KERNEL)):
            info |= member
        if "accuracy" in block:
            info["accuracy"] = block["accuracy"]
        block["kernel_info"] = info
    trust = block.get("trust")
    if not isinstance(trust, dict):
        return
    known = trust.get("self_test")
    if isinstance(known, list):  # work of known lengths, which other entries are, is not measured any more
        trust["self_test"] = [entry for entry in known if not (isinstance(entry, dict) and entry.get("length"))]
    for singles in _objects(trust.get("singles")):
        calls, readings = singles.get("calls_ns"), singles.get("clock_ns")
        if (lasted := _numbers(calls)) and (read := _numbers(readings)):
            singles |= {"calls": counted(lasted), "clock_ns": round(median(read))}
    for start in _objects(trust.get("starts")):
        calls = start.get("first_calls")
        if isinstance(calls, list):
            names = ("mode", "batch_size", "first_call_s")
            start["first_calls"] = [
                [call.get(name) for name in names] if isinstance(call, dict) else call for call in calls
            ]


def _objects(values: object) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, Iterable) else []


def _numbers(values: object) -> list[int]:
    """Return the whole numbers of a list; none where it holds anything else."""
    numbers = values if isinstance(values, list) else []
    return numbers if all(type(value) is int and 0 <= value <= MAX_INTEGER for value in numbers) else []
