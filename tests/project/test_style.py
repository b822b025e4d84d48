"""Pages and messages are readable, as far as that can be measured: short sentences, subjects first, pages that end."""

import ast
import re
from statistics import median

import pytest
import typer

from mlpbench.bench.cli.app import COMMANDS, app
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
#: Numbers in a sentence, on average; figures belong in tables.
NUMBERS = 0.6
#: Decisions are notes: their sentences are as long as a reason needs.
NOTES = "docs/decisions/"
#: Sentences that begin so hide their subject. A question may.
OPENINGS = ("Of", "What", "Beside", "Behind", "Where", "Unasked")
#: Sentences without a subject, or with a hidden one, are made of these.
AVOIDED = (
    *("one might", "one may", "as here", "is held beside", "that of which", "is no line", "whatever comes"),
    *("anyone can repeat", "is told", "is held", "bears that", "all the same", "of its own", "as it is"),
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
    return [paragraph.strip() for paragraph in found if paragraph.strip()]


def sentences(text):
    """Return the words of each sentence. A colon ends one, as a full stop does; code and a link are words."""
    found = []
    for paragraph in paragraphs(text):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", paragraph.replace("**", "")))
        parts = re.split(r"(?<=[.!?:])\)?\s+", plain)
        found += [words for part in parts if (words := [word for word in part.split() if re.search(r"\w", word)])]
    return found


def hidden_subjects(text):
    """Return the sentences of a text that begin with a word of `OPENINGS`, but for questions."""
    return [" ".join(words) for words in sentences(text) if words[0] in OPENINGS and not words[-1].endswith("?")]


def avoided(text):
    """Return the phrases of `AVOIDED` that a text has outside of code."""
    plain = " ".join(LEFT_OUT.sub("\n", text).split()).lower()
    return [phrase for phrase in AVOIDED if re.search(rf"\b{phrase}\b", plain)]


def shown_strings():
    """Return the texts that `bench` shows, with their places: literals but docstrings, and the helps of commands."""
    shown = []
    for path in sorted((ROOT / "bench").rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        shown += [
            (f"{path.relative_to(ROOT)}:{node.lineno}", node.value)
            for node in nodes
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare
        ]
    commands = typer.main.get_command(app)
    return shown + [(name, commands.get_command(None, name).help) for name in COMMANDS]


def test_the_scanner_finds_sentences():
    text = "# A\n\nOne two. Three `a b. c`:\n\n* four [five six](x.md)\n  seven\n\n| a | b |\n\n```sh\nx y\n```\n"
    assert sentences(text) == [["One", "two."], ["Three", "code:"], ["four", "five", "six", "seven"]]


def test_the_scanner_finds_hidden_subjects():
    text = "What it is. What is it? It has a life of its\nown. Where it goes is told."
    assert hidden_subjects(text) == ["What it is.", "Where it goes is told."]
    assert avoided(text) == ["is told", "of its own"]


def test_the_pages_for_users_are_short_together():
    words = {name: len((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8").split()) for name in USERS}
    assert sum(words.values()) <= USERS_WORDS, words


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text.split()) <= PAGE_WORDS
    assert hidden_subjects(text) + avoided(text) == []
    if name.startswith(NOTES):
        return
    lengths = [len(words) for words in sentences(text)]
    assert [" ".join(words) for words in sentences(text) if len(words) > LONGEST] == []
    assert median(lengths) <= MEDIAN
    numbers = sum(bool(re.match(r"[(±]?\d", word)) for words in sentences(text) for word in words)
    assert numbers / len(lengths) <= NUMBERS
    assert 8 <= len(paragraphs(text)[0].split()) <= FIRST


def test_messages_and_helps_name_their_subject():
    """Titles have no full stop, and may begin with any word."""
    texts = shown_strings()
    wrong = [(place, hidden_subjects(text)) for place, text in texts if re.search(r"\.(\s|$)", text)]
    wrong += [(place, avoided(text)) for place, text in texts]
    assert [(place, found) for place, found in wrong if found] == []
