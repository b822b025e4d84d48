"""The explanation in sentences: what the command prints and the report begins its section with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlpbench.bench import words as units
from mlpbench.bench.cases import CPU

if TYPE_CHECKING:
    from mlpbench.bench.analysis.attribution import Attribution, Part
    from mlpbench.bench.analysis.explain import CaseShare, Explanation, KernelExplanation
    from mlpbench.bench.analysis.roofline import Roofs
    from mlpbench.bench.stats.estimates import Estimate
    from mlpbench.bench.stats.hockney import Fit, Line


_TOO_LOW = "they are too low, and shares of them too high"
#: From this difference on, one neuron a layer takes another way through the library than two.
OTHER_PATH = 0.1

PART_WORDS = {
    "calls": "calls saved",
    "weights": "weights reused",
    "arithmetic": "better use of the arithmetic units",
    "unexplained": "unexplained",
}

#: The same as pieces of a bar, where there is little room.
PIECES = {**PART_WORDS, "arithmetic": "arithmetic units"}


def run_sentences(found: Explanation) -> list[str]:
    """Return what there is to say about the run as a whole: its roofs, and what its files do not hold."""
    lines = [roof_words(roofs) for roofs in (*found.roofs.values(), *found.devices.values())]
    disturbed = ["the roofs"] if found.disturbed else []
    disturbed += [f"the roofs of {device}" for device in found.disturbed_devices]
    lines += [f"Something else ran while {what} were measured: {_TOO_LOW}." for what in disturbed]
    return lines + [f"Missing: {reason}." for reason in found.missing]


def roof_words(roofs: Roofs) -> str:
    """Return the roofs of a number of threads, or of a device, as one sentence."""
    reads = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in roofs.read_s.items())
    whose = f"{roofs.whose} ({roofs.name})" if roofs.name else roofs.whose
    peak = f"{roofs.flop_s / 1e9:,.0f} GFLOP/s ({roofs.arithmetic})"
    copies = ", ".join(f"{name} {rate / 1e9:,.1f}" for name, rate in roofs.copies_s.items())
    copied = f"; copying in GB/s: {copies}" if copies else ""
    return f"Roofs, {whose}: {peak}; reading in GB/s: {reads or 'none'}{copied}."


def kernel_sentences(kernel: KernelExplanation) -> list[str]:
    """Return what there is to say about a kernel, one sentence each, without its name."""
    lines = []
    if kernel.attribution is not None:
        lines.append(attribution_words(kernel.attribution))
    if kernel.call_one_s is not None and kernel.call_batch_s is not None:
        one, batch = units.duration(kernel.call_one_s), units.duration(kernel.call_batch_s)
        lines.append(f"A call that computes next to nothing takes {one} one at a time, {batch} as a batch of 1.")
        lines += neuron_words(kernel)
    if kernel.fit is not None:
        lines += fit_words(kernel.fit)
        if kernel.asymptotic is not None:
            lines.append(f"Batches cannot gain more than {number(kernel.asymptotic, 'x')}: the line's limit.")
    lines += [text for text in (nearest_words(kernel), *map(impossible_words, kernel.impossible)) if text]
    return lines + [f"{reason[0].upper()}{reason[1:]}." for reason in kernel.missing]


def neuron_words(kernel: KernelExplanation) -> list[str]:
    """Return that one neuron a layer costs something else than two, where it does: then it is no measure of a call."""
    neuron, call = kernel.neuron_one_s, kernel.call_one_s
    if neuron is not None and call is not None and abs(neuron.value / call.value - 1) > OTHER_PATH:
        more = "more" if neuron.value > call.value else "less"
        words = f"With one neuron a layer instead of two it takes {units.duration(neuron)} one at a time, {more}"
        return [f"{words}: the library has another way for arrays of one item, and that is not counted."]
    return []


def attribution_words(found: Attribution) -> str:
    """Return the attribution as one sentence."""
    one, batch = units.seconds(found.one_s), units.seconds(found.batch_s)
    head = f"From {one} per sample one at a time to {batch} in batches of {found.batch_size:,}"
    if found.saved_s <= 0:
        return f"{head}: batching saves nothing that could be divided."
    parts = [f"{PART_WORDS[name]} {part_words(part, found)}" for name, part in found.parts.items()]
    return f"{head}, {units.seconds(found.saved_s)} saved: {'; '.join(parts)}."


def part_words(part: Part | None, found: Attribution) -> str:
    """Return a part as a time, its share of what is saved, and its interval: ``1.2 µs (10 %; 1.1 to 1.3)``."""
    if part is None:
        return "not measured"
    share = percent(part.value / found.saved_s) if found.saved_s > 0 else ""
    if math.isnan(part.low):
        return f"{signed(part.value)} ({share})"
    return f"{signed(part.value)} ({share}; {signed(part.low)} to {signed(part.high)})"


def share_words(share: float | None) -> str:
    """Return a share of what is saved in per cent, or that there is none."""
    return "not measured" if share is None else percent(share)


def percent(share: float) -> str:
    """Return a share in whole per cent; what rounds to 0 has no sign."""
    return f"{round(100 * share)} %"


def signed(seconds: float) -> str:
    """Return a time that may be negative or 0: ``-0.40 µs`` is written ``-400 ns``."""
    return f"-{units.seconds(-seconds)}" if seconds < 0 else units.seconds(seconds)


def fit_words(found: Fit) -> list[str]:
    """Return Hockney's numbers, how well the line fits, and what it predicts."""
    off = percent(found.worst)
    rate = f"r_inf is {number(found.r_inf, ' samples/s')}"
    if found.t0 is None or found.n_half is None:
        rest = "what a call costs beside its rows is too small to tell, and so is n_half"
    else:
        rest = f"t0 is {units.duration(found.t0)}, n_half {number(found.n_half, ' rows')}"
    if found.straight:
        lines = [f"The time of a call is a line over the batch size, within {off}: {rate}, {rest}."]
    else:
        at = max(found.misfit, key=lambda size: abs(found.misfit[size]))
        parts = "; ".join(line_words(part) for part in found.regimes)
        divided = f"In parts: {parts}." if len(found.regimes) > 1 else "No division into parts fits better."
        lines = [
            f"The time of a call is no line over the batch size: at {at:,} the best is off by {off} ({rate}, {rest}).",
            divided,
        ]
    if found.predictions:
        worst = max(found.predictions, key=lambda one: abs(one.error))
        known = ", ".join(f"{size:,}" for size in found.learned)
        error = f"{round(100 * worst.error):+d} %"
        lines.append(
            f"From batches of {known} it predicts the others; the worst, {worst.batch_size:,}, is {error} off."
        )
    return lines


