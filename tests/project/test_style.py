"""Pages say who does what: no sentence begins with a word that hides its subject."""

import re

import pytest

from support.sources import ROOT

PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name not in {"CHANGELOG.md", "reference.md"}
)
#: A question may begin so.
OPENING = re.compile(r"(Of|What|Beside|Behind|Where|Unasked) .*[^?]$")
#: Code, tables, headings, and figures that `scripts/update_readme.py` writes.
LEFT_OUT = re.compile(
    r"^```.*?^```$|^[|#][^\n]*$|<!-- figures of (\w+): begin -->.*?<!-- figures of \1: end -->",
    re.MULTILINE | re.DOTALL,
)
ITEM = r"\s*(?:[*-]|\d+\.) +"


@pytest.mark.parametrize("name", PAGES)
def test_every_sentence_has_its_subject(name):
    """In paragraphs and in items of lists; a colon ends a sentence."""
    text = (ROOT / name).read_text(encoding="utf-8")
    for paragraph in re.split(rf"\n\s*\n|\n(?={ITEM})", LEFT_OUT.sub("\n\n", text)):
        plain = re.sub(r"`[^`]*`", "code", " ".join(re.sub(f"^{ITEM}", "", paragraph).split()))
        assert not [one for one in re.split(r"(?<=[.!?:])\)?\s+", plain) if OPENING.match(one)]
