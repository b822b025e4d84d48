"""The parts of the book's cell in files: which calls they are of, what is read, what is refused."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record.book_parts import PARTS, by_round, read_parts
from mlpbench.bench.record.untrusted import Block
from support import simulate
from support.sources import ROOT

CASE = ("numpy", "book", 100)
READS = "MNIST's test half: t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz"
KNOWN = {"load": [0.5, 0.7, 0.6], "initialise": [0.1, 0.1, 0.2], "infer": [2.0, 2.2, 2.1], "count": [0.01, 0.01, 0.02]}


def call(number):
    return (float(number), 10.0 + number, 20.0 + number, 30.0 + number)


def test_the_calls_of_a_round_are_those_that_began_before_it_ended():
    """Two calls of warming, two rounds of three calls, and one call when both are over."""
    calls = [(ended, call(number)) for number, ended in enumerate([0, 0, 0, 0, 0, 1, 1, 1, 2])]
    assert by_round(calls, 2, 3) == {
        "load": [3.0, 6.0],
        "initialise": [13.0, 16.0],
        "infer": [23.0, 26.0],
        "count": [33.0, 36.0],
    }


def test_a_round_without_its_calls_is_a_mistake():
    with pytest.raises(ValueError, match="round 1 has 1 calls, not 2"):
        by_round([(0, call(0)), (0, call(1)), (1, call(2))], 2, 2)


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
        runs.read_run(folder)
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
    assert runs.read_run(folder).records[0].cases[0].parts is None
    assert frame.load(folder)["load_s"].isna().all()


def test_the_suite_keeps_the_parts_of_its_own_rounds(tmp_path):
    """The clock of a round stands around those of its parts: no parts are longer than their round."""
    path = tmp_path / "numpy.0.json"
    words = ["--kernel=numpy", "--mode=book", "--batch-size=1000", "--spec=20-10-3", "--benchmark-min-rounds=20"]
    command = [sys.executable, "-m", "pytest", "bench", "-q", "-p", "no:cacheprovider", *words]
    ran = subprocess.run(
        [*command, "--benchmark-max-time=0.05", f"--benchmark-json={path}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    (case,) = runs.read(path).cases
    assert len(case.rounds_s) >= 20
    assert case.parts.reads == "random: no file, 10,000 rows made anew"
    assert all(sum(parts) <= whole for whole, *parts in zip(case.rounds_s, *case.parts.seconds.values(), strict=True))
