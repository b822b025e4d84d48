"""`mlpbench check`: which kernels agree with the reference, and how many digits they get right."""

from __future__ import annotations

import sys
from pathlib import Path
from traceback import extract_tb, format_exception
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from mlpbench.bench.cli import console, options

if TYPE_CHECKING:
    from rich.table import Table

    from mlpbench.bench.measure.session import Suite


def check(
    kernels: options.Kernels = None,
    peers: options.Peers = False,
    third_party: options.ThirdParty = False,
    data: options.Data = None,
    data_dir: options.DataDir = None,
    weights: options.Weights = None,
    spec: options.Spec = options.SIZES,
    hidden: options.Hidden = "sigmoid",
    output: options.Output = "softmax",
    dtype: options.DType = "float32",
    device: options.Device = None,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Print the full traceback where a kernel raised.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare kernels with the float64 reference, and count their hits. Exit 1 if one does not conform.

    Where a kernel raises, its line names the file and line; --traceback shows all of it.

    Example: mlpbench check numba --data mnist --data-dir ~/mnist
    """
    import msgspec

    from mlpbench.bench.data.workload import Options, Workload
    from mlpbench.bench.measure.session import Suite
    from mlpbench.bench.record.schema import computed
    from mlpbench.kernels import registry

    options.use(device)
    names = [*(kernels or registry.usual()), *(registry.peers() if peers else ())]
    names += registry.third_party() if third_party else []
    for name in names:
        registry.module(name)  # unknown names are told before anything runs
    workload = Workload(Options(spec, hidden, output, dtype, data, data_dir, weights))
    suite = Suite(workload, list(dict.fromkeys(names)), [], named=bool(kernels))
    _ = workload.inputs, workload.params  # bad input is told before anything runs
    with console.err().status("checking …") as status:
        rows = []
        for name in suite.kernels:
            status.update(f"checking {name} …")
            rows.append(verdict_of(suite, name, must=name in (kernels or ()), traceback=traceback))
    if as_json:
        console.print_json({**msgspec.to_builtins(computed(*workload.facts())), "kernels": rows})
    else:
        console.show(_table(suite, rows))
    if any(row["verdict"] == "non-conforming" for row in rows):
        raise typer.Exit(1)


def verdict_of(suite: Suite, name: str, *, must: bool, traceback: bool) -> dict[str, Any]:
    """Return what the gate says of a kernel, as data. Raises UserError for one that ``must`` run and cannot."""
    from mlpbench.bench.errors import UserError
    from mlpbench.kernels.errors import KernelUnavailable, NonConforming

    try:
        found = suite.admit(name)
    except KernelUnavailable as reason:
        if must:
            raise UserError(f"{name} is unavailable: {reason}") from None
        return {"kernel": name, "verdict": "unavailable", "reason": str(reason)}
    except Exception as error:  # noqa: BLE001 - whatever a kernel raises is its verdict, and the others go on
        why = str(error) if isinstance(error, NonConforming) else f"{type(error).__name__}: {error}"
        # The gate says which check it was in; what the kernel raised is the cause of that.
        raised = error.__cause__ if isinstance(error, NonConforming) else error
        if raised is not None:
            why += f" ({_place(raised, name)})"
            if traceback:
                console.say("".join(format_exception(raised)))
        return {"kernel": name, "verdict": "non-conforming", "reason": why}
    near, hits = found.conformance.as_dict(), found.accuracy.as_dict()
    return {"kernel": name, "verdict": "conforms", "reason": None, "conformance": near, "accuracy": hits}


def _place(raised: BaseException, kernel: str) -> str:
    """Return the last file and line of the kernel's own module that an exception came through, else of any."""
    from mlpbench.kernels import registry

    frames = extract_tb(raised.__traceback__)
    own = getattr(sys.modules.get(registry.module(kernel)), "__file__", None)
    frame = next((frame for frame in reversed(frames) if frame.filename == own), frames[-1])
    return f"{Path(frame.filename).name}, line {frame.lineno}"


def _table(suite: Suite, rows: list[dict[str, Any]]) -> Table:
    workload = suite.workload
    data = f"{workload.dataset.name}, {len(workload.dataset)} rows"
    title = f"{workload.spec} · {data} · {workload.weights_source} weights"
    columns = ("largest error", "of allowed", "accuracy one at a time", "accuracy in batches")
    shown = console.table(title, "kernel", "verdict", *columns, right=columns)
    styles = {"conforms": "green", "unavailable": "yellow", "non-conforming": "bold red"}
    for row in rows:
        verdict = Text(row["verdict"], styles[row["verdict"]])
        if row["reason"]:
            shown.add_row(Text(row["kernel"]), verdict.append(f": {row['reason']}"))
            continue
        near, hits = row["conformance"], row["accuracy"]
        errors = f"{near['max_error']:.1e}", f"{near['max_error_ratio']:.1%}"
        figures = [f"{hits[mode]:.4f}" if hits[mode] is not None else "-" for mode in ("per_sample", "batched")]
        shown.add_row(Text(row["kernel"]), verdict, *errors, *figures)
    reasons = {row["accuracy"]["reason"] for row in rows if row.get("accuracy")} - {None}
    shown.caption = "; ".join(f"no accuracy: {reason}" for reason in reasons) or None
    return shown
