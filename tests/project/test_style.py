"""Pages are readable, as far as that can be measured: short sentences, and pages that end."""

import re
from statistics import median

import pytest

from support.sources import ROOT

#: Pages for users, in `docs`: together they have at most `USERS_WORDS`.
USERS = (
    *("benchmarks", "book", "ci", "compare-versions", "gpu", "machines", "own-code", "own-network", "peers"),
    *("python", "reading-results", "tour", "troubleshooting", "worth-switching"),
)
USERS_WORDS = 9_000
#: Words of any page at most; `docs/reference.md` is written by the program.
PAGE_WORDS = 1_700
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name not in {"CHANGELOG.md", "reference.md"}
)
#: Words of a sentence at most, and in the middle; of a first paragraph.
LONGEST, MEDIAN, FIRST = 22, 16, 60
#: Sentences that begin so hide their subject. A question may.
OPENINGS = ("Of", "What", "Beside", "Behind", "Where", "Unasked")
#: Code, and figures that `scripts/update_readme.py` writes.
LEFT_OUT = re.compile(
    r"^```.*?^```$|<!-- figures of (\w+): begin -->.*?<!-- figures of \1: end -->", re.MULTILINE | re.DOTALL
)
ITEM = re.compile(r"\s*(?:[*-]|\d+\.) +")


def paragraphs(text):
    """Return the paragraphs and the items of lists of a page, without headings, tables and code."""
    found = [""]
    for line in LEFT_OUT.sub("\n", text).split("\n"):
        if not line.strip() or line.startswith(("|", "#")):
            found.append("")
        elif ITEM.match(line):
            found.append(ITEM.sub("", line, count=1))
        else:
            found[-1] += " " + line.strip()
    return [paragraph.strip() for paragraph in found if paragraph.strip()]


def sentences(text):
    """Return the words of each sentence. A colon ends one, as a full stop does; code and a link are words."""
    found = []
    for paragraph in paragraphs(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", paragraph.replace("**", "")))
        parts = re.split(r"(?<=[.!?:])\)?\s+", plain)
        found += [words for part in parts if (words := [word for word in part.split() if re.search(r"\w", word)])]
    return found


def test_the_scanner_finds_sentences():
    text = "# A\n\nOne two. Three `a b. c`:\n\n* four [five six](x.md)\n  seven\n\n| a | b |\n\n```sh\nx y\n```\n"
    assert sentences(text) == [["One", "two."], ["Three", "code:"], ["four", "five", "six", "seven"]]


def test_the_pages_for_users_are_short_together():
    words = {name: len((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").split()) for name in USERS}
    assert sum(words.values()) <= USERS_WORDS, words


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(name):
    """Sentences of decisions are as long as a reason needs."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text.split()) <= PAGE_WORDS
    found = sentences(text)
    assert [words for words in found if words[0] in OPENINGS and not words[-1].endswith("?")] == []
    if not name.startswith("docs/decisions/"):
        assert [" ".join(words) for words in found if len(words) > LONGEST] == []
        assert median(map(len, found)) <= MEDIAN
        assert 8 <= len(paragraphs(text)[0].split()) <= FIRST
