"""What the speedup is made of: a sentence for each kernel, charts for each run, and behind folds all the rest."""

import math
from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import explain
from mlpbench.bench.analysis.attribution import PARTS, Attribution
from mlpbench.bench.analysis.explain import CaseShare, Explanation, KernelExplanation
from mlpbench.bench.analysis.roofline import Roofs, RoofVerdict
from mlpbench.bench.cases import CPU
from mlpbench.bench.report.document import MANY_RUNS, Block, Figure, Fold, Paragraph, Points, Table, columns
from mlpbench.bench.report.parts import Findings, Part
from mlpbench.bench.stats.hockney import Fit

PART_WORDS = {
    "calls": "calls saved",
    "weights": "weights reused",
    "arithmetic": "better use of the arithmetic units",
    "unexplained": "unexplained",
}
#: From this share of the gain on, what is not its largest cause is named too.
_WORTH_A_WORD = 0.2
#: From this difference on, one neuron a layer takes another way through the library than two.
_OTHER_PATH = 0.1

#: What a cause is, where it makes the gain.
_GAIN = {
    "calls": "fewer calls",
    "weights": "weights read once for a batch",
    "arithmetic": "better use of the arithmetic units",
}

#: What binds a call that does less than a launch costs.
_LAUNCH = "launch floor"

_WATERFALL = (
    "From top to bottom: the whole time of a sample one at a time, what each cause takes off it, and what is left in "
    "batches. Unexplained is what the causes do not account for."
)
_SHARE = (
    "100 % is as fast as this machine allows; a kernel that skips work may be above it. The limit of a case is the "
    "longest of these: its arithmetic at the peak, its weights or its inputs read once, and on a device an empty "
    "launch with its wait. Point at a symbol to see it. "
    "Hollow symbols: one sample at a time."
)
_HOCKNEY = (
    "Symbols are measured calls, the line is t0 + B / r_inf fitted to them: t0 is what a call costs, r_inf the rate of "
    "endless batches, of which n_half rows reach half. Dashed: the line in parts. A kernel whose symbols lie off its "
    "line does not follow the model. Both axes are logarithmic."
)
_ROOFLINE = (
    "A roof is slanted where reading limits, from the memory that holds the weights, and flat where arithmetic does. "
    "Dashed: one thread. A symbol above its roof did more than the machine was seen to do: the roof was measured too "
    "low, or the kernel skips work. Both axes are logarithmic."
)


