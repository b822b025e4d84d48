"""The finding in words and numbers: what a run ends with and a report begins with; of several runs, a line for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Literal

from mlpbench.bench import words
from mlpbench.bench.analysis import summary, times
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.analysis.summary import CaseSummary
from mlpbench.bench.stats.estimates import Estimate, Ratio


@dataclass(frozen=True)
class KernelFinding:
    """What batching does for one kernel of one run, in seconds per sample; None where ``missing`` says why."""

    run: str
    kernel: str
    one: Estimate | None
    best_batch_size: int | None
    best: Estimate | None
    speedup: Ratio | None
    missing: str | None
    unchecked: bool = False

    @property
    def name(self) -> str:
        """The kernel as texts call it."""
        return words.marked(self.kernel, self.unchecked)

    def sentence(self) -> str:
        """Return the finding as one sentence."""
        if self.speedup is None:
            return f"{self.name}: no batching speedup: {self.missing}."
        gain = words.ratio(self.speedup)
        wording = {
            "same": f"as fast in batches as one at a time, {gain}",
            "undecided": f"whether batches are faster is not known, {gain}",
            "wide": "how much faster batches are is unclear",
            "clear": f"{gain} {'faster' if self.speedup.value >= 1 else 'as fast'} in batches",
        }
        one, best = (words.time(value) if value else "not measured" for value in (self.one, self.best))
        both = f"{one} per sample one at a time, {best} {_where(self.best_batch_size)}"
        return f"{self.name}: {wording[clarity(self.speedup)]}: {both}."


@dataclass(frozen=True)
class Headline:
    """What runs show: a ``lead``, a sentence for each of the ``kernels``, and what else the reader must know."""

    lead: str
    sentences: list[str]
    remarks: list[str]
    kernels: list[KernelFinding]

    def lines(self) -> list[str]:
        """Return everything there is to say, in order, without saying the lead twice."""
        return list(dict.fromkeys([self.lead, *self.sentences, *self.remarks]))


@dataclass(frozen=True)
class Overview:
    """One run. ``kernel``: the one with the shortest time per sample in its best batch, ours and checked if any is.

    ``name``: what it was chosen from, too: ``numba-simd, the fastest of ours``. ``time``: its time, and of what:
    ``310 ns`` and ``per sample in batches of 1,000``. ``gains``: how much longer others take, and which: one at a time,
    and the best peer in that batch; ``missing``: why the first of these is not known.
    """

    title: str
    kernel: str | None = None
    name: str = ""
    time: tuple[str, str] = ("", "")
    gains: tuple[tuple[Ratio, str], ...] = ()
    missing: str | None = None

    def sentence(self) -> str:
        """Return the finding as one sentence."""
        if self.kernel is None:
            return f"{self.title}: nothing was timed."
        gains = [against(*gain) for gain in self.gains] or [f"no batching speedup, {self.missing}"]
        comma = "," if "," in self.name else ""
        return f"{self.title}: {self.name}{comma} takes {' '.join(self.time)}: {' and '.join(gains)}."


def find(
    cases: Sequence[CaseSummary],
    titles: Mapping[str, str] = MappingProxyType({}),
    answer: str | None = None,
) -> Headline:
    """Return what runs show. ``titles``: of several runs, what sentences about one begin with.

    ``answer``: what the lead says in place of what batching gains.
    """
    if not cases:
        return Headline("Nothing was timed.", [], [], [])
    runs = {run: list(group) for run, group in groupby(cases, lambda case: case.run)}
    kernels, sentences = list[KernelFinding](), list[str]()
    for run, of_run in runs.items():
        own = summary.of_kernels(of_run)
        order = summary.ranked(best.values()) if (best := summary.best_cases(own)) else []
        findings = [_kernel(own[kernel]) for kernel in dict.fromkeys([*(case.kernel for case, _ in order), *own])]
        before = "" if len(runs) == 1 else f"{titles.get(run, f'Run {run}')}: "
        kernels += findings
        sentences += [before + kernel.sentence() for kernel in findings]
    lead = answer or _lead(kernels, titles)
    if len(runs) == 1 and (first := _of_all(order)):
        lead = f"{first} {lead}"
    return Headline(lead, sentences, _remarks(cases), kernels)


def overview(run: Judged, cases: Sequence[CaseSummary]) -> Overview:
    """Return the line of a run from its cases."""
    peers = {record.kernel for record in run.records if record.kernel_info.peer}
    kernels = summary.of_kernels(cases)
    best = summary.best_cases(kernels)
    ours = {name: one for name, one in best.items() if name not in peers} or best
    ours = {name: one for name, one in ours.items() if not one.unchecked} or ours
    title = run.shown or run.title
    if not ours:
        return Overview(title)
    fastest = _kernel(kernels[summary.ranked(ours.values())[0][0].kernel])
    among = "ours" if len(ours) < len(best) else len(ours)
    name = f"{fastest.name}, the fastest of {among}" if len(ours) > 1 else fastest.name
    time = words.time(best[fastest.kernel].sample), f"per sample {_where(fastest.best_batch_size)}"
    gains = [(fastest.speedup, "one at a time")] if fastest.speedup else []
    there = {case.kernel: case for case in cases if case.at == ("batched", fastest.best_batch_size)}
    others = [case for name, case in there.items() if name in peers and not case.unchecked]
    if others and fastest.kernel in there.keys() - peers:
        peer = min(others, key=lambda case: case.sample.value)
        gains.append((times.ratio_or_apart(peer, there[fastest.kernel]), f"the best peer, {peer.kernel}"))
    return Overview(title, fastest.kernel, name, time, tuple(gains), fastest.missing)


def against(ratio: Ratio, other: str) -> str:
    """Return what a ratio, the time of the ``other`` / this one's, says: ``1.8x (1.6 to 2.0) faster than`` it."""
    gain, ahead = words.ratio(ratio), ratio.value >= 1
    wording = {
        "same": f"as fast as {other}, {gain}",
        "undecided": f"not told apart from {other}, {gain}",
        "wide": f"by an unclear factor {'faster' if ahead else 'slower'} than {other}",
        "clear": f"{gain} {'faster than' if ahead else 'as fast as'} {other}",
    }
    return wording[clarity(ratio)]


