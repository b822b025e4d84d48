"""What was derived from runs is kept, and is never the reason of another answer."""

import os

import pytest

from mlpbench.bench.wings.history import index


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


def test_a_run_is_read_once(derive):
    assert derive() == ({"a": "a", "b": "b"}, ["a", "b"], None)
    assert derive() == ({"a": "a", "b": "b"}, [], None)


def test_what_changed_is_read_again_and_what_is_gone_is_forgotten(tmp_path, runs, derive):
    derive()
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


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 5000, "half"])
def test_a_damaged_index_gives_the_same_answer_and_is_made_again(tmp_path, derive, content):
    derive()
    file = tmp_path / index.FILE
    file.write_bytes(file.read_bytes()[:60] if content == "half" else content)
    assert derive()[::2] == ({"a": "a", "b": "b"}, None)
    assert derive() == ({"a": "a", "b": "b"}, [], None)


def test_a_damaged_entry_costs_one_reading(tmp_path, derive):
    derive()
    file = tmp_path / index.FILE
    file.write_text(file.read_text().replace('"a"]', "7]").replace('"b"]', "null]"))
    assert derive() == ({"a": "a", "b": "b"}, ["a", "b"], None)


def test_an_index_that_cannot_be_written_is_told_and_costs_no_answer(tmp_path, derive):
    (tmp_path / index.FILE).mkdir()
    found, read, trouble = derive()
    assert (found, read) == ({"a": "a", "b": "b"}, ["a", "b"])
    assert str(tmp_path / index.FILE) in trouble


def test_the_code_is_known_by_its_files(tmp_path):
    (tmp_path / "a.py").write_text("1")
    before = index.code_of(tmp_path)
    assert index.code_of(tmp_path) == before
    (tmp_path / "a.py").write_text("2")
    assert index.code_of(tmp_path) != before
