"""Commands as people type them, and what must be true of every complaint."""

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlpbench.bench.analysis.judge import PHASE, judge
from mlpbench.bench.cli.app import main

#: What makes programs colour their output, or fold it, wherever it goes.
COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")
#: Enough for a whole small run on a machine that is twenty times as busy as a quiet one.
TIMEOUT_S = 600


def variables(**changes):
    """Return this process's environment with changes; None takes a variable away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name not in COLOURS}
    kept.update({name: str(value) for name, value in changes.items() if value is not None})
    return {name: value for name, value in kept.items() if changes.get(name, "") is not None}


def argv(*words):
    """Return a command as a shell starts it."""
    return [sys.executable, "-m", "mlpbench", *map(str, words)]


def typed(*words, cwd, **changes):
    """Run a command in a process of its own, as a shell does; return the finished process."""
    return subprocess.run(
        argv(*words), cwd=cwd, env=variables(**changes), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def git(folder, *words):
    """Run git in a folder as somebody; return what it prints."""
    who = ("-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false")
    ran = subprocess.run(["git", *who, "-C", folder, *words], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def refused(*found):
    """Return the times of real runs that are refused: beside other tests, limits of the machine can be too low.

    Such a run exits with 1. Fail for what is wrong besides.
    """
    failures = [one for run in found for one in judge(run).failures]
    assert all(one.phase == PHASE and one.reason.startswith("roofline: ") for one in failures), failures
    return failures


def shown(arguments, cwd, columns=100, **changes):
    """Run a command in a terminal of ``columns``; return all that it shows, with its escape sequences."""
    pty = pytest.importorskip("pty", reason="no terminals on this system")
    master, slave = pty.openpty()
    env = variables(COLUMNS=columns, TERM="xterm", NO_COLOR=1, **changes)
    printed = bytearray()
    with subprocess.Popen(arguments, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(master, 4096):
                printed += chunk
        process.wait(TIMEOUT_S)
    os.close(master)
    return printed.decode()


def called(capsys, *words):
    """Run a command in this process, which is quicker; return (status, stdout, stderr)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in COLOURS:
            patch.delenv(name, raising=False)
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def complaint(status, out, err):
    """Check that bad input was told as it must be; return the one line without its "mlpbench: "."""
    assert status == 2, (status, out, err)
    assert out == ""
    assert "Traceback" not in err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("mlpbench: ")
    assert lines[0].isprintable()
    return lines[0].removeprefix("mlpbench: ")


def contents(folder):
    """Return what is in a folder: the hash of each file, by its path in the folder; None for a folder."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    return found