def line_words(line: Line) -> str:
    """Return a line over part of a curve: ``1 to 100: 18.0 µs + 1.40 µs a row``."""
    return f"{line.first:,} to {line.last:,}: {signed(line.t0_s)} + {units.seconds(line.row_s)} a row"


def nearest_words(kernel: KernelExplanation) -> str | None:
    """Return the case that comes nearest to its roof."""
    shares = [(share.verdict.share, share) for share in kernel.shares if share.verdict and not share.verdict.impossible]
    if not shares:
        return None
    nearest = max(shares, key=lambda pair: pair[0])[1]
    threads = "1 thread" if kernel.threads == 1 else f"{kernel.threads} threads"
    whose = threads if kernel.device == CPU else kernel.device
    return f"Nearest to a roof of {whose}: {case_words(nearest)}."


def case_words(share: CaseShare) -> str:
    """Return a case's place under its roof, or why it has none."""
    where = "one at a time" if share.mode == "per_sample" else f"in batches of {share.batch_size:,}"
    verdict = share.verdict
    if verdict is None:
        return f"{where}: no roof"
    what = f"{percent(verdict.share)} of the {_roof(verdict.binding.what, verdict.binding.roof)}"
    return f"{where}, {what}" + (" (it skips work)" if verdict.skips else "")


def _roof(what: str, roof: str) -> str:
    return f"{roof} peak" if what == "arithmetic" else f"{roof} bandwidth, reading {what}"


def impossible_words(share: CaseShare) -> str:
    """Return why a case is refused as evidence."""
    reason = share.verdict.reason if share.verdict else None
    return f"Impossible and refused: {case_words(share)}. Likely cause: {reason}."


def number(found: Estimate, unit: str) -> str:
    """Return an estimate that is no time, with three digits, its unit and its interval or the reason why not."""
    value = units.count(float(f"{found.value:.3g}")) if found.value >= 100 else f"{found.value:.3g}"
    if math.isnan(found.low):
        return f"{value}{unit} ({found.reason})"
    ends = " to ".join(
        units.count(float(f"{end:.3g}")) if end >= 100 else f"{end:.3g}" for end in (found.low, found.high)
    )
    return f"{value}{unit} ({ends})"
