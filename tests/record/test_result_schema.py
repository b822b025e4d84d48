"""The committed JSON Schema is that of the types, and a record is written as it is read."""

import json
import runpy

from mlpbench.bench.record import schema, untrusted
from support import simulate
from support.sources import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts" / "result_schema.py"))


def test_the_schema_that_is_committed_is_the_one_of_the_types():
    assert json.loads(SCRIPT["FILE"].read_text(encoding="utf-8")) == json.loads(json.dumps(SCRIPT["made"]())), (
        "run scripts/result_schema.py"
    )


def test_every_block_says_what_it_is():
    assert all(part.get("description") for part in SCRIPT["made"]()["$defs"].values() if "properties" in part)


def test_a_record_is_written_as_it_is_read(tmp_path):
    content = simulate.good()
    path = tmp_path / "numpy.0.json"
    path.write_text(json.dumps(content))
    again = json.loads(json.dumps(untrusted.read(path, schema.RecordFile).mlpbench.as_dict()))
    assert list(missing(again, content["mlpbench"])) == []


def missing(again, written, place=""):
    """Yield the members of ``written`` that ``again`` has not, or has otherwise; it may have more that are empty."""
    if isinstance(written, dict) and isinstance(again, dict):
        for name, value in written.items():
            yield from missing(again.get(name, "nothing"), value, f"{place}.{name}")
    elif isinstance(written, list) and len(again) == len(written):
        for mine, value in zip(again, written, strict=True):
            yield from missing(mine, value, place)
    elif again != written:
        yield place
