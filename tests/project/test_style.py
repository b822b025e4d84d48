"""The pages are readable, as far as that can be measured: short sentences, a first paragraph, pages that end."""

import re
from statistics import median

import pytest

from support.sources import ROOT

#: Lines of each page at most.
LINES = {
    "README.md": 150,
    "CONTRIBUTING.md": 150,
    "SECURITY.md": 60,
    "docs/README.md": 60,
    "docs/adding-a-kernel.md": 240,
    "docs/compare-versions.md": 125,
    "docs/book.md": 60,
    "docs/ci.md": 200,
    "docs/evidence/cuda-on-the-cpu.md": 100,
    "docs/explain.md": 130,
    "docs/gpu.md": 155,
    "docs/fleet.md": 100,
    "docs/history.md": 90,
    "docs/evidence/honesty.md": 80,
    "docs/evidence/simd-kernels.md": 110,
    "docs/evidence/method.md": 280,
    "docs/own-code.md": 90,
    "docs/own-network.md": 90,
    "docs/peers.md": 90,
    "docs/python.md": 300,
    "docs/reading-results.md": 80,
    "docs/reference.md": 400,
    "docs/result-format.md": 395,
    "docs/resume.md": 90,
    "docs/evidence/statistics.md": 140,
    "docs/tour.md": 130,
}
LONGEST, MEDIAN, FIRST = 22, 16, 60
#: Numbers in a sentence, on average; figures belong in tables. The lab notes are figures.
NUMBERS, FIGURES = 0.6, ()
#: What sentences without a subject, or with a hidden one, are made of.
AVOIDED = (
    "one might",
    "as here",
    "is held beside",
    "that of which",
    "is no line",
    "whatever comes",
    "anyone can repeat",
)
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
    return [one.strip() for one in found if one.strip()]


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


def test_every_page_has_a_limit():
    pages = {str(path.relative_to(ROOT)) for at in ("docs", "docs/evidence") for path in (ROOT / at).glob("*.md")}
    assert pages == {name for name in LINES if name.startswith("docs/")}


@pytest.mark.parametrize("name", LINES)
def test_a_page_is_readable(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    lengths = [len(words) for words in sentences(text)]
    too_long = [" ".join(words) for words in sentences(text) if len(words) > LONGEST]
    assert not too_long
    assert median(lengths) <= MEDIAN
    numbers = sum(bool(re.match(r"[(±]?\d", word)) for words in sentences(text) for word in words)
    assert name in FIGURES or numbers / len(lengths) <= NUMBERS
    assert len(text.splitlines()) <= LINES[name]
    assert [words for words in AVOIDED if words in " ".join(text.split()).lower()] == []


@pytest.mark.parametrize("name", LINES)
def test_the_first_paragraph_is_short_enough_to_be_read(name):
    first = paragraphs((ROOT / name).read_text(encoding="utf-8"))[0]
    assert 8 <= len(first.split()) <= FIRST
