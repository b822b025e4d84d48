"""A process of known truth in place of each that measures, for commands that are typed in this process."""

from contextlib import nullcontext
from types import SimpleNamespace

from mlpbench.bench.run import process as process_
from support import simulate


def stand_in(
    monkeypatch, sample_s, *, seconds=None, interrupts=lambda at, folder: False, facts=lambda plan, kernel: {}
):
    """Let every process of a run find ``sample_s(plan, at, case)`` seconds per sample; None is no time.

    ``at`` is (kernel, repeat), ``case`` (kernel, mode, batch size). Each process takes ``seconds``, if given. Where
    ``interrupts(at, folder)``, Ctrl-C ends it. ``facts(plan, kernel)``: what its record says besides.
    """

    def process(plan, workload, folder, at, on_case):
        benchmarks = []
        for case in plan.cases:
            where = (at[0], case.mode, case.batch_size)
            value = sample_s(plan, at, where)
            if value is not None:
                benchmarks.append(simulate.benchmark(where, [float(value * simulate.rows_per_call(where))] * 5))
            on_case("case")
        if interrupts(at, folder):
            raise KeyboardInterrupt
        said = {**workload.facts(), **facts(plan, at[0])}
        return simulate.record(*at, benchmarks, plan.as_dict(), **said)

    monkeypatch.setattr(process_, "_process", process)
    monkeypatch.setattr("mlpbench.bench.machine.roofs.write", lambda *_, **__: None)
    if seconds is not None:
        monkeypatch.setattr(process_, "elapsed", lambda: nullcontext(SimpleNamespace(seconds=seconds)))
