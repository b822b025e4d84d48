"""A worker: the folder that its run works in, which anybody on that host could have made."""

import os
import stat
import tempfile

import pytest

from mlpbench.bench.wings.fleet import worker
from mlpbench.bench.wings.fleet.worker import Request

NAME = "mlpbench-fleet-20260101T000000Z-abcdef"
#: Stands in for mlpbench: it says where it runs and with which words, and leaves a run with status 130.
STAND_IN = """#!/bin/sh
while [ "$1" != "--results" ]; do echo "word $1" >&2; shift; done
ls -ld "$2" >&2
mkdir -p "$2/box/run" && echo '{}' > "$2/box/run/run.json"
exit ${STATUS:-130}
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Let the temporary folder be one that is closed to nobody, and mlpbench be a stand-in."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    program = tmp_path / "mlpbench"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setattr(worker.sys, "executable", str(program))
    return folder


def words(answer):
    return [line.removeprefix("word ") for line in answer.said if line.startswith("word ")]


def test_a_folder_of_its_own_that_a_second_start_finds_again(temporary, monkeypatch):
    answer = worker.execute(Request(("numpy",), NAME))
    assert words(answer)[-2:] == ["run", "numpy"]
    (folder,) = temporary.iterdir()
    assert folder.name.startswith(f"{NAME}-"), "its end is random"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert answer.said[-1].startswith("drwx------")
    monkeypatch.setenv("STATUS", "0")
    again = worker.execute(Request(("numpy",), NAME))
    assert words(again)[-2:] == ["run", "--resume"]
    assert again.files == {"box/run/run.json": b"{}\n"}
    assert list(temporary.iterdir()) == [], "it goes with the end of the run"


@pytest.mark.parametrize("whose", ["open to others", "a link", "somebody else's"])
def test_a_folder_that_others_may_have_made_is_passed_over(temporary, tmp_path, whose):
    planted = tmp_path / "planted"
    (planted / "box" / "run").mkdir(parents=True)
    (planted / "box" / "run" / "run.json").write_text("{}")
    planted.chmod(0o700)
    there = [temporary / NAME, temporary / f"{NAME}-aaaaaaaa"]
    if whose == "a link":
        for place in there:
            place.symlink_to(planted)
    else:
        for place in there:
            (place / "box" / "run").mkdir(parents=True)
            (place / "box" / "run" / "run.json").write_text("{}")
            place.chmod(0o755 if whose == "open to others" else 0o700)
            if whose == "somebody else's":
                if not hasattr(os, "getuid") or os.getuid() != 0:
                    pytest.skip("only root gives folders away")
                os.chown(place, 65534, 65534)
    answer = worker.execute(Request(("numpy",), NAME))
    assert words(answer)[-2:] == ["run", "numpy"], "a new run, and not that of the planted folder"
    assert len(list(temporary.iterdir())) == 3
