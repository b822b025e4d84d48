"""`mlpbench explain`: what it prints, its JSON, and its exit status."""

import json
import re

import pytest

from support import evidence_files as files
from support.evidence_files import write
from support.terminal import called


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return what types `mlpbench explain` in a folder: words to (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: called(capsys, "explain", *words)


def test_the_command_tells_and_its_json_is_all_the_numbers(tmp_path, command):
    run = write(tmp_path / "results")
    status, out, err = command()
    assert (status, err) == (0, "")
    row = next(line for line in out.splitlines() if line.startswith("numpy"))
    assert re.fullmatch(r"numpy +13\.0 µs to 1\.00 µs +75 %, 75 to 75 +5 % +5 %, 5 to 5 +15 %, 15 to 15 *", row)
    assert "numpy gains mostly from fewer calls (75 %, 75 to 75)." in out
    status, out, _ = command(run.id, "--json")
    assert status == 0
    (found,) = json.loads(out)["runs"]
    assert found["run"] == run.id
    assert found["kernels"][0]["attribution"]["parts"]["calls"]["value"] == pytest.approx(files.CALL_ONE, rel=1e-3)
    assert found["kernels"][0]["fit"]["r_inf"]["value"] == pytest.approx(1 / files.ROW, rel=1e-4)
    assert found["roofs"]["1"]["read_s"]["L1"] == pytest.approx(500e9)


def test_runs_of_other_networks_are_compared(tmp_path, command):
    """The same times per sample; weights that lie elsewhere."""
    larger = {"sizes": [784, 1024, 1024, 10], "hidden": "sigmoid", "output": "softmax", "dtype": "float32"}
    slow = {case: 1000 * seconds for case, seconds in files.TIMES.items()}
    runs = [write(tmp_path / "results", seed=1), write(tmp_path / "results", slow, seed=2, spec=larger)]
    status, out, _ = command(*(run.id for run in runs))
    assert status == 0
    first, second = out[out.index("What batching saves") :].splitlines()[2:4]
    assert all(words in first for words in ("784-50-100-10", "L2", "13.0 µs to 1.00 µs", "75 %"))
    assert all(words in second for words in ("784-1024-1024-10", "L3"))


def test_the_command_fails_on_what_cannot_be(tmp_path, command):
    write(tmp_path / "results", **files.impossible())
    status, out, _ = command()
    assert status == 1
    assert "Refused: numpy, batch 1,000" in out
    assert json.loads(command("--json")[1])["refused"]
