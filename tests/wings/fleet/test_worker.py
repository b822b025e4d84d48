"""A worker: the folder that its run works in, which anybody on that host could have made."""

import tempfile

import pytest

from mlpbench.bench.wings.fleet import worker
from mlpbench.bench.wings.fleet.worker import Request

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


@pytest.mark.parametrize("status", [0, 130])
def test_a_run_has_a_folder_that_is_closed_to_others_and_goes(temporary, monkeypatch, status):
    monkeypatch.setenv("STATUS", str(status))
    answer = worker.execute(Request(("numpy",), "abcdef"))
    assert answer.status == status
    assert [line for line in answer.said if line.startswith("word ")][-2:] == ["word run", "word numpy"]
    assert answer.said[-1].startswith("drwx------")
    assert answer.files == {"box/run/run.json": b"{}\n"}
    assert list(temporary.iterdir()) == []