def blocks(explanations: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the section's content, run after run; of many runs, each has to be opened on a page."""
    several, many = len(explanations) > 1, len(explanations) > MANY_RUNS
    told: list[Block] = []
    for number, found in enumerate(explanations):
        inner = tuple(_of_run(found, number, several=several))
        told += (Fold(found.title, inner),) if many else ((Paragraph(f"{found.title}:"),) * several + inner)
    return tuple(told)


def _of_run(found: Explanation, number: int, *, several: bool) -> Iterator[Block]:
    after = f", {found.of_run}" if several else ""
    yield Points(tuple(gain_sentences(found.kernels)))
    if any(kernel.attribution for kernel in found.kernels):
        title = f"Where the time of a sample goes{after}"
        yield Figure(f"waterfall-{number}", title, _WATERFALL, waterfall_table(found), found)
    under_roofs = any(share.verdict for kernel in found.kernels for share in kernel.shares)
    if under_roofs:
        title = f"How near each case is to its limit{after}"
        yield Figure(f"share-{number}", title, _SHARE, roof_table(found.kernels), found)
    detail: list[Block] = [Points(said)] if (said := tuple(run_sentences(found))) else []
    for kernel in found.kernels:
        detail += [Paragraph(f"{kernel.kernel}:"), Points(tuple(kernel_sentences(kernel)))]
    yield Fold(f"Kernel by kernel: the cost of a call, the fitted line, the nearest limit{after}", tuple(detail))
    if any(kernel.fit for kernel in found.kernels):
        title = f"Time of a call, and the line through it{after}"
        figure = Figure(f"hockney-{number}", title, _HOCKNEY, _hockney_table(found), found)
        yield Fold(f"Does the time of a call follow a line?{after}", (figure,))
    if under_roofs:
        title = f"Every case under its roof{after}"
        figure = Figure(f"roofline-{number}", title, _ROOFLINE, roof_table(found.kernels), found)
        yield Fold(f"The roofline{after}", (figure,))


# -- tables


def waterfall_table(found: Explanation) -> Table:
    """Return the time of a sample of each kernel, one at a time and in batches, and what the difference is made of."""
    rows = []
    for kernel in found.kernels:
        parts = kernel.attribution
        if parts is not None:
            cells = [part_words(name, parts) for name in PARTS]
            ends = words.seconds(parts.one_s), f"{parts.batch_size:,}", words.seconds(parts.batch_s)
            rows.append((kernel.kernel, ends[0], *cells, *ends[1:]))
    caption = "Time per sample: parts add up to what batching saves, with 95 % intervals over repeats."
    names = ("one at a time", *(PART_WORDS[name] for name in PARTS), "in batches of", "left")
    return Table(caption, columns(["kernel"], names), tuple(rows))


def brief_table(found: Explanation) -> Table:
    """Return what the gain of each kernel is made of in shares, narrow enough for a terminal."""
    rows = [
        (
            kernel.kernel,
            f"{words.seconds(parts.one_s)} to {words.seconds(parts.batch_s)}",
            *(share_words(name, parts) for name in PARTS),
        )
        for kernel in found.kernels
        if (parts := kernel.attribution) is not None
    ]
    names = ("batching: time per sample", "calls", "weights", "arithmetic", "unexplained")
    caption = "Shares of the time that batching saves: fewer calls, weights read once, arithmetic better used."
    return Table(caption, columns(["kernel"], names), tuple(rows))


def saved_table(explanations: Sequence[Explanation]) -> Table:
    """Return what each cause is worth, run after run: whether batches save calls, or reading from memory."""
    rows = []
    for run, kernel in ((one, kernel) for one in explanations for kernel in one.kernels):
        parts = kernel.attribution
        saved = "not known" if parts is None else words.seconds(parts.saved_s)
        cells = ["" if parts is None else share_words(name, parts) for name in PARTS]
        lie = (kernel.weights_in or "not known", words.data_size(run.weight_bytes))
        rows.append((run.run, run.spec, kernel.kernel, *lie, saved, *cells))
    numbers = ("weights", "saved per sample", *(PART_WORDS[name] for name in PARTS))
    made = columns(("run", "network", "kernel", "lie in"), numbers)
    return Table("What batching saves", made, tuple(rows), heads=3)


def _hockney_table(found: Explanation) -> Table:
    rows = []
    for kernel, fit in ((kernel, kernel.fit) for kernel in found.kernels if kernel.fit):
        for size, misfit in fit.misfit.items():
            fitted = _off(fit.line.call_s(size), misfit)
            measured = words.seconds(kernel.measured[size])
            rows.append((kernel.kernel, f"{size:,}", measured, fitted))
    return Table("Time of a call.", columns(["kernel"], ("batch size", "measured call", "fitted")), tuple(rows))


def _off(seconds: float, error: float) -> str:
    return f"{words.seconds(seconds)} ({100 * error:+.1f} %)"


def roof_table(kernels: Sequence[KernelExplanation]) -> Table:
    """Return every case of the kernels with its place under its roof."""
    rows = tuple((kernel.kernel, *_roof_row(share)) for kernel in kernels for share in kernel.shares)
    caption = (
        "Intensity: floating-point operations for each byte that must be read or written. Share: the least time that "
        "the roof allows, divided by the measured time."
    )
    made = columns(("kernel", "case"), ("intensity", "achieved", "share"), ["roof that binds"])
    return Table(caption, made, rows, heads=2)


def _roof_row(share: CaseShare) -> tuple[str, ...]:
    where = words.case(share.mode, share.batch_size)
    numbers = (where, f"{share.intensity:.3g} FLOP/B", f"{share.flop_s / 1e9:.3g} GFLOP/s")
    verdict = share.verdict
    if verdict is None:
        return (*numbers, "", "no roof was measured")
    return (*numbers, words.percent(verdict.share), limit_words(verdict))


# -- sentences


def gain_sentences(kernels: Sequence[KernelExplanation]) -> Iterator[str]:
    """Yield what makes the gain of each kernel, as ``numpy gains mostly from fewer calls (84 %, 80 to 88)``."""
    unknown: dict[str, list[str]] = {}
    for kernel in kernels:
        causes, unclear = explain.named(kernel)
        parts = kernel.attribution
        if not causes or parts is None:
            unknown.setdefault(str(unclear), []).append(kernel.kernel)
            continue
        named = {cause: f"{_GAIN[cause]} ({share_words(cause, parts)})" for cause in _GAIN if not parts.unsure(cause)}
        worth = [cause for cause in named if cause not in causes and (parts.share(cause) or 0.0) >= _WORTH_A_WORD]
        then = "".join(f", then from {named[cause]}" for cause in worth)
        most = "mostly" if (parts.share(causes[0]) or 0.0) > 0.5 else "most"
        how = most if len(causes) == 1 else "about equally"
        yield f"{kernel.kernel} gains {how} from {words.listed(named[cause] for cause in causes)}{then}."
    for reason, names in unknown.items():
        yield f"{words.listed(names)}: not explained in this run: {reason}."


def limit_words(verdict: RoofVerdict) -> str:
    """Return the limit that binds a case, and what is wrong with a share that cannot be."""
    what, roof = verdict.binding.what, verdict.binding.roof
    binds = (roof if what == "arithmetic" else _LAUNCH if what == "launch" else f"{what} from {roof}", verdict.reason)
    return "; ".join(filter(None, binds))


def run_sentences(found: Explanation) -> list[str]:
    """Return what there is to say about the run as a whole: its roofs, and what its files do not hold."""
    lines = [_roofs(roofs) for roofs in (*found.roofs.values(), *found.devices.values())]
    disturbed = [*["the roofs"] * found.disturbed, *(f"the roofs of {device}" for device in found.disturbed_devices)]
    too_low = "they are too low, and shares of them too high"
    lines += [f"Something else ran while {what} were measured: {too_low}." for what in disturbed]
    return lines + [f"Missing: {reason}." for reason in found.missing]


def _roofs(roofs: Roofs) -> str:
    reads = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in roofs.read_s.items())
    whose = f"{roofs.whose} ({roofs.name})" if roofs.name else roofs.whose
    peak = f"{roofs.flop_s / 1e9:,.0f} GFLOP/s ({roofs.arithmetic})"
    copies = ", ".join(f"{name} {rate / 1e9:,.1f}" for name, rate in roofs.copies_s.items())
    copied = f"; copying in GB/s: {copies}" if copies else ""
    others = ", ".join(f"{rate / 1e9:,.0f} ({name})" for rate, name in list(roofs.peaks.values())[1:])
    launches = ", ".join(f"{name} {words.seconds(seconds)}" for name, seconds in roofs.launch_s.items())
    floors = f"; a launch and its wait: {launches}" if launches else ""
    more = f", {others}" if others else ""
    return f"Roofs, {whose}: {peak}{more}; reading in GB/s: {reads or 'none'}{copied}{floors}."


