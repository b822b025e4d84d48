"""`mlpbench merge` and `mlpbench fleet`: what is no way to type them."""

import pytest

from support.terminal import called


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("merge", "nowhere"), "nowhere: no such folder"),
        (("fleet", "numpy"), "either --dask ADDRESS or --ssh FILE"),
        (("fleet", "--dask", "tcp://x:1", "--ssh", "y", "numpy"), "either --dask ADDRESS or --ssh FILE"),
        (("fleet", "--ssh", "y", "--dry-run"), "--dry-run is no option of a fleet"),
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
