"""Refuses cases that are faster than the machine can be, repeat by repeat."""

from collections.abc import Iterator

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Found, Judged
from mlpbench.bench.cases import Case
from mlpbench.bench.record.trust import Refusal
from mlpbench.bench.trust.rounds import fastest_looks, slowness
from mlpbench.bench.wings.why import evidence


def refusals(run: Judged) -> Iterator[Found]:
    """Yield the cases above a roof."""
    beside, best = evidence.read(run), fastest_looks(run.records)
    for record, cases in zip(run.records, run.times, strict=True):
        slow = slowness(record, best)
        sample_s = {at: case.sample_s / slow for at, case in cases.items()}
        for share in evidence.shares(record, sample_s, beside.of(record)):
            if share.verdict is not None and share.verdict.impossible:
                roof = share.verdict.binding.roof
                arithmetic = share.verdict.binding.what == "arithmetic"
                what = f"the machine's {roof} peak" if arithmetic else f"what {roof} can deliver"
                why = (
                    f"it would be {words.percent(share.verdict.share)} of {what}; likely cause: {share.verdict.reason}"
                )
                yield record.kernel, record.repeat, Refusal.of(Case(share.mode, share.batch_size), "roofline", why)
