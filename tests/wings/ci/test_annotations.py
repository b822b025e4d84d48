"""Annotations, read as GitHub's runner reads them: one for each slower or undecided case; none gets out of its own."""

from dataclasses import replace
from urllib.parse import unquote

import pytest

from mlpbench.bench.analysis import compare as compare_
from mlpbench.bench.report.formats import markdown
from mlpbench.bench.report.sections import compare as section
from mlpbench.bench.wings.ci import annotations
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numpy", "batched", 1): 2e-5}
HOSTILE = (
    "a\n::error::forged",
    "a\r\n::set-env name=PATH::x",
    "%0A::error::forged",
    "a%0D%0A::stop-commands::x",
    "x::y,title=z",
    "::error file=a,line=1::b",
    "##[error]forged",
    "a\u2028::error::b",
    "a\x1b[31m\x00b",
    "`code` | cell | <img src=x onerror=alert(1)> [link](http://x.example) @somebody **bold** #1",
)


def read(line):
    """Return level, properties and message of a line as the runner's ``ActionCommand.TryParseV2`` finds them."""
    assert line.startswith("::")
    head, _, message = line[2:].partition("::")
    level, _, pairs = head.partition(" ")
    properties = dict(pair.split("=", 1) for pair in pairs.split(",") if pair)
    return level, {name: unquote(value) for name, value in properties.items()}, unquote(message)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A comparison with a slower, an undecided and a faster case."""
    sides, folder = [], tmp_path_factory.mktemp("sides")
    for seed, factors in enumerate(((1.0, 1.0, 1.0), (1.3, 1.02, 0.5))):
        times = {case: value * factor for (case, value), factor in zip(TIMES.items(), factors, strict=True)}
        sides.append(simulate.run(folder, times, noise=0.01, repeats=5, seed=seed))
    return compare_.compare(*sides, 0.02)


def test_slower_is_an_error_and_undecided_a_warning_and_nothing_else_is_said(found):
    lines = [read(line) for line in annotations.render(found)]
    assert sorted({row.verdict for row in found.rows}) == ["faster", "slower", "undecided"]
    assert [level for level, _, _ in lines] == ["error", "warning"]
    assert lines[0][1] == {"title": "slower: numpy, one at a time"}
    assert lines[0][2].startswith("numpy, one at a time: slower; 25.9 µs")
    assert "speedup 0.7" in lines[0][2]
    assert ": undecided" in lines[1][2]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_inert_in_annotations_and_in_the_table(found, name):
    rows = tuple(replace(row, baseline_kernel=name, candidate_kernel=name) for row in found.rows)
    hostile = replace(found, rows=rows, baseline=name, candidate=name, differences=(name,), notes=(name,))
    lines = annotations.render(hostile)
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable()
        level, properties, message = read(line)
        assert level in {"error", "warning"}
        assert set(properties) == {"title"}
        assert properties["title"].startswith(("slower: ", "undecided: "))
        assert message.startswith(name.split()[0].partition(",")[0]) or "\x1b" in name
    text = markdown.page(name, section.blocks(hostile))
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(rows)
    assert {line.replace("\\|", "").count("|") for line in table} == {table[1].count("|")}
    for forbidden in ("<img", "@somebody", "](http", "\n::", "\n##["):
        assert forbidden not in text
    assert not [line for line in lines if line.lstrip().startswith(("::", "##["))]
