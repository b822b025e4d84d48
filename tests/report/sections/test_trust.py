"""The section on trust: what disturbed whom, cause by cause, and what a page keeps behind folds."""

import re

import pytest

from mlpbench.bench.report import render
from mlpbench.bench.report.document import Fold
from mlpbench.bench.report.sections import trust
from support import trusting


def sections(folder, *blocks):
    return trust.blocks([trust.judge(trusting.write(folder, blocks))])


def test_disturbed_timings_are_counted_by_cause_and_listed_behind_a_fold(tmp_path):
    """Two processes waited for a processor, one of them while its host took time; one was disturbed in neither case."""
    both = trusting.hit(run_delay_s=0.25, steal_s=0.6)
    found = sections(tmp_path, trusting.hit(run_delay_s=0.25), both, trusting.hit())
    table, fold = found[1], found[2]
    assert [row[:3] for row in table.rows] == [("load", "2", "numpy 2"), ("host", "1", "numpy 1")]
    assert table.rows[0][3].startswith("its threads waited 0.25 s")
    assert fold.title == "Every disturbed case"
    assert [row[1:3] for row in fold.blocks[0].rows] == [("batch 100", "1, 2"), ("batch 100", "2")]


def test_what_concerns_the_harness_alone_is_behind_a_fold_and_so_is_a_quiet_run(tmp_path):
    quiet = sections(tmp_path / "quiet", *[trusting.hit()] * 3)
    assert next(block.title for block in quiet if isinstance(block, Fold)).startswith("The calibration")
    noisy = sections(tmp_path / "noisy", *[trusting.hit(run_delay_s=0.25)] * 3)
    assert any(getattr(block, "name", "") == "timeline-0" for block in noisy), "open where it was not quiet"


def test_intervals_claim_95_percent_only_where_repeats_lie_apart(tmp_path):
    def run(name, apart_s):
        windows = (trusting.window(began_utc_s=1e9 + apart_s * repeat) for repeat in range(3))
        clock = {"clock_s": 4.0, "raw_s": 4.0}
        return trusting.write(tmp_path / name, [trusting.block(window, clock=clock) for window in windows])

    alone, among_seven = run("alone", 4.8), run("seven", 32.0)
    (said,) = trust.claims([alone])
    assert said.startswith("95 % is not claimed for the intervals: repeats of a kernel began 1.2 lengths of a process")
    assert trust.claims([among_seven]) == []
    assert [one.partition(": ")[0] for one in trust.claims([alone, among_seven])] == [alone.title]
    assert trust.as_dict(trust.judge(alone))["repeats_apart"] == {
        "processes": pytest.approx(1.2),
        "enough": 4.0,
    }
    assert said in render.build([alone]).headline.remarks, "below the finding, wherever it is shown"
    for written in ("md", "html", "json"):
        kept = render.render([alone], written).replace(said, "")
        assert not re.search(r"95 ?% (interval|is|over)|95%", kept), "nothing else claims it"
        assert "95 % interval" in render.render([among_seven], written).replace("json", "") or written == "json"
