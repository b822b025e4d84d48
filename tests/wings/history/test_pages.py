"""The page of all runs: what a row says, what it links to, and what a foreign name cannot do."""

import re

import pytest

from mlpbench.bench.wings.history import history, pages
from support.runs import months
from support.terminal import called, complaint


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    written = months.write(folder, 4)
    (written[-1] / "report.html").write_text("")
    (written[0] / "run.json").write_text("{")
    strange = folder / "<b>" / "20991231T000000Z-0123abcd"
    strange.mkdir(parents=True)
    (strange / "run.json").write_text("{")
    return folder


def rows(results):
    pages.write(results)
    return re.findall("<tr><td>(.*)</td></tr>", (results / pages.NAME).read_text())


def test_a_row_for_each_run_the_newest_first(results):
    newest, *others, oldest = rows(results)
    assert newest.startswith("20991231T000000Z-0123abcd</td><td>&lt;b&gt;</td><td>")
    assert "<b>" not in newest
    assert len(others) == 3
    assert '/report.html">2026-' in others[0]
    assert re.search(r"<td>numba, [\d.]+ ns in batch 1,?\d*</td><td>numpy [\d.]+x, numba [\d.]+x</td>", others[0])
    assert others[0].count("<svg") == 1
    assert "<a" not in others[1]
    assert "run.json" in oldest, "why it has no times"


def test_older_runs_are_counted(results, monkeypatch):
    monkeypatch.setattr(history, "NEWEST", 2)
    assert len(rows(results)) == 2
    assert "<h1>5 runs, the newest 2 of them</h1>" in (results / pages.NAME).read_text()


def test_report_opens_the_page_of_a_run(results, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    run = sorted((results / "testbox").glob("2*"))[2]
    status, out, _ = called(capsys, "report", run, "--open")
    assert (status, out) == (0, f"page: {opened[0]}\n")
    assert opened == [(run / "report.html").as_uri()]
    assert (run / "report.html").stat().st_size > 10_000
    told = complaint(*called(capsys, "report", run, "--open", "-o", "x.md"))
    assert told == "--open makes the page in the folder of the run: leave --output and --format out"