def _where(batch_size: int | None) -> str:
    return "one at a time" if batch_size is None else f"in batches of {batch_size:,}"


def _kernel(cases: Sequence[CaseSummary]) -> KernelFinding:
    one, best = summary.one_at_a_time(cases), summary.best_batch(cases)
    missing = best.no_speedup if best else "no batched case was timed"
    return KernelFinding(
        run=cases[0].run,
        kernel=cases[0].kernel,
        one=one.sample if one else None,
        best_batch_size=best.batch_size if best else None,
        best=best.sample if best else None,
        speedup=best.speedup if best else None,
        missing=missing if one else "the case one at a time (per_sample) was not timed",
        unchecked=cases[0].unchecked,
    )


def _of_all(order: Sequence[tuple[CaseSummary, Ratio]]) -> str | None:
    """Return who is fastest, each kernel at its best, as one sentence; None where fewer than two checked compete."""
    checked = [item for item in order if not item[0].unchecked]
    if len(checked) < 2:
        return None
    (first, _), (second, lead), *_ = checked
    where = _where(None if first.mode == "per_sample" else first.batch_size)
    addition = {"same": f"; {second.name} is as fast", "undecided": f"; {second.name} may be as fast"}
    return f"Fastest: {first.name}, {words.time(first.sample)} per sample {where}{addition.get(clarity(lead), '')}."


def _lead(kernels: Sequence[KernelFinding], titles: Mapping[str, str]) -> str:
    """Return one sentence for all kernels and runs, from the numbers that are clear: the only speedup, or two ends."""
    gains = [(kernel.speedup, kernel) for kernel in kernels if kernel.speedup is not None]
    if not gains:
        return "No batching speedup could be worked out."
    # Of one repeat the low end is NaN: it shows no gain.
    every = "Batching makes every kernel faster" if all(gain.low > 1 for gain, _ in gains) else "What batching gains"
    clear = [item for item in gains if not words.is_wide(item[0].low, item[0].high)] or gains[:1]
    clear = [item for item in clear if not item[1].unchecked] or clear
    (least, slow), (most, fast) = (end(clear, key=lambda item: item[0].value) for end in (min, max))
    if len(clear) == 1:
        return slow.sentence()
    low, high = (f"{k.name} ({titles[k.run]})" if k.run in titles else k.name for k in (slow, fast))
    return f"{every}: {high} most, {words.ratio(most)}; {low} least, {words.ratio(least)}."


def _remarks(cases: Sequence[CaseSummary]) -> list[str]:
    """Return what the reader must know before believing the numbers."""
    single = [case.repeats == 1 for case in cases]
    notes = [f"{words.MARK.strip()} {words.UNCHECKED}."] if any(case.unchecked for case in cases) else []
    if not any(single):
        return notes
    which = "Every case" if all(single) else "At least one case"
    return [*notes, f"{which} has one repeat, so its numbers are about right, and a small difference may be noise."]


def clarity(ratio: Ratio) -> Literal["same", "undecided", "wide", "clear"]:
    """Return what the interval of a ratio lets one say: "same" lies within 5 % of 1; without one it says the value."""
    if ratio.low * 1.05 >= 1 and ratio.high <= 1.05:
        return "same"
    if ratio.low <= 1 <= ratio.high:
        return "undecided"
    return "wide" if words.is_wide(ratio.low, ratio.high) else "clear"
