"""Where words go, and that they arrive as they are."""

import json
import re
import sys

import pytest

from mlpbench.bench.cli import console
from support.terminal import shown

#: What Rich would take for markup, an emoji and a number to colour, were it let.
PLAIN = "out[/bold] :warning: [red]12[/red]"


def test_data_go_to_stdout_and_the_rest_to_stderr(capsys):
    console.out().print("data")
    console.print_json({"a": [float("nan"), float("inf"), 1.5], 1: (None, True, "µ")})
    console.err().print("progress")
    console.complain("wrong")
    out, err = capsys.readouterr()
    data, _, as_json = out.partition("\n")
    assert (data, json.loads(as_json)) == ("data", {"a": [None, None, 1.5], "1": [None, True, "µ"]})
    assert "µ" in as_json, "people read it too"
    assert err == "progress\nmlpbench: wrong\n"


@pytest.mark.parametrize("make", [console.out, console.err])
def test_words_are_no_markup_and_a_long_line_or_cell_stays_one_line_in_a_pipe(capsys, make):
    long = " ".join(["word"] * (30 if make is console.out else 10))
    make().print(PLAIN)
    made = console.table(PLAIN, PLAIN, "value", right=("value",))
    made.add_row(PLAIN, "1,000")
    made.add_row(long, "1")
    make().print(made)
    make().print(f"{long} {long}")
    captured = capsys.readouterr()
    first, title, head, *rows, last = (line.rstrip() for line in (captured.out + captured.err).splitlines())
    assert (first, title, head.split("  ")[0], last) == (PLAIN, PLAIN, PLAIN, f"{long} {long}")
    assert [row.split("  ")[0] for row in rows] == [PLAIN, long]
    assert [row.endswith(end) for row, end in zip(rows, ("  1,000", "      1"), strict=True)] == [True, True]


NARROW = (
    "from mlpbench.bench.cli import console; from rich.text import Text\n"
    "t = console.table('T', 'kernel', 'time (95 % interval)', 'why', right=('time (95 % interval)',))\n"
    "t.add_row('numba-simd', '12.1 µs (11.8 to 12.5)', Text('abcdefghij' * 9)); console.out().print(t)"
)


def test_a_narrow_terminal_folds_and_loses_nothing(tmp_path):
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown([sys.executable, "-c", NARROW], tmp_path, columns=40)).splitlines()
    assert max(map(len, lines)) <= 40
    text = "".join("".join(lines).split())
    assert all(text.count(word) == 1 for word in ("12.1µs", "(11.8", "12.5)")), "no number is broken"
    assert text.count("j") == 9, "no letter is lost"


@pytest.mark.parametrize(
    "words", ["one\ntwo", "one\r\n  two", "one \t two\n", "\x1b[2Jone \x07two", "\u202eone \x1b]0;x\x07two"]
)
def test_a_complaint_is_one_line(capsys, words):
    console.complain(words)
    assert capsys.readouterr() == ("", "mlpbench: one two\n")


def test_a_pipe_is_as_wide_as_columns_says(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "70")
    assert console.out().width == 70
    monkeypatch.delenv("COLUMNS")
    assert console.out().width == 200
