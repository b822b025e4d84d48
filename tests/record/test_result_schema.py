"""The committed JSON Schema is that of the types, and the committed results are what the types say."""

import json
import runpy

from mlpbench.bench.record import runs, schema, untrusted
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.roofs import RoofsFile
from support.sources import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "result_schema.py"))


def test_the_schema_that_is_committed_is_the_one_of_the_types():
    assert json.loads(SCRIPT["FILE"].read_text(encoding="utf-8")) == json.loads(json.dumps(SCRIPT["made"]())), (
        "run scripts/result_schema.py"
    )


def test_every_block_says_what_it_is():
    assert all(part.get("description") for part in SCRIPT["made"]()["$defs"].values() if "properties" in part)


def test_the_committed_results_are_of_these_types():
    """Without a second look: nothing in them is null that is not so in the types."""
    kinds = {runs.PLAN_FILE: RunFile, runs.ROOFS_FILE: RoofsFile}
    paths = list((ROOT / "results").glob("*/*/*.json"))
    for path in paths:
        kind = kinds.get(path.name, schema.RecordFile)
        assert isinstance(untrusted._decoder(kind).decode(path.read_bytes()), kind), path
    assert len(paths) > 30


def missing(again, written, place=""):
    """Yield the members of ``written`` that ``again`` has not, or has otherwise; it may have more that are empty."""
    if isinstance(written, dict) and isinstance(again, dict):
        for name, value in written.items():
            yield from missing(again.get(name, "nothing"), value, f"{place}.{name}")
    elif isinstance(written, list) and isinstance(again, list) and len(written) == len(again):
        for mine, value in zip(again, written, strict=True):
            yield from missing(mine, value, place)
    elif again != written:
        yield place


def test_a_record_is_written_as_it_is_read():
    path = next((ROOT / "results").glob("*/*/numpy.0.json"))
    head = untrusted.read(path, schema.RecordFile).mlpbench
    again = json.loads(json.dumps(head.as_dict()))
    left_out = set(missing(again, json.loads(path.read_text())["mlpbench"]))
    gone = {".trust.windows", ".trust.disturbed", ".trust.clock", ".trust.spin", ".trust.audits"}
    assert left_out == gone, "counters and spins, which looks replaced, and audits, which the check `memory` did"
