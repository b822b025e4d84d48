"""What the speedup is made of: a sentence for each kernel, charts for each run, and behind folds all the rest."""

import math
from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.bench.report.document import MANY_RUNS, Block, Figure, Findings, Points, Section, Table, table
from mlpbench.bench.report.parts import Part
from mlpbench.bench.wings.why import explain
from mlpbench.bench.wings.why.attribution import PARTS, Attribution
from mlpbench.bench.wings.why.bounds import Roofs, RoofVerdict
from mlpbench.bench.wings.why.evidence import CaseShare
from mlpbench.bench.wings.why.explain import Explanation, KernelExplanation

PART_WORDS = {
    "calls": "calls saved",
    "weights": "weights reused",
    "arithmetic": "better use of the arithmetic units",
    "unexplained": "unexplained",
}
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
    """Return the section's content, run after run; of many runs, each has to be opened on a page."""
    content: list[Block] = []
    for number, explanation in enumerate(every):
        title, inner = explanation.run.title, tuple(_of_run(explanation, number, several=len(every) > 1))
        if len(every) > MANY_RUNS:
            content.append(Section(title, inner))
        else:
            content += [*([f"{title}:"] if len(every) > 1 else []), *inner]
    return tuple(content)


def _of_run(explanation: Explanation, number: int, *, several: bool) -> Iterator[Block]:
    after, kernels = f", {of_run(explanation)}" if several else "", explanation.kernels
    calls, texts = call_table(kernels), tuple(run_sentences(explanation))

    def figure(kind: str, title: str, reading: str, numbers: Table) -> Figure:
        return Figure(f"{kind}-{number}", f"{title}{after}", reading, numbers, explanation)

    yield Points(tuple(gain_sentences(kernels)))
    if any(kernel.attribution for kernel in kernels):
        yield figure("waterfall", "Where the time of a sample goes", _WATERFALL, gain_table([explanation]))
    if any(share.verdict for kernel in kernels for share in kernel.shares):
        yield figure("share", "How near each case is to its limit", _SHARE, roof_table(kernels))
    fitted = any(kernel.fit for kernel in kernels)
    line = figure("hockney", "Time of a call, and the line through it", _HOCKNEY, calls) if fitted else calls
    yield Section(f"What a call costs, and the machine's limits{after}", (line, *([Points(texts)] if texts else [])))


def of_run(explanation: Explanation) -> str:
    """Return the run's title within a sentence."""
    return explanation.run.title[0].lower() + explanation.run.title[1:]


# -- tables


def gain_table(explanations: Sequence[Explanation]) -> Table:
    """Return what the gain of each kernel is made of in shares; of several runs with its network and its weights."""
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
        rows.append((kernel.kernel, *costs, *_line(kernel)))
    return table(caption, ("kernel",), names, rows=rows)


def _line(kernel: KernelExplanation) -> tuple[str, ...]:
    fit = kernel.fit
    if fit is None:
        return ("", "", "", "no line")
    t0 = "too small to tell" if fit.t0 is None else words.duration(fit.t0)
    n_half = "too small to tell" if fit.n_half is None else words.quantity(fit.n_half, " rows")
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


SECTIONS = (Part(90, "explained", "What the speedup is made of", lambda findings: blocks(findings.of(explanations))),)
