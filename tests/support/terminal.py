"""Commands as people type them, and what must be true of every complaint."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlpbench.bench.analysis.judge import PHASE, judge
from mlpbench.bench.cli.app import main
from mlpbench.bench.errors import UserError
from support.refusals import refusal as refused_with

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


def typed(*words, cwd, out=subprocess.PIPE, **changes):
    """Run a command in a process of its own, as a shell does, which prints to ``out``; return the finished process."""
    how = {"cwd": cwd, "env": variables(**changes), "stdout": out, "stderr": subprocess.PIPE}
    return subprocess.run(argv(*words), **how, text=True, timeout=TIMEOUT_S, check=False)


def git(folder, *words):
    """Run git in a folder as somebody; return what it prints."""
    who = ("-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "commit.gpgsign=false")
    ran = subprocess.run(["git", *who, "-C", folder, *words], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def repository(folder, *commits):
    """Make a git repository of so many commits, each the texts of its files by their names; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for number, files in enumerate(commits, 1):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", str(number))
    return folder


def refused(*found):
    """Return the times that real runs refuse, with status 1: beside other tests, limits can be too low."""
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
    assert (status, out, len(err.splitlines())) == (2, "", 1), (status, out, err)
    begin, line = err[:10], err[10:].rstrip("\n")
    assert begin == "mlpbench: "
    assert line.isprintable()
    return line


def refusal(ask, *given, kind=UserError, **how):
    """Ask for what must be refused; return the one line that says why."""
    return refused_with(kind, "", ask, *given, **how)


def contents(folder, names="*"):
    """Return what is in a folder: the bytes of each file, by its path in the folder; None for a folder."""
    paths = sorted(Path(folder).rglob(names))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in paths}
