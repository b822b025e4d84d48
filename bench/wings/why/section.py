"""What the speedup is made of: a sentence for each kernel, charts for each run, and behind folds all the rest."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.bench.report import charts
from mlpbench.bench.report.charts import MUTED, Names, Row, Spec
from mlpbench.bench.report.document import Block, Figure, Findings, Part, Section, Table, table
from mlpbench.bench.wings.why import explain
from mlpbench.bench.wings.why.attribution import PARTS, Attribution
from mlpbench.bench.wings.why.bounds import Roofs, RoofVerdict
from mlpbench.bench.wings.why.evidence import CaseShare
from mlpbench.bench.wings.why.explain import Explanation, KernelExplanation
from mlpbench.bench.wings.why.hockney import Fit

#: A bar's words for each part.
_PART_WORDS = dict(zip(PARTS, ("calls saved", "weights reused", "arithmetic units", "unexplained"), strict=True))
#: What a cause is, where it makes the gain.
_GAIN = {
    "calls": "fewer calls",
    "weights": "weights read once for a batch",
    "arithmetic": "better use of the arithmetic units",
}

_WATERFALL = (
    "From top to bottom: the time of a sample one at a time, what each cause takes off it, and what is left in batches."
)
_SHARE = (
    "100 % is as fast as this machine allows. The limit of a case is the longest of these: its arithmetic at the peak, "
    "its weights or its inputs read once, and on a device an empty launch with its wait. Hollow: one sample at a time."
)
_HOCKNEY = (
    "Symbols are measured calls, the line is t0 + B / r_inf fitted to them: t0 is what a call costs, r_inf the rate of "
    "endless batches, of which n_half rows reach half. Both axes are logarithmic."
)


def explanations(findings: Findings) -> tuple[Explanation, ...]:
    """Return the explanation of each run that has one."""
    return tuple(filter(None, (explain.find(run, own) for run, own in findings.by_run)))


def blocks(every: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the section's content; of several runs, each has to be opened on a page."""
    if len(every) == 1:
        return tuple(_of_run(every[0], 0, several=False))
    return tuple(Section(one.run.title, tuple(_of_run(one, n, several=True))) for n, one in enumerate(every))


def _of_run(explanation: Explanation, number: int, *, several: bool) -> Iterator[Block]:
    after, kernels = f", {of_run(explanation)}" if several else "", explanation.kernels
    calls = call_table(kernels)

    def figure(kind: str, title: str, reading: str, numbers: Table, draw: Callable[..., dict[str, Spec]]) -> Figure:
        return Figure(f"{kind}-{number}", f"{title}{after}", reading, numbers, partial(draw, explanation))

    yield tuple(gain_sentences(kernels))
    if any(kernel.attribution for kernel in kernels):
        yield figure(
            "waterfall", "Where the time of a sample goes", _WATERFALL, gain_table([explanation]), waterfall_charts
        )
    if any(share.verdict for kernel in kernels for share in kernel.shares):
        yield figure("share", "How near each case is to its limit", _SHARE, roof_table(kernels), share_chart)
    line: Block = calls
    if any(kernel.fit for kernel in kernels):
        line = figure("hockney", "Time of a call, and the line through it", _HOCKNEY, calls, hockney_chart)
    yield Section(f"What a call costs, and the machine's limits{after}", (line, tuple(run_sentences(explanation))))


def of_run(explanation: Explanation) -> str:
    """Return the run's title within a sentence."""
    return explanation.run.title[0].lower() + explanation.run.title[1:]


# -- tables


def gain_table(explanations: Sequence[Explanation]) -> Table:
    """Return what the gain of each kernel is made of; of several runs with its network and its weights."""
    several, rows = len(explanations) > 1, list[tuple[str, ...]]()
    for run in explanations:
        spec = run.first.spec
        for kernel in run.kernels:
            if (parts := kernel.attribution) is not None:
                lie = f"{words.data_size(spec.weight_bytes())} in {kernel.weights_in or 'an unknown level'}"
                heads = (spec.label(), kernel.kernel, lie) if several else (kernel.kernel,)
                times = f"{words.seconds(parts.one_s)} to {words.seconds(parts.batch_s)}"
                rows.append((run.run.name, *heads, times, *(share_words(name, parts) for name in PARTS)))
    caption = "Shares of the time that batching saves: fewer calls, weights read once, arithmetic better used."
    texts = ("network", "kernel", "weights") if several else ("kernel",)
    numbers = ("batching: time per sample", "calls", "weights", "arithmetic", "unexplained")
    return table(caption, texts, numbers, rows=rows, several=several)