def kernel_sentences(kernel: KernelExplanation) -> list[str]:
    """Return what there is to say about a kernel, one sentence each, without its name."""
    lines = [] if kernel.attribution is None else [_attribution(kernel.attribution)]
    if kernel.call_one_s is not None and kernel.call_batch_s is not None:
        one, batch = words.duration(kernel.call_one_s), words.duration(kernel.call_batch_s)
        lines.append(f"A call that computes next to nothing takes {one} one at a time, {batch} as a batch of 1.")
        lines += _neuron(kernel)
    if kernel.fit is not None:
        lines += _fit(kernel.fit)
        if kernel.asymptotic is not None:
            lines.append(f"Batches cannot gain more than {words.quantity(kernel.asymptotic, 'x')}: the line's limit.")
    lines += _nearest(kernel)
    lines += [f"Not explained in this run: {kernel.not_explained}."] if kernel.not_explained else []
    return lines + [f"{reason[0].upper()}{reason[1:]}." for reason in kernel.missing]


def _neuron(kernel: KernelExplanation) -> list[str]:
    """Return that one neuron a layer costs something else than two, where it does: then it is no measure of a call."""
    neuron, call = kernel.neuron_one_s, kernel.call_one_s
    if neuron is None or call is None or abs(neuron.value / call.value - 1) <= _OTHER_PATH:
        return []
    takes = f"{words.duration(neuron)} one at a time, {'more' if neuron.value > call.value else 'less'}"
    why = "the library has a special path for arrays of one item, which is not counted"
    return [f"With one neuron a layer instead of two it takes {takes}: {why}."]


