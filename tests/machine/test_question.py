"""A question to a fresh interpreter, and every way in which it stays without an answer."""

import sys
from pathlib import Path

import pytest

from mlpbench.bench.machine import binding, question
from mlpbench.bench.machine.variables import INDUCTOR_CACHE, THREAD_VARIABLES
from support.processes import interpreter, over_when_heard


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Ask a stand-in for the interpreter, which runs ``body``."""

    def asked(body, timeout_s=300.0, **options):
        monkeypatch.setattr(question.sys, "executable", interpreter(tmp_path, body))
        return question.ask("some.module", {"a": [1]}, timeout_s=timeout_s, **options)

    return asked


def test_the_last_line_is_the_answer(ask):
    answer = ask('print("a library greets"); print(json.dumps({"words": words}))')
    assert answer.found == {"words": ["-P", "-m", "some.module", '{"a": [1]}']}
    assert answer.reason is None
    assert answer.printed.startswith("a library greets\n")


@pytest.mark.parametrize("threads", [None, 3])
def test_the_process_has_our_environment_and_what_is_said(ask, monkeypatch, threads):
    monkeypatch.setenv("MLPBENCH_TEST", "kept")
    found = ask("print(json.dumps(dict(os.environ)))", threads=threads, variables={"CACHE": "empty"}).found
    assert (found["MLPBENCH_TEST"], found["CACHE"]) == ("kept", "empty")
    if threads:
        assert {found[name] for name in THREAD_VARIABLES} == {"3"}


def test_the_process_has_a_folder_for_temporary_files_that_goes_with_it(ask, tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.delenv(INDUCTOR_CACHE, raising=False)
    found = ask('open(os.environ["TMPDIR"] + "/more", "w").close(); print(json.dumps(dict(os.environ)))').found
    assert Path(found["TMPDIR"]).parent == temporary
    assert Path(found[INDUCTOR_CACHE]).parent == temporary, "compiled code is not compiled again"
    assert list(temporary.iterdir()) == []


def test_compiled_code_lies_where_a_variable_says(ask, monkeypatch):
    monkeypatch.setenv(INDUCTOR_CACHE, "mine")
    assert ask("print(json.dumps(dict(os.environ)))").found[INDUCTOR_CACHE] == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bind no processes")
def test_the_process_is_bound(ask):
    chosen = binding.choose(1)
    answer = ask("print(json.dumps({'on': sorted(os.sched_getaffinity(0))}))", binding=chosen)
    assert answer.found == {"on": list(chosen.processors)}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "ended with 0: it gave no answer"),
        ("print('[1]')", "ended with 0: it gave no answer"),
        ("print('{\"a\":' + 100_000 * '[')", "ended with 0: it gave no answer"),
        ("sys.stdout.buffer.write(b'{\\xff\\xfe')", "ended with 0: it gave no answer"),
        ("print('{}'); sys.exit(3)", "ended with 3: it gave no answer"),
        ("sys.exit('first line\\nlast line\\n')", "ended with 1: last line"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "died of SIGKILL: it gave no answer"),
    ],
)
def test_without_an_answer_there_is_a_reason(ask, body, reason):
    answer = ask(body)
    assert answer.found is None
    assert answer.reason == f"the process {reason}"


def test_one_that_takes_too_long_gives_no_answer(ask, monkeypatch):
    over_when_heard(monkeypatch)
    answer = ask("print('so far', flush=True); time.sleep(60)", timeout_s=50)
    assert (answer.found, answer.reason) == (None, "the process was stopped after 50 s")
    assert answer.printed == "so far\n"


def test_the_process_finds_the_question_and_its_answer_has_a_line_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["some.module", '{"a": [1]}'])
    sys.stdout.write("a library greets")
    question.tell(question.question())
    assert capsys.readouterr().out.splitlines() == ["a library greets", '{"a": [1]}']
