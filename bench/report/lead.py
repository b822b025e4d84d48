"""What a run was asked for decides how its report begins: the second sentence, and which section comes first."""

from collections.abc import Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import bandwidth
from mlpbench.bench.analysis.explain import Explanation
from mlpbench.bench.analysis.limits import Limits
from mlpbench.bench.analysis.scaling import Scaling, Summarized
from mlpbench.bench.analysis.summary import best_cases, of_kernels, ranked
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.sections.bandwidth import sentences
from mlpbench.bench.report.sections.limits import verdict

#: The section that answers the question of a profile.
_ASKED = {"limits": "limits", "memory": "bandwidth", "book": "book"}


def first(runs: Sequence[Run], scalings: Sequence[Scaling]) -> str:
    """Return the slug of the section that answers what was asked."""
    profiles = {run.plan.profile for run in runs if run.plan}
    asked = _ASKED.get(str(profiles.pop()), "charts") if len(profiles) == 1 else "charts"
    return "threads" if asked == "charts" and scalings else asked


def answer(
    slug: str,
    runs: Sequence[Summarized],
    limits: Sequence[Limits],
    scalings: Sequence[Scaling],
    explanations: Sequence[Explanation],
) -> str | None:
    """Return what the first section found; None where the headline says it, or there is nothing to say."""
    if slug == "limits" and any(row.places for one in limits for row in one.rows):
        return verdict(limits)
    if slug == "threads":
        return " ".join(filter(None, (_fastest(runs), _threads(scalings)))) or None
    groups = bandwidth.groups(explanations) if slug == "bandwidth" else []
    if len(groups) != 1 or not any(place.causes for place in groups[0].places):
        return None
    return f"{sentences(groups[0])[-1].partition('. ')[0].rstrip('.')}."


def _fastest(runs: Sequence[Summarized]) -> str | None:
    """Return the fastest kernel and setting of a sweep over one network."""
    cases = {run.name: best_cases(of_kernels(cases)).values() for run, cases in runs if run.shown}
    networks = {record.spec.sizes for run, _ in runs for record in run.records}
    every = [case for of_run in cases.values() for case in of_run if not case.unchecked]
    if len(cases) < len(runs) or len(networks) != 1 or not every:
        return None
    first = ranked(every)[0][0]
    where = "one at a time" if first.mode == "per_sample" else f"in batches of {first.batch_size:,}"
    return f"Fastest: {first.name} with {first.run}, {words.time(first.sample)} per sample {where}."


def _threads(scalings: Sequence[Scaling]) -> str | None:
    gains = [(gain, one) for one in scalings for gain in one.drawn if not gain.unchecked]
    gains = [item for item in gains if not words.is_wide(item[0].speedup.low, item[0].speedup.high)] or gains[:1]
    if not gains:
        return None
    most, where = max(gains, key=lambda pair: pair[0].speedup.value)
    more = f"With {words.things(most.threads, 'thread')} instead of {where.fewest}"
    if most.speedup.value <= 1:
        return f"{more} no kernel is faster."
    if words.is_wide(most.speedup.low, most.speedup.high):
        return f"{more} how much faster kernels are is unclear."
    alone = len({one.dtype for one in scalings}) == 1
    gain = f"{words.ratio(most.speedup)} in batches of {most.batch_size:,}{'' if alone else f' of {where.dtype}'}"
    return f"{more} {most.kernel} gains most: {gain}."
