"""A report's tables in a terminal."""

from rich.console import Console

from mlpbench.bench.report.document import table
from mlpbench.bench.report.formats import terminal

ROWS = (("one", "numpy", "1.0x", "7"), ("one", "numba", "[bold]", "8"), ("two", "numba", "3.0x", "9"))


def drawn(**settings):
    found = table("A sentence.", ("run", "kernel"), ("speedup", "rounds"), rows=ROWS)
    console = Console(width=60)
    with console.capture() as told:
        console.print(terminal.table(found, "Title", "caption", **settings))
    return [line.rstrip() for line in told.get().splitlines()]


def test_a_table_has_its_own_title_and_its_cells_as_they_are():
    title, head, *rows, caption = drawn()
    assert (title, caption) == ("Title", "caption")
    assert head.split() == ["run", "kernel", "speedup", "rounds"]
    assert [tuple(row.split()) for row in rows] == list(ROWS)


def test_what_the_row_above_says_is_said_once_and_columns_can_be_left_out():
    _, head, *rows, _ = drawn(said_once=1, without=("rounds",))
    assert head.split() == ["run", "kernel", "speedup"]
    assert [row.split() for row in rows] == [["one", "numpy", "1.0x"], ["numba", "[bold]"], ["two", "numba", "3.0x"]]