def call_table(kernels: Sequence[KernelExplanation]) -> Table:
    """Return what a call of each kernel costs, and the line through the times of its calls."""
    caption = (
        "An empty call computes next to nothing. A call of B rows takes t0 + B / r_inf where it follows a line; n_half "
        "rows reach half of the rate r_inf."
    )
    names = ("empty call, one at a time", "as a batch of 1", "t0", "r_inf", "n_half", "the line is off by")
    rows = []
    for kernel in kernels:
        calls = (kernel.call_one_s, kernel.call_batch_s)
        costs = ("not measured" if cost is None else words.duration(cost) for cost in calls)
        rows.append((kernel.kernel, *costs, *(_line(kernel.fit) if kernel.fit else ("", "", "", "no line"))))
    return table(caption, ("kernel",), names, rows=rows)


def _line(fit: Fit) -> tuple[str, ...]:
    t0 = n_half = "too small to tell"
    if fit.t0 and fit.n_half:
        t0, n_half = words.duration(fit.t0), words.quantity(fit.n_half, " rows")
    at = max(fit.misfit, key=lambda size: abs(fit.misfit[size]))
    off = words.percent(fit.worst) if fit.worst <= 0.1 else f"{words.percent(fit.worst)} at {at:,}: not linear"
    return (t0, words.quantity(fit.r_inf, " samples/s"), n_half, off)


def roof_table(kernels: Sequence[KernelExplanation]) -> Table:
    """Return every case of the kernels with its place under its roof, by the host's clock and by a device's own."""
    rows = [(kernel.kernel, *_roof_row(share)) for kernel in kernels for share in kernel.shares]
    rows += [(kernel.kernel, *_roof_row(share, ", device, cold")) for kernel in kernels for share in kernel.on_device]
    caption = (
        "Intensity: floating-point operations for each byte that must be read or written. Share: the least time that "
        "the roof allows, divided by the measured time."
    )
    numbers = ("intensity", "achieved", "share")
    return table(caption, ("kernel", "case"), numbers, ("roof that binds",), rows=rows)


def _roof_row(share: CaseShare, how: str = "") -> tuple[str, ...]:
    where, verdict = words.case(share.mode, share.batch_size) + how, share.verdict
    numbers = (where, f"{share.intensity:.3g} FLOP/B", f"{share.flop_s / 1e9:.3g} GFLOP/s")
    if verdict is None:
        return (*numbers, "", "no roof was measured")
    return (*numbers, words.percent(verdict.share), limit_words(verdict))


def limit_words(verdict: RoofVerdict) -> str:
    """Return the limit that binds a case, and what is wrong with a share that cannot be."""
    what, roof = verdict.binding.what, verdict.binding.roof
    limit = {"arithmetic": roof, "launch": "launch floor"}.get(what, f"{what} from {roof}")
    return f"{limit}; {verdict.reason}" if verdict.reason else limit


# -- sentences


def gain_sentences(kernels: Sequence[KernelExplanation]) -> Iterator[str]:
    """Yield what makes the gain of each kernel, as ``numpy gains mostly from fewer calls (84 %, 80 to 88)``.

    What is not its largest cause is named from a fifth of the gain on.
    """
    unknown: dict[str, list[str]] = {}
    for kernel in kernels:
        causes, unclear = explain.named(kernel)
        parts = kernel.attribution
        if not causes or parts is None:
            unknown.setdefault(str(unclear), []).append(kernel.kernel)
            continue
        named = {cause: f"{_GAIN[cause]} ({share_words(cause, parts)})" for cause in _GAIN if not parts.unsure(cause)}
        worth = [cause for cause in named if cause not in causes and (parts.share(cause) or 0.0) >= 0.2]
        then = "".join(f", then from {named[cause]}" for cause in worth)
        most = "mostly" if (parts.share(causes[0]) or 0.0) > 0.5 else "most"
        how = most if len(causes) == 1 else "about equally"
        yield f"{kernel.kernel} gains {how} from {words.listed(named[cause] for cause in causes)}{then}."
    for reason, names in unknown.items():
        yield f"{words.listed(names)}: not explained in this run: {reason}."


