"""What was derived from runs is kept, and is never the reason of another answer."""

import os

import pytest

from mlpbench.bench.wings.history import index

BOTH = {"a": "a", "b": "b"}


@pytest.fixture
def runs(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(name)
    return [tmp_path / "a", tmp_path / "b"]


@pytest.fixture
def derive(tmp_path, runs):
    """Return what asks for the content of every run, and in which order the runs were read for it."""

    def asked(code="1"):
        read = []

        def content(run):
            read.append(run.name)
            return (run / "run.json").read_text()

        found, trouble = index.derived(tmp_path, [run for run in runs if run.is_dir()], str, content, code)
        return {run.name: text for run, text in found.items()}, read, trouble

    return asked


def test_a_run_is_read_once_until_it_changes_and_is_forgotten_when_it_is_gone(runs, derive):
    assert derive() == (BOTH, ["a", "b"], None)
    assert derive() == (BOTH, [], None)
    (runs[1] / "run.json").write_text("longer")
    assert derive()[:2] == ({"a": "a", "b": "longer"}, ["b"])
    os.utime(runs[0] / "run.json", ns=(1, 1))
    assert derive()[1] == ["a"]
    (runs[0] / "numpy.0.json").write_text("")
    assert derive()[1] == ["a"]
    (runs[1] / "run.json").unlink()
    runs[1].rmdir()
    assert derive()[:2] == ({"a": "a"}, [])
    assert derive(code="2")[1] == ["a"], "other code derives something else"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"[]",
        lambda content: b"[" * 5000,
        lambda content: content[:60],
        lambda content: content.replace(b'"a"]', b"7]").replace(b'"b"]', b"null]"),
    ],
)
def test_a_damaged_index_gives_the_same_answer_and_is_made_again(tmp_path, derive, damage):
    derive()
    file = tmp_path / index.FILE
    file.write_bytes(damage(file.read_bytes()))
    assert derive() == (BOTH, ["a", "b"], None)
    assert derive() == (BOTH, [], None)


def test_an_index_that_cannot_be_written_is_told_and_costs_no_answer(tmp_path, derive):
    (tmp_path / index.FILE).mkdir()
    found, read, trouble = derive()
    assert (found, read) == (BOTH, ["a", "b"])
    assert str(tmp_path / index.FILE) in trouble


def test_the_code_is_known_by_its_files(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = index.code_of(tmp_path)
    (tmp_path / "a.py").write_text("2")
    assert index.code_of(tmp_path) not in (before, index.code_of(tmp_path.parent / "none"))
