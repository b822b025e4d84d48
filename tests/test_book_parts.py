"""The parts of the book's cell in files: which calls they are of, what is read, what is refused."""

import json

import pandas as pd
import pytest
import simulate

from bench import frame, record
from bench.book_parts import PARTS, by_round, read_parts
from bench.errors import UserError
from bench.untrusted import Block

CASE = ("numpy", "book", 100)
READS = "MNIST's test half: t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
KNOWN = {"load": [0.5, 0.7, 0.6], "initialise": [0.1, 0.1, 0.2], "infer": [2.0, 2.2, 2.1], "count": [0.01, 0.01, 0.02]}


def test_the_last_calls_are_those_of_the_rounds():
    calls = [(float(n), 10.0 + n, 20.0 + n, 30.0 + n) for n in range(9)]
    assert by_round(calls, 2, 3) == {
        "load": [4.0, 7.0],
        "initialise": [14.0, 17.0],
        "infer": [24.0, 27.0],
        "count": [34.0, 37.0],
    }
    assert by_round(calls, 3, 1)["load"] == [6.0, 7.0, 8.0]
    assert by_round(calls, 9, 1)["load"][0] == 0.0


@pytest.mark.parametrize(("rounds", "iterations"), [(4, 3), (10, 1), (0, 1)])
def test_more_rounds_than_calls_are_a_mistake(rounds, iterations):
    with pytest.raises(ValueError, match="9 calls are not"):
        by_round([(1.0, 1.0, 1.0, 1.0)] * 9, rounds, iterations)


def test_what_is_written_is_read():
    found = read_parts(Block({"parts_s": KNOWN, "reads": READS}, "file"), 3)
    assert found.seconds == {name: tuple(values) for name, values in KNOWN.items()}
    assert found.reads == READS
    assert read_parts(Block({"reads": READS}, "file"), 3) is None
    assert read_parts(Block({"parts_s": None}, "file"), 3) is None


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({**KNOWN, "load": [0.5, 0.7]}, "one time for each of the 3 rounds, got 2"),
        ({name: KNOWN[name] for name in PARTS[:3]}, "count: expected one time for each of the 3 rounds, got 0"),
        ({**KNOWN, "infer": [1.0, -1.0, 1.0]}, "infer: expected seconds above 0"),
        ({**KNOWN, "infer": [1.0, "1", 1.0]}, "infer: expected seconds above 0"),
        ({**KNOWN, "infer": [1.0, True, 1.0]}, "infer: expected seconds above 0"),
        ({**KNOWN, "count": 3}, "count: expected a list"),
        ([1.0], "expected an object"),
    ],
)
def test_damaged_parts_are_refused_in_one_line(tmp_path, parts, words):
    folder = simulate.write_run(tmp_path, {CASE: 1e-3}, repeats=1, rounds=3, extra_info={CASE: {"parts_s": parts}})
    with pytest.raises(UserError, match=words) as error:
        record.read_run(folder)
    assert "numpy.0.json: benchmarks[0]: extra_info: parts_s" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_frame_has_the_median_of_each_part(tmp_path):
    extra = {CASE: {"parts_s": KNOWN, "reads": READS}}
    times = {CASE: 3e-3, ("numpy", "batched", 100): 1e-6}
    rows = frame.load(simulate.write_run(tmp_path, times, repeats=1, rounds=3, extra_info=extra))
    book, other = rows[rows["mode"] == "book"].iloc[0], rows[rows["mode"] == "batched"].iloc[0]
    assert (book["load_s"], book["initialise_s"], book["infer_s"], book["count_s"]) == (0.6, 0.1, 2.1, 0.01)
    assert book["reads"] == READS
    assert all(pd.isna(other[f"{name}_s"]) for name in PARTS)
    assert pd.isna(other["reads"])


def test_files_without_parts_are_read_as_before(tmp_path):
    folder = simulate.write_run(tmp_path, {CASE: 1e-3}, repeats=1)
    assert "parts_s" not in json.loads((folder / "numpy.0.json").read_text())["benchmarks"][0]["extra_info"]
    assert record.read_run(folder).records[0].cases[0].parts is None
    assert frame.load(folder)["load_s"].isna().all()
