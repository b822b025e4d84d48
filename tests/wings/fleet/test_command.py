"""`mlpbench merge` and `mlpbench fleet` as people type them."""

import json

import pytest

from support import simulate
from support.terminal import called

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


def test_merge_prints_what_is_new(tmp_path, capsys):
    run = simulate.write_run(tmp_path / "a", TIMES)
    words = ("merge", str(tmp_path / "a"), "--results", str(tmp_path / "all"))
    said = called(capsys, *words)
    assert said == (0, f"{tmp_path}/all/testbox/{run.name}\n", f"1 run added to {tmp_path}/all, 0 there already\n")
    facts = {"machine": "testbox", "run": "calibration/x", "kernel": "numpy", "ended": "2026-11-24T12:00:00Z"}
    head = {"schema": 1, "kind": "calibration", "repeats": 20, "threshold": 0.01, "false_discovery_rate": 0.05}
    (run.parent / "calibration.json").write_text(json.dumps({"mlpbench": head | facts}))
    status, out, err = called(capsys, *words)
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        "the calibration of testbox was added: `mlpbench compare` uses it for runs of that machine",
        f"0 runs and 1 calibration added to {tmp_path}/all, 1 there already",
    ]
    assert called(capsys, *words)[1:] == ("", f"0 runs added to {tmp_path}/all, 1 there already\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("merge", "nowhere"), "nowhere: no such folder"),
        (("fleet", "numpy"), "either --dask ADDRESS or --ssh FILE"),
        (("fleet", "--dask", "tcp://x:1", "--ssh", "y", "numpy"), "either --dask ADDRESS or --ssh FILE"),
        (("fleet", "--ssh", "y", "--dry-run"), "--dry-run is no option of a fleet"),
        (("fleet", "--ssh", "y", "--profil", "smoke"), "No such option: --profil"),
        (("fleet", "--ssh", "y", "numpy", "-p", "evil"), "No such option: -p"),
        (("fleet", "--ssh", "y", "numpy", "--env=x=/evil"), "--env is no option of a fleet"),
        (("fleet", "--ssh", "y", "numpy", "--repeats", "x"), "cannot read the repeats 'x'"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    status, out, err = called(capsys, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "results").exists()
