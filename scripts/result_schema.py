"""Write the JSON Schema of result files, made from the types of `bench.record`: ``python scripts/result_schema.py``."""

from __future__ import annotations

import json
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from mlpbench.bench.record.device import RoofsFile
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.schema import RecordFile
from mlpbench.bench.record.trust import LookFile
from mlpbench.bench.wings.share.shared import SharedFile

FILE = Path(__file__).resolve().parents[1] / "docs" / "result-schema.json"
#: The files that mlpbench writes, as people name them, and their types.
FILES = {
    "record": RecordFile,
    "run.json": RunFile,
    "roofs.json": RoofsFile,
    "look.json": LookFile,
    "shared file": SharedFile,
}


def made() -> dict[str, Any]:
    """Return the schema: a file is one of `FILES`; every block of files is described once, below ``$defs``."""
    kinds, parts = msgspec.json.schema_components(FILES.values(), ref_template="#/$defs/{name}")
    for part in parts.values():  # before 3.13, Python keeps the indentation of docstrings
        if "description" in part:
            part["description"] = cleandoc(part["description"])
    # The types of whole files have names that only Python needs.
    wholes = [parts.pop(kind["$ref"].rpartition("/")[2]) for kind in kinds]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result files of mlpbench",
        "anyOf": [{**whole, "title": name} for name, whole in zip(FILES, wholes, strict=True)],
        "$defs": parts,
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=1) + "\n", encoding="utf-8")
    print(f"wrote {FILE}")
