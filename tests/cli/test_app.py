"""The command line as people type it: every command, with and without --json, and what it exits with."""

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
import typer

from mlpbench import __version__
from mlpbench.bench.cli import app
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.measure import verdict
from mlpbench.kernels import registry
from mlpbench.kernels.mlp_numpy import NumpyKernel
from support import doubles, simulate
from support.doubles import AbsentKernel, ConstructorRaises
from support.mutants import SoftmaxDropped
from support.terminal import called

COMMANDS = list(app.COMMANDS)
DOUBLES = Path(doubles.__file__)
TIMES = {(kernel, mode, 100): 1e-6 for kernel in ("numpy", "numba") for mode in ("per_sample", "batched")}


def test_the_command_that_is_installed_is_this_one_and_helps_and_is_of_this_version(capsys):
    (script,) = (e for e in metadata.entry_points(group="console_scripts") if e.name == "mlpbench")
    assert script.load() is app.main
    for option in ("--version", "-V"):
        assert called(capsys, option) == (0, f"mlpbench {__version__}\n", "")
    for words in ([], ["--help"], ["-h"]):
        status, out, err = called(capsys, *words)
        assert (status, err) == (0, "")
        assert all(re.search(rf"^\W*{command} ", out, re.MULTILINE) for command in COMMANDS)
        assert all(f"─ {panel} ─" in out for panel in ("Measure", "Read", "Share", "Set up"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_can_be_typed(capsys, command):
    status, out, err = called(capsys, command, "--help")
    assert (status, err) == (0, "")
    words = " ".join(out.replace("│", " ").split())
    found = typer.main.get_command(app.app).get_command(None, command)
    example = found.help.rpartition("Example: mlpbench ")[2].split()
    assert example[0] == command
    assert f"Example: mlpbench {' '.join(example)}" in words
    found.make_context(command, example[1:])  # raises where an option does not exist
    # Flags are shown as flags.
    assert "<bool>" not in out
    assert "]...]..." not in out
    assert re.search(r"--help +-h +Show this message", out)


def test_help_of_run_shows_what_matters_and_help_all_the_rest(capsys):
    short, long = (
        set(re.findall(r"│ (--[a-z0-9-]+)", called(capsys, "run", word)[1])) for word in ("-h", "--help-all")
    )
    group = typer.main.get_command(app.app)
    options = {name: {o for p in group.get_command(None, name).params for o in p.opts} for name in COMMANDS}
    assert len(short - {"--help"}) == 12
    paragraph = called(capsys, "run", "-h")[1].partition("Every kernel and repeat")[2].partition("Example")[0]
    lines = [line.rstrip() for line in paragraph.splitlines() if line.strip()]
    assert min(map(len, lines[:-1])) > 50, "no line is broken in mid sentence"
    assert {"--help", *(option for option in options["run"] if option.startswith("--"))} == long
    for command in ("list", "check", "run", "compare", "env", "show"):
        assert "--json" in options[command], f"{command} prints a table"


def test_list(capsys):
    status, as_json, err = called(capsys, "list", "--json")
    assert (status, err) == (0, "")
    as_table = called(capsys, "list")[1]
    answers = {answer["name"]: answer for answer in json.loads(as_json)}
    assert list(answers) == registry.usual()
    assert not set(registry.peers()) & set(answers), "asked for with --peers: their libraries are slow to import"
    for name, answer in answers.items():
        (line,) = [line for line in as_table.splitlines() if line.split()[:1] == [name]]
        cells = [answer["backend"], answer["device"], answer["version"] or "-"]
        verdict = "yes" if answer["available"] else f"no: {answer['reason']}"
        assert " ".join(line.split()[1:]).startswith(" ".join(cells))
        assert " ".join(verdict.split()) in " ".join(as_table.split())
    assert answers["numpy"]["available"]
    assert (answers["cupy"]["device"], answers["cupy"]["available"]) == ("cuda", answers["cupy"]["reason"] is None)


def test_check_shows_what_conforms(capsys):
    status, out, _ = called(capsys, "check", "numpy", "numpy-out")
    assert status == 0
    for name in ("numpy", "numpy-out"):
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert re.search(r"conforms +\d\.\de-\d\d +\d+\.\d% +0\.9\d\d\d +0\.9\d\d\d", line), line
    status, out, _ = called(capsys, "check", "numpy", "--spec", "20-10-3", "--json")
    found = json.loads(out)
    assert (status, found["spec"]["sizes"], found["data"]["name"]) == (0, [20, 10, 3], "random")
    (row,) = found["kernels"]
    assert (row["verdict"], row["accuracy"]["reason"]) == ("conforms", "random data have no labels")


def test_check_exits_1_where_a_kernel_is_wrong_and_checks_the_others(capsys, monkeypatch):
    classes = {"wrong": SoftmaxDropped, "broken": ConstructorRaises, "absent": AbsentKernel, "numpy": NumpyKernel}
    monkeypatch.setattr(registry, "names", lambda: list(classes))
    monkeypatch.setattr(registry, "module", lambda name: classes[name].__module__)
    monkeypatch.setattr(registry, "load", classes.__getitem__)
    # Processes of their own would not know them.
    monkeypatch.setattr(verdict, "ask", lambda options, name: verdict.here(Workload(options), name))
    status, out, _ = called(capsys, "check", "--spec", "20-10-3", "--json")
    assert status == 1
    rows = {row["kernel"]: row for row in json.loads(out)["kernels"]}
    assert [row["verdict"] for row in rows.values()] == ["non-conforming", "non-conforming", "unavailable", "conforms"]
    assert "off by" in rows["wrong"]["reason"]
    line = next(n for n, text in enumerate(DOUBLES.read_text().splitlines(), 1) if "no memory on the device" in text)
    assert rows["broken"]["reason"] == f"RuntimeError: no memory on the device (doubles.py, line {line})"
    assert called(capsys, "check", "broken", "--spec", "20-10-3")[2] == ""
    traceback = called(capsys, "check", "broken", "--spec", "20-10-3", "--traceback")[2]
    assert f'{DOUBLES}", line {line}, in __init__' in traceback
    assert "doubles" not in rows["wrong"]["reason"], "that one raised nothing"
    _, out, _ = called(capsys, "check", "--spec", "20-10-3")
    assert "unavailable: no driver [/bold] :x: of this kind" in out, "a reason is no markup"
    # What cannot run here is left out, unless it is named.
    del classes["wrong"], classes["broken"]
    assert called(capsys, "check", "--spec", "20-10-3")[0] == 0
    status, out, err = called(capsys, "check", "absent", "--spec", "20-10-3")
    assert (status, out) == (2, "")
    assert err.startswith("mlpbench: absent is unavailable: no driver")


def test_env(capsys):
    status, out, err = called(capsys, "env", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert [pool["user_api"] for pool in found["blas"]], "BLAS and its threads"
    status, out, err = called(capsys, "env")
    assert status == 0
    for words in (found["machine"]["cpu_model"], found["python"]["version"], "blas 0 num_threads", "gpu available"):
        assert words in out
    assert all(line.startswith("warning: ") for line in err.splitlines())


def test_report_is_of_the_latest_run_by_default_in_every_format_to_stdout_and_to_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skipped = [{"kernel": "cupy", "reason": "no CUDA driver"}]
    older = simulate.write_run(tmp_path / "results", TIMES, skipped=skipped).name
    newest = simulate.write_run(tmp_path / "results", TIMES, seed=9)
    assert newest.name in called(capsys, "report")[1]
    for words, names in (((older,), {older}), ((older, newest), {older, newest.name})):
        status, out, err = called(capsys, "report", *words)
        assert (status, err, {name for name in (older, newest.name) if name in out}) == (0, "", names)
    assert "no CUDA driver" in called(capsys, "report", older)[1], "skipped kernels with their reasons"
    for name, beginning in {"md": "# ", "csv": "run,", "json": "{", "html": "<!doctype html>"}.items():
        status, out, err = called(capsys, "report", "--format", name)
        assert (status, err, out.lower().startswith(beginning)) == (0, "", True)
        file = tmp_path / f"made.{name.upper()}"
        assert called(capsys, "report", "-o", file) == (0, "", f"wrote {file}\n")
        assert file.read_text(encoding="utf-8").rstrip("\n") == out.rstrip("\n")
    called(capsys, "report", "--format", "csv", "-o", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text().startswith("run,")
