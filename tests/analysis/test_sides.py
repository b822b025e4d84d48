import pytest

from mlpbench.bench.analysis.sides import parse_sides
from mlpbench.bench.errors import UserError
from support import simulate

TIMES = {("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Two runs in a results folder, the second one newer; the working folder is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    skipped = [{"kernel": "cupy", "reason": "no driver"}]
    return [simulate.write_run(tmp_path / "results", TIMES, seed=seed, skipped=skipped) for seed in (1, 2)]


def side(runs, text):
    (found,) = parse_sides(text, runs[0].parents[1])
    return found.run.path, found.kernel


def refusal(runs, text):
    with pytest.raises(UserError) as error:
        parse_sides(text, runs[0].parents[1])
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_run_is_named_by_path_id_or_latest_and_a_kernel_with_it_or_alone(runs):
    old, new = runs
    assert side(runs, str(old)) == (old, None)
    assert side(runs, old.name) == (old, None)
    assert side(runs, "latest") == (new, None)
    assert side(runs, str(old / "numpy.1.json")) == (old / "numpy.1.json", None)
    assert side(runs, "numpy") == (new, "numpy"), "of the latest run"
    assert side(runs, "cupy") == (new, "cupy"), "known there, if only as skipped"
    assert side(runs, f"{old.name}:numba") == (old, "numba")
    assert side(runs, f"{old}:numba") == (old, "numba")
    assert side(runs, "latest:numpy") == (new, "numpy")


def test_unknown_names_suggest_the_nearest(runs):
    old, new = runs
    assert "did you mean numba?" in refusal(runs, "nunba")
    assert f"no run, and no kernel of the latest one, {new.name} (numpy, numba, cupy)" in refusal(runs, "torch")
    assert f"no kernel 'nunpy' in {old.name} (did you mean numpy?)" in refusal(runs, f"{old.name}:nunpy")
    assert f"did you mean {old.name}" in refusal(runs, old.name.replace("abcd", "abce"))
    assert "no run, file or folder" in refusal(runs, "results/nowhere/")
    assert "names 2 runs" in refusal(runs, "0123abcd:numpy")


@pytest.mark.parametrize("text", ["", ":", ":numpy", "latest:", "a:b:c"])
def test_strange_words_are_refused(runs, text):
    refusal(runs, text)


def test_without_any_run_there_is_no_kernel_either(tmp_path):
    with pytest.raises(UserError, match=r"no runs in .*: `mlpbench run` makes one"):
        parse_sides("numpy", tmp_path)


def test_a_name_that_is_a_kernel_and_a_folder_is_not_guessed(runs):
    old, _ = runs
    old.rename("numpy")
    assert "write latest:numpy, or ./numpy" in refusal(runs, "numpy")
    assert side(runs, "./numpy")[1] is None
    assert side(runs, "latest:numpy")[1] == "numpy"