def run_sentences(explanation: Explanation) -> Iterator[str]:
    """Yield what there is to say about the run as a whole: its roofs, and what its files do not hold."""
    every = (*explanation.evidence.roofs.values(), *explanation.devices.values())
    yield from map(_roofs, every)
    for whose in {"" if roofs.device == CPU else f" of {roofs.device}": None for roofs in every if roofs.disturbed}:
        yield f"Something else ran while the roofs{whose} were measured: they are too low, and shares of them too high."
    yield from (f"Missing: {reason}." for reason in explanation.evidence.missing)
    yield from (f"{kernel.kernel}: {reason}." for kernel in explanation.kernels for reason in kernel.missing)


def _roofs(roofs: Roofs) -> str:
    whose = f"{roofs.whose} ({roofs.name})" if roofs.name else roofs.whose
    others = [f"{rate / 1e9:,.0f} ({name})" for rate, name in list(roofs.peaks.values())[1:]]
    peaks = ", ".join([f"{roofs.flop_s / 1e9:,.0f} GFLOP/s ({roofs.arithmetic})", *others])
    reads = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in roofs.read_s.items())
    launches = ", ".join(f"{name} {words.seconds(seconds)}" for name, seconds in roofs.launch_s.items())
    rest = {"reading in GB/s": reads or "none", "a launch and its wait": launches}
    return f"Roofs, {whose}: {'; '.join([peaks, *(f'{what}: {text}' for what, text in rest.items() if text)])}."


def share_words(name: str, parts: Attribution) -> str:
    """Return a part as a share of what is saved with its interval: ``84 %, 80 to 88``."""
    part = parts.parts[name]
    if part is None:
        return "not measured"
    if parts.unsure(name):
        return words.UNCLEAR
    value, low, high = (end / parts.saved_s for end in (part.value, part.low, part.high))
    return words.percent(value) + ("" if math.isnan(low) else f", {100 * low:.0f} to {100 * high:.0f}")


