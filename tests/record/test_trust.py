"""The block ``trust`` in files, in the frame and in reports: refusals, and files that have none."""

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cases import Case
from mlpbench.bench.record.trust import BY_TIME, NOTHING, Refusal
from mlpbench.bench.report.document import Findings
from mlpbench.bench.report.sections import setup
from support import trusting
from support.trusting import write


def test_a_refusal_is_read_as_it_is_written_and_is_about_a_case_or_all_of_a_process(tmp_path):
    one, every = Refusal.of(Case("batched", 100), "timer", "late"), Refusal.of(None, "values", "off by 0.7")
    (record,) = write(tmp_path, [{"refusals": [one.as_dict(), every.as_dict()]}]).records
    assert record.trust.refusals == (one, every)
    cases = [("batched", 100), ("batched", 10), ("per_sample", 100)]
    assert [one.hits(*case) for case in cases] == [True, False, False]
    assert all(every.hits(*case) for case in cases)
    assert (one.by_time, every.by_time) == (True, False)
    assert {"timer", "clock", "memory", "threads", "transfers", "wait", "roofline"} == BY_TIME


def test_files_without_the_block_are_read_and_what_older_ones_had_besides_is_not(tmp_path):
    older = {"spin": {"name": "llvm-xorshift64"}, "clock": {"clock_s": 3.0, "raw_s": 2.0}, "windows": [{"waits": True}]}
    run = write(tmp_path, [None, older])
    assert all(record.trust == NOTHING for record in run.records)
    assert frame.load(run)["disturbed"].isna().all()
    assert [case.disturbed for case in summarize(frame.runs(run))] == [0, 0]
    found = Findings((run,), (), ((run, ()),))
    assert (setup.state_of(found), [*setup.harness(found)]) == ("", [])
    (sentence,) = setup.harness(Findings((write(tmp_path / "now", [trusting.block()]),), (), ()))
    assert sentence == "A call of the harness costs 23.0 ns one at a time and 79.0 ns for a batch, in every time here."
