"""`mlpbench history` as people type it: what it prints, and how it ends."""

import json
import re

import pytest

from support.terminal import called


@pytest.fixture
def history(reports, capsys):
    (newest,) = reports.runs("months")
    at = ("--machine", "testbox", "--results", newest.path.parents[1])
    return lambda *words: called(capsys, "history", *at, *words)


def test_the_changes_are_a_table_with_what_else_changed(history):
    status, out, err = history()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("testbox: 12 runs, 20261124T120000Z-0123abcd to ")
    assert sum(bool(re.search(r"1\.0[789]x \(1\.0", line)) for line in lines) == 2
    assert sum("libraries: numpy: 2.4.6 against 2.5.0" in line for line in lines) == 2
    assert lines[-1] == "2 of 4 cases changed for good in 12 runs."


def test_a_slowdown_fails_where_that_was_asked(history):
    status, _, err = history("--fail-if-slower", "5%")
    assert (status, err) == (1, "slower for good by more than 5%: numpy per_sample 100, numpy batched 100\n")
    assert history("--fail-if-slower", "20%")[0] == 0
    assert history("numba", "--fail-if-slower", "5%")[:2] == (0, history("numba")[1])


def test_json_has_every_level_and_every_change(history):
    found = json.loads(history("numpy", "--json")[1])
    assert [len(one["samples_s"]) for one in found["series"]] == [12, 12]
    (change,) = found["series"][0]["changes"]
    assert change["at"] == 8
    assert change["ratio"]["low"] > 1.05
