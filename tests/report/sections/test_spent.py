"""What a sample costs besides time: a table where it was counted, and a reason where it was not."""

from mlpbench.bench.record.runs import read_run
from mlpbench.bench.report import render
from mlpbench.bench.report.document import Paragraph
from support import simulate, trusting

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
ONE = {"mode": "batched", "batch_size": 100}
COUNTED = {**ONE, "samples": 1000, "wall_s": 0.1, "instructions": 6000.0, "cycles": 2000.0, "joules": 1.5e-6}


def section(tmp_path, spent):
    run = read_run(simulate.write_run(tmp_path, TIMES, trust=trusting.block(spent=spent)))
    document = render.build([run])
    return next((one.blocks for one in document.sections if one.slug == "spent"), ()), document


def test_what_was_counted_is_a_table_and_the_rest_has_a_reason(tmp_path):
    blocks, document = section(tmp_path, [{**COUNTED, "missing": {"cache_misses": "busy"}}])
    table, reason = blocks[0], blocks[-1]
    assert table.rows[0] == ("numpy", "batch 100", "6,000", "2,000", "3", "", "", "1.5e-06")
    assert reason == Paragraph("Not counted here: cache misses: busy.")
    lines = render.write(document, "csv").splitlines()
    at = lines[0].split(",").index("instructions")
    assert {line.split(",")[at] for line in lines[1:]} == {"", "6000.0"}


def test_where_nothing_is_counted_there_are_reasons_alone(tmp_path):
    blocks, _ = section(tmp_path, [{**ONE, "missing": {"instructions": "hidden", "joules": "hidden"}}])
    assert [block.text for block in blocks] == [
        "Not counted here: instructions: hidden.",
        "Not counted here: energy: hidden.",
    ]
    assert section(tmp_path / "old", [])[0] == ()