def waterfall_charts(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return the waterfall of each kernel: shares of the time of a sample one at a time, and the time of each."""
    panels = {
        kernel.kernel: list(_steps(kernel.kernel, kernel.attribution))
        for kernel in explanation.kernels
        if kernel.attribution
    }
    every = [row for rows in panels.values() for row in rows]
    # The axis holds what bars reach, 0 and 1, and nothing far beyond them, whatever disturbed runs say.
    low, high = max(min(row["x"] for row in every), -1.0), min(max(row["x2"] for row in every), 2.0)
    scale = {"domain": [min(0.0, low) * 1.05, max(1.0, high) * 1.02], "nice": False}
    axis = {**charts.NAME_AXIS, "minExtent": 112, "labelLimit": 112, "labelExpr": "split(datum.label, '|')"}
    order = [row["step"] for step in zip(*panels.values(), strict=True) for row in step]
    title, share = "share of the time one at a time", {"format": "~%", "tickCount": 5}
    bars = {
        "x": charts.field("x", title=title, scale=scale, axis=share),
        "x2": {"field": "x2"},
        "y": charts.field("step", "nominal", sort=order, axis=axis),
        **charts.telling({name: name for name in ("kernel", "part", "time")}),
    }
    of_kernel = bars | {"color": charts.colour(names)}
    layers = [
        charts.layer("bar", of_kernel, "datum.kind == 'end'", height=13, clip=True),
        charts.layer("bar", of_kernel, "datum.kind == 'cause'", height=13, opacity=0.45, clip=True),
        charts.layer("bar", bars, "datum.kind == 'rest'", height=13, opacity=0.45, clip=True, color=MUTED),
    ]
    return charts.drawn(layers, panels, names, "The time of a sample, cause by cause.", 200)


def _steps(kernel: str, parts: Attribution) -> Iterator[Row]:
    """Yield the rows of one kernel: the whole, a step down for each cause, and what is left."""

    def row(kind: str, part: str, start: float, end: float, time: str) -> Row:
        ends = {"x": min(start, end), "x2": max(start, end)}
        return {"kernel": kernel, "kind": kind, "part": part, "step": f"{part}|{time}", "time": time, **ends}

    yield row("end", "one at a time", 0.0, 1.0, words.seconds(parts.one_s))
    level = 1.0
    for name in PARTS:
        part, share = parts.parts[name], parts.share(name)
        saved = 0.0 if part is None else part.value / parts.one_s
        of_saved = "" if share is None else f" ({words.percent(share)})"
        time = "not measured" if part is None else f"{words.seconds(part.value)}{of_saved}"
        yield row("rest" if name == "unexplained" else "cause", _PART_WORDS[name], level - saved, level, time)
        level -= saved
    left = f"batches of {parts.batch_size:,}"
    yield row("end", left, 0.0, parts.batch_s / parts.one_s, words.seconds(parts.batch_s))


def share_chart(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return how much of the limit that binds it each case reaches, against batch size."""
    rows = [row for kernel in explanation.kernels for row in _shares(kernel)]
    # What cannot be stands at the end of the axis; its tooltip says how much it would be.
    scale = {"domain": [0, 1.02], "clamp": True, "nice": False}
    y = charts.field("value", title="share of the limit", scale=scale, axis={"format": "~%", "tickCount": 5})
    lines, points = charts.against_batch_size(rows, y, names)
    points |= charts.telling({"kernel": "kernel", "at": "batch size", "share": "reaches", "limit": "of"})
    batch, single = f"datum.x != {charts.SINGLE_X}", f"datum.x == {charts.SINGLE_X}"
    layers = [
        charts.layer("line", lines, batch, strokeWidth=2),
        charts.symbols(points, batch),
        charts.hollow(points, single),
    ]
    what = "Share of the limit that binds, against batch size."
    return charts.drawn(layers, {"": charts.dodged(rows)}, names, what, 300)


def _shares(kernel: KernelExplanation) -> Iterator[Row]:
    for share in kernel.shares:
        if share.verdict is not None:
            yield {
                "kernel": kernel.kernel,
                "x": charts.SINGLE_X if share.mode == "per_sample" else share.batch_size,
                "at": words.case(share.mode, share.batch_size),
                "value": share.verdict.share,
                "share": words.percent(share.verdict.share),
                "limit": limit_words(share.verdict),
            }


def hockney_chart(explanation: Explanation, names: Names) -> dict[str, Spec]:
    """Return the time of a call against batch size, measured and fitted, both logarithmic."""
    rows = [row for kernel in explanation.kernels for row in _calls(kernel)]
    sizes = [row["x"] for row in rows if row["kind"] == "call"]
    lines = {
        "x": charts.log_axis("x", "batch size (rows per call)", sizes, charts.COUNT_LABEL),
        "y": charts.log_axis("y", "time of a call", [row["y"] for row in rows], charts.TIME_LABEL),
        "color": charts.colour(names),
    }
    titles = {"kernel": "kernel", "at": "batch size", "time": "measured", "fitted": "fitted"}
    points = lines | {"shape": charts.shape(names), **charts.telling(titles)}
    layers = [
        charts.layer("line", lines, "datum.kind == 'line'", strokeWidth=2, clip=True),
        charts.symbols(points, "datum.kind == 'call'"),
    ]
    what = "Time of a call against batch size, with the line fitted to it."
    return charts.drawn(layers, {"": rows}, names, what, 330)


def _calls(kernel: KernelExplanation) -> Iterator[Row]:
    """Yield the measured calls, and points of the fitted line, where it is above 0: logarithmic axes bend it."""
    if kernel.fit is None:
        return
    line = kernel.fit.line
    for size, seconds in kernel.measured.items():
        at = {"kernel": kernel.kernel, "kind": "call", "x": size, "y": seconds, "at": f"{size:,}"}
        yield {**at, "time": words.seconds(seconds), "fitted": words.seconds(line.call_s(size))}
    for size in np.geomspace(line.first, line.last, 25):
        if (fitted := line.call_s(size)) > 0:
            yield {"kernel": kernel.kernel, "kind": "line", "x": float(f"{size:.6g}"), "y": float(f"{fitted:.6g}")}


SECTIONS = (Part(90, "explained", "What the speedup is made of", lambda findings: blocks(findings.of(explanations))),)
