"""CSV: the tidy frame, one row for each case and repeat."""

import unicodedata
from typing import Any

from mlpbench.bench.report.document import Document

#: A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def render(document: Document) -> str:
    """Return the frame of the document's runs as CSV; times in seconds, missing values empty."""
    from mlpbench.bench.analysis import frame  # brings pandas, which no other format needs

    return frame.load(document.runs).map(defused).to_csv(index=False, lineterminator="\n")


def defused(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula: some read signs of full width as their narrow ones."""
    if isinstance(value, str) and unicodedata.normalize("NFKC", value[:1]).startswith(_FORMULA):
        return f"'{value}"
    return value
