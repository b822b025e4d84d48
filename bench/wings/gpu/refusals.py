"""Refuses cases whose calls were over before the device was, by its own clock: nobody waited for it."""

from collections.abc import Iterator
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Found, Judged
from mlpbench.bench.cases import Case
from mlpbench.bench.record.trust import Refusal


def refusals(run: Judged) -> Iterator[Found]:
    """Yield the cases that took less than half of what the device alone takes: far from what noise makes."""
    for record in run.records:
        for timing in record.cases:
            case = record.device_times.of(timing.mode, timing.batch_size) if record.device_times else None
            hot = case.times.get("hot") if case else None
            if case is None or hot is None or hot.samples < 10:  # the least of fewer samples says little
                continue
            call_s = median(timing.rounds_s) * case.rows / timing.rows_per_call
            if call_s < hot.seconds["min"] / 2:
                took, needs = words.seconds(call_s), words.seconds(hot.seconds["min"])
                why = f"a call took {took}, and the device alone takes {needs} for it: it was not waited for"
                yield record.kernel, record.repeat, Refusal.of(Case(timing.mode, timing.batch_size), "wait", why)
