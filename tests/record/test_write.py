"""What is written is there whole or not at all, whatever ends the process; results are never overwritten."""

import errno
import json
import os
import signal
from pathlib import Path

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, write
from mlpbench.bench.record.write import write_atomically, write_bytes, write_document
from support.processes import python
from support.refusals import refusal
from support.simulate import good


def without_links(*_, **__):
    raise PermissionError(1, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_what_is_written_is_read_and_never_overwritten(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    path = tmp_path / "numpy.0.json"
    write_atomically(path, good())
    assert runs.read(path).cases[0].rounds_s == (1e-4, 2e-4, 3e-4)
    assert path.stat().st_mode & 0o777 == 0o644
    before = path.read_bytes()
    refusal(UserError, "there already", write_atomically, path, {"a": 1})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_that_json_does_not_have_become_null_and_numbers_are_on_one_line():
    content = write.as_bytes({"nan": float("nan"), "list": [float("inf"), 1.5], "pairs": [[1, 2], [3, 4]]})
    assert json.loads(content) == {"nan": None, "list": [None, 1.5], "pairs": [[1, 2], [3, 4]]}
    assert b"[[1,2],[3,4]]" in content


def test_a_document_takes_the_place_of_an_older_one_and_a_link_is_followed(tmp_path):
    report, link = tmp_path / "report.md", tmp_path / "link.md"
    report.write_text("old")
    link.symlink_to(report)
    write_document(link, "new é \ud800")
    assert link.is_symlink()
    assert report.read_bytes() == "new é ?".encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "report.md"]
    report.write_text(json.dumps(good()))
    with pytest.raises(UserError, match="is a result, and results are not overwritten; choose another file with -o"):
        write_document(report, "new")
    assert json.loads(report.read_text()) == good()


def test_what_is_no_ordinary_file_is_written_as_it_is(tmp_path):
    write_document(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refusal(UserError, r"cannot write .*pipe: No such device or address", write_document, pipe, "nobody reads")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_document(pipe, "somebody reads")
    assert os.read(reader, 100) == b"somebody reads"
    os.close(reader)


@pytest.mark.parametrize("name", ["loop", "x" * 300, "a\0b", "file/report.md", "nowhere/report.md"])
def test_names_that_cannot_be_written(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*; choose another file with -o"):
        write_document(tmp_path / name, "text")


@pytest.mark.parametrize("replace", [True, False])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, replace):
    path = tmp_path / "report.md"
    path.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    refusal(UserError, "No space left on device", write_bytes, path, b"new", replace=replace)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


#: Stops itself at the n-th of the calls that a write is made of.
KILLED = """
import os, signal, sys
from pathlib import Path
from mlpbench.bench.record.write import write_bytes
calls, path, replace, at = [], Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
def counted(function):
    def call(*args, **how):
        calls.append(function)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **how)
    return call
for name in ("open", "fsync", "fchmod", "link", "close", "replace", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
write_bytes(path, b"new", replace=replace)
"""


@pytest.mark.parametrize("replace", [True, False])
def test_a_write_that_is_killed_leaves_the_old_file_or_the_new_one_whole(tmp_path, replace):
    outcomes = set()
    for at in range(1, 7):
        folder = tmp_path / str(at)
        folder.mkdir()
        path = folder / "report.md"
        if replace:
            path.write_bytes(b"old")
        assert python("-c", KILLED, path, replace, at).returncode == -signal.SIGKILL
        outcomes.add(path.read_bytes() if path.exists() else None)
        left = [one.name for one in folder.iterdir() if one != path]
        assert all(name.startswith(".") and name.endswith(".partial") for name in left), left
    assert outcomes <= {b"old" if replace else None, b"new"}
