"""The energy of a sample: a table where it was counted, and a reason where it was not."""

from mlpbench.bench.report import render
from mlpbench.bench.report.document import Paragraph
from support import simulate, trusting

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
ONE = {"mode": "batched", "batch_size": 100}


def section(tmp_path, spent):
    run = simulate.read(simulate.write_run(tmp_path, TIMES, trust=trusting.block(spent=spent)))
    document = render.build([run])
    return next((one.blocks for one in document.sections if one.slug == "spent"), ()), document


def test_joules_are_a_table_and_the_rest_has_a_reason(tmp_path):
    counted = {**ONE, "samples": 1000, "joules": 1.5e-6}
    (table, reason), document = section(tmp_path, [counted, {**ONE, "batch_size": 1, "no_joules": "hidden"}])
    assert table.rows[0] == ("numpy", "batch 100", "1.5e-06")
    assert reason == Paragraph("Not counted here: hidden.")
    lines = render.write(document, "csv").splitlines()
    at = lines[0].split(",").index("joules")
    assert {line.split(",")[at] for line in lines[1:]} == {"", "1.5e-06"}
    assert section(tmp_path / "old", [])[0] == ()
