"""The settings file of a team: what it may say, what wins over it, and what a shell completes."""

import inspect
import json
import re
import sys

import pytest
import typer

from mlpbench.bench.cli import app, options
from mlpbench.bench.record import runs
from support import processes, simulate
from support.terminal import called, complaint

GROUP = typer.main.get_command(app.app)
TEAM = """
threads = 1
results = "perf"

[run]
profile = "smoke"
kernels = ["numpy", "numpy-out"]
batch-size = [1, 10]
spec = "20-10-3"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return a repository's folder, where commands are typed."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    processes.probed_at_once(monkeypatch)
    return tmp_path


def from_file(capsys, *words):
    """Return the options that a dry run takes from the file: value by place."""
    status, _, err = called(capsys, *words, "--dry-run")
    assert status == 0, err
    return dict(re.findall(r"^(\S+toml: \S+) = (.*)$", err, re.MULTILINE))


def test_the_command_line_wins_over_the_file_and_the_file_over_the_default(capsys, here):
    (here / "mlpbench.toml").write_text(TEAM)
    assert from_file(capsys, "run", "--batch-size", 100) == {
        "mlpbench.toml: run.kernels": "numpy, numpy-out",
        "mlpbench.toml: run.profile": "smoke",
        "mlpbench.toml: threads": "1",
        "mlpbench.toml: run.spec": "20-10-3",
        "mlpbench.toml: results": "perf",
    }
    assert from_file(capsys, "--no-settings", "run", "numpy") == {}
    for text, words in (("repeats = 5", "--budget=5m"), ("budget = '5m'", "--repeats=3")):  # rules out its rival
        (here / "mlpbench.toml").write_text(f"[run]\n{text}\n")
        assert from_file(capsys, "run", "numpy", words) == {}
    (here / "mlpbench.toml").unlink()
    (here / "pyproject.toml").write_text('[tool.other]\nrun = 1\n[tool.mlpbench.run]\nprofile = "smoke"\n')
    assert from_file(capsys, "run", "numpy") == {"pyproject.toml: tool.mlpbench.run.profile": "smoke"}
    (here / "mlpbench.toml").write_text('[run]\nprofile = "full"\n')
    assert from_file(capsys, "run", "numpy") == {"mlpbench.toml: run.profile": "full"}, "which goes first"


def test_a_file_counts_in_the_folders_below_it_as_far_as_the_repository(capsys, here, monkeypatch):
    (here / "mlpbench.toml").write_text(TEAM)
    deep = here / "src" / "package"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    found = from_file(capsys, "run")
    assert found["../../mlpbench.toml: results"] == "../../perf", "a path is meant from where the file is"
    (here / "src" / ".git").mkdir()
    assert from_file(capsys, "run", "numpy") == {}


def test_a_path_is_meant_from_where_the_file_is_whatever_command_takes_it(here, monkeypatch):
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    takers = [(name, option) for name in app.COMMANDS for option in options.takers(GROUP, name).items()]
    types = {name: inspect.signature(GROUP.get_command(None, name).callback, eval_str=True) for name, _ in takers}
    paths = [(name, *at) for name, at in takers if "pathlib" in str(types[name].parameters[at[1].name].annotation)]
    assert len(paths) > 10
    for name, key, taker in paths:
        (here / "mlpbench.toml").write_text(f'[{name}]\n{key} = "a/b"\n')
        assert options.settings_of(GROUP, name)[taker.name][0] in ("../a/b", ["../a/b"]), (name, key)


def test_texts_numbers_flags_and_lists_are_read_as_if_they_were_typed(here):
    (here / "mlpbench.toml").write_text("[run]\npeers = true\nrepeats = 5\nthreads = 1\nbatch-size = [1, 10]\n")
    typed = {option: value for option, (value, _) in options.settings_of(GROUP, "run").items()}
    assert typed == {"peers": True, "repeats": "5", "threads": ["1"], "batch_size": ["1", "10"]}


def test_a_settings_file_is_code_unless_it_is_not_read(capsys, tmp_path, monkeypatch):
    """As docs/ci.md and SECURITY.md say."""
    monkeypatch.chdir(here := tmp_path)
    (here / "mine.py").write_text("from pathlib import Path\nPath('ran').touch()\nfast = len\n")
    (here / "mlpbench.toml").write_text('[list]\nkernels = ["./mine.py:fast"]\n')
    assert called(capsys, "--no-settings", "list", "numpy")[0] == 0
    assert not (here / "ran").exists()
    assert called(capsys, "list")[0] == 0
    assert (here / "ran").exists()


def test_what_a_run_took_from_the_file_is_recorded_and_env_shows_it(capsys, here, monkeypatch):
    assert json.loads(called(capsys, "env", "--json")[1])["settings"] is None
    processes.measured(monkeypatch, lambda plan, at, case: 1e-6)
    monkeypatch.setitem(sys.modules, "vl_convert", None)  # pages take their time
    (here / "mlpbench.toml").write_text(TEAM)
    assert called(capsys, "run", "numpy")[0] == 0
    (folder,) = (here / "perf").glob("*/*")
    plan = runs.read_run(folder).plan
    assert plan.command == ("mlpbench", "run", "numpy")
    taken = ("run.batch-size", "results", "run.profile", "run.spec", "threads")
    assert plan.options_from_file.keys() == {f"mlpbench.toml: {key}" for key in taken}
    assert plan.options_from_file["mlpbench.toml: run.batch-size"] == "1, 10"
    with (here / "mlpbench.toml").open("a") as file:
        file.write('[report]\noutput = "page.md"\n')
    assert called(capsys, "report") == (0, "", "wrote page.md\n"), "which finds the results where the file says"
    assert "per sample" in (here / "page.md").read_text()
    found = json.loads(called(capsys, "env", "--json")[1])["settings"]
    assert (found["file"], found["options"]["run.batch-size"]) == ("mlpbench.toml", "1, 10")
    lines = [line.split() for line in called(capsys, "env")[1].splitlines()]
    assert ["settings", "mlpbench.toml:", "run.profile", "smoke"] in lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('profil = "full"', "profil: there is no such option or command (did you mean profile?)"),
        ("[runn]\na = 1", "runn: there is no such option or command"),
        ("[run]\nbatchsize = 1", "run.batchsize: there is no such option or command (did you mean batch-size?)"),
        ("[run]\ndry-run = true", "run.dry-run: there is no such option"),
        ("[run]\nresume = 'latest'", "run.resume: there is no such option"),
        ('[run]\nprofile = "smok"', "run.profile: unknown profile 'smok' (did you mean smoke?)"),
        ('data = "mnisty"', "data: unknown data 'mnisty' (did you mean mnist?)"),
        ('spec = "20-10-3:relo"', "spec: hidden must be one of sigmoid, relu, step"),
        ("[run]\nrepeats = 0", "run.repeats: cannot read the repeats '0'"),
        ("[run]\nrepeats = [1, 2]", "run.repeats: expected one text or number, got [1, 2]"),
        ("[run]\nrepeats = {a = 1}", "run.repeats: expected one text or number"),
        ("[run]\nthreads = [1, true]", "run.threads: expected texts or numbers, got [1, True]"),
        ("[run]\nthreads = []", "run.threads: expected texts or numbers, got []"),
        ("threads = true", "threads: expected texts or numbers, got True"),
        ("peers = 1", "peers: expected true or false, got 1"),
        ('"profile\\nx" = 1', "profile x: there is no such option or command"),
        ("a =", "not valid TOML: "),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_line_with_its_key(capsys, here, text, said):
    (here / "mlpbench.toml").write_text(text)
    assert complaint(*called(capsys, "run", "numpy", "--dry-run")).startswith(f"mlpbench.toml: {said}")
    assert called(capsys, "list", "--help")[0] == 0, "whoever asks for help is not told"


def test_another_command_has_its_own_options_and_a_file_may_be_no_table(capsys, here):
    (here / "mlpbench.toml").write_text('strict = true\n[compare]\nprofile = "full"')
    assert options.settings_of(GROUP, "run") == {}
    for path, text, said in (
        ("mlpbench.toml", "[compare]\nprofile = 'full'", "mlpbench.toml: compare.profile: there is no such option"),
        ("mlpbench.toml", "[compare]\nfail-if-slower = 5", "mlpbench.toml: compare.fail-if-slower: cannot read the th"),
        ("pyproject.toml", "[tool]\nmlpbench = 3", "pyproject.toml: tool.mlpbench: expected a table, got 3"),
        ("pyproject.toml", "[tool.mlpbench]\nprofile = '\xff'", "pyproject.toml: not valid TOML: "),
    ):
        (here / "mlpbench.toml").unlink(missing_ok=True)
        (here / path).write_bytes(text.encode("latin-1"))
        assert complaint(*called(capsys, "compare", "numpy", "numba")).startswith(said)


def test_a_shell_completes_commands_kernels_runs_and_profiles(capsys, monkeypatch, here):
    times = {("numpy", "per_sample", 100): 12e-6, ("numpy", "batched", 100): 1e-6}
    older, newer = (simulate.write_run(here / "results", times, seed=seed).name for seed in (0, 9))
    (here / "mlpbench.toml").write_text("results = \n")  # what is wrong with a file is told another time
    monkeypatch.setenv(app.COMPLETES, "complete_bash")
    for line, words in {
        "report ": ["latest", newer, older],
        "explain 2026": [newer, older],
        "compare lat": ["latest"],
        "compare latest numba-s": ["numba-simd"],
        "run --profile s": ["smoke"],
        "report --results elsewhere ": ["latest"],
        "expo": ["export"],
        "run numpy": ["numpy", "numpy-out"],
    }.items():
        monkeypatch.setenv("COMP_WORDS", f"mlpbench {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(f"{line}x".split())))
        _, out, err = called(capsys)
        assert (err, out.split()[: len(words)]) == ("", words)
