"""What files of schema 1 and 2 hold, as schema 3 has it."""

from statistics import median
from typing import Any

from mlpbench.bench.record.fields import SCHEMA, counted

_Object = dict[str, Any]
#: What Python raises where a file does not hold what its schema says.
DAMAGED = (TypeError, ValueError, KeyError, AttributeError, ArithmeticError)


def from_older(content: _Object) -> None:
    """Rewrite the content of an older file in place; what goes is ignored by the reader. Raises `DAMAGED`."""
    block = content["mlpbench"]
    block["schema"] = SCHEMA
    if "kernel" in block and "repeat" in block:
        _record(content, block)
    if plan := block.get("plan"):
        if "sweep" in plan.get("setting", {}):
            plan["sweep"] = plan["setting"].pop("sweep")
        plan["skipped"] = {skip["kernel"]: skip.get("reason", "") for skip in plan.get("skipped", ())}
    block |= block.get("sweep", {})
    if block.get("kind") == "roofs":
        block["devices"] = [_with_look(block.get("roofs", {})) | {"device": "cpu", "reason": block.get("reason")}]


def _with_look(owner: _Object) -> _Object:
    if look := owner.get("look"):
        best = [[1, look.get("best_ns")], [look.get("processors"), look.get("several_ns")]]
        look["best_ns"] = [known for known in best if None not in known]
    return owner


def _record(content: _Object, block: _Object) -> None:
    info = block.setdefault("kernel_info", {})
    info |= {**block.get("conformance", {}), **block.get("timings", {})}  # schema 1
    if "accuracy" in block:
        info["accuracy"] = block["accuracy"]
    if "thread_use" in block:
        block["thread_use"] = [[count["what"], count["threads"]] for count in block["thread_use"].get("found", ())]
    for name in ("two_neurons", "in_l1"):
        if network := block.get("anatomy", {}).get(name):
            cases = {case["mode"]: case for case in network["cases"]}
            rows = {mode: [call_s / case["batch_size"] for call_s in case["data"]] for mode, case in cases.items()}
            batch_size = cases["batched"]["batch_size"]
            network |= {"batch_size": batch_size, "one_s": rows["per_sample"], "batch_s": rows["batched"]}
    if "trust" in block:
        _trust(content, _with_look(block["trust"]))


def _trust(content: _Object, trust: _Object) -> None:
    """Move what was measured of single cases into these, and keep the costs of calls alone."""
    infos = [row["extra_info"] for row in content.get("benchmarks", ())]
    cases = {(info["mode"], info["batch_size"]): info for info in infos}
    for entry in (*trust.get("spent", ()), *trust.get("singles", ())):
        case = cases.get((entry["mode"], entry["batch_size"]), {})
        case |= {name: entry[name] for name in ("joules", "no_joules", "clock_ns") if name in entry}
        if "calls_ns" in entry:  # schema 1
            case |= {"single_calls": counted(entry["calls_ns"]), "clock_ns": round(median(entry["clock_ns"]))}
        elif "calls" in entry:
            case["single_calls"] = entry["calls"]
    known = [entry for entry in trust.get("self_test", ()) if not entry.get("length")]  # what has one is no call
    trust["call_costs_s"] = {entry["mode"]: median(entry["rounds_s"]) / entry["calls"] for entry in known}
    for start in trust.get("starts", ()):
        start["first_calls"] = [
            [call["mode"], call["batch_size"], call["first_call_s"]] if isinstance(call, dict) else call
            for call in start.get("first_calls", ())
        ]