def _attribution(found: Attribution) -> str:
    one, batch = words.seconds(found.one_s), words.seconds(found.batch_s)
    head = f"From {one} per sample one at a time to {batch} in batches of {found.batch_size:,}"
    parts = [f"{PART_WORDS[name]} {part_words(name, found)}" for name in PARTS]
    return f"{head}, {words.seconds(found.saved_s)} saved: {'; '.join(parts)}."


def part_words(name: str, found: Attribution) -> str:
    """Return a part as a time, its share of what is saved, and its interval: ``1.2 µs (10 %; 1.1 to 1.3)``."""
    part = found.parts[name]
    if part is None:
        return "not measured"
    ends = "" if math.isnan(part.low) else f"; {words.seconds(part.low)} to {words.seconds(part.high)}"
    told = words.UNCLEAR if found.unsure(name) else f"{words.percent(part.value / found.saved_s)}{ends}"
    return f"{words.seconds(part.value)} ({told})"


def share_words(name: str, found: Attribution) -> str:
    """Return a part as a share of what is saved with its interval: ``84 %, 80 to 88``."""
    part = found.parts[name]
    if part is None:
        return "not measured"
    if found.unsure(name):
        return words.UNCLEAR
    value, low, high = (end / found.saved_s for end in (part.value, part.low, part.high))
    return words.percent(value) + ("" if math.isnan(low) else f", {100 * low:.0f} to {100 * high:.0f}")


def _fit(found: Fit) -> list[str]:
    off, rate = words.percent(found.worst), f"r_inf is {words.quantity(found.r_inf, ' samples/s')}"
    if found.t0 is None or found.n_half is None:
        rest = "what a call costs beside its rows is too small to tell, and so is n_half"
    else:
        rest = f"t0 is {words.duration(found.t0)}, n_half {words.quantity(found.n_half, ' rows')}"
    if found.straight:
        return [f"The time of a call is a line over the batch size, within {off}: {rate}, {rest}."]
    at = max(found.misfit, key=lambda size: abs(found.misfit[size]))
    best = f"the best line is off by {off} at {at:,} ({rate}, {rest})"
    return [f"Call time is not linear in batch size: {best}."]


def _nearest(kernel: KernelExplanation) -> Iterator[str]:
    shares = [(share.verdict.share, share) for share in kernel.shares if share.verdict]
    if shares:
        whose = words.things(kernel.threads, "thread") if kernel.device == CPU else kernel.device
        yield f"Nearest to a roof of {whose}: {case_words(max(shares, key=lambda pair: pair[0])[1])}."


def case_words(share: CaseShare) -> str:
    """Return a case's place under its roof, or why it has none."""
    where = "one at a time" if share.mode == "per_sample" else f"in batches of {share.batch_size:,}"
    verdict = share.verdict
    if verdict is None:
        return f"{where}: no roof"
    what, roof = verdict.binding.what, verdict.binding.roof
    of_what = f"{roof} peak" if what == "arithmetic" else f"{roof} bandwidth, reading {what}"
    of_what = f"{_LAUNCH} ({roof})" if what == "launch" else of_what
    return f"{where}, {words.percent(verdict.share)} of the {of_what}{' (it skips work)' if verdict.skips else ''}"


def of_report(found: Findings) -> tuple[Explanation, ...]:
    """Return the explanation of each run that has one."""
    pairs = zip(found.by_run, found.beside, strict=True)
    return tuple(filter(None, (explain.find(run, own, beside) for (run, own), beside in pairs)))


SECTIONS = (Part(90, "explained", "What the speedup is made of", lambda found: blocks(found.of(of_report))),)
