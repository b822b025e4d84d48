"""Somebody's suite in two environments: in turns, in fresh processes, and what is told where it cannot be timed."""

import json
from pathlib import Path

import pytest

from mlpbench.bench.errors import NothingComparable, UserError
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record import runs
from mlpbench.bench.wings.versions import suites
from mlpbench.bench.wings.versions.environments import Made
from mlpbench.bench.wings.versions.versions import Version
from support import venvs
from support.processes import interpreter
from support.terminal import git, repository, typed

#: A stand-in for pytest: it writes the file that pytest-benchmark writes, and where and when it did.
PYTEST = """
import datetime
folder, factor = os.getcwd(), {factor}
path = next(word.partition("=")[2] for word in sys.argv if word.startswith("--benchmark-json="))
with open({log!r}, "a") as log:
    log.write(f"{name} {{os.path.basename(folder)}} {{sys.argv[3]}}\\n")
turn = int(path.split(".")[-2])
level = 1e-3 * (1 + turn % 3) * (1 + (turn * 7 % 5) / 500)
times = {{"a": level, "b[1]": level * factor}}
what = {what!r}
if what == "fails":
    sys.exit("FAILED test_a.py::test_a - assert 0\\n1 failed")
if what != "nothing":
    benchmarks = [{{"name": what + key, "stats": {{"min": value}}}} for key, value in times.items()]
    with open(path, "w") as file:
        json.dump({{"benchmarks": benchmarks, "datetime": datetime.datetime.now().isoformat()}}, file)
"""


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Return what measures a stand-in of a suite on both sides."""
    monkeypatch.chdir(tmp_path)

    def measured(factor=1.0, what="", old_what="", **request):
        made = []
        for name, of_side, says in (("one-1", 1.0, old_what), ("two-2", factor, what)):
            (folder := tmp_path / name).mkdir(exist_ok=True)
            body = PYTEST.format(factor=of_side, log=str(tmp_path / "log"), name=name, what=says)
            made.append(Made(Version(name, commit=name), name, interpreter(folder, body), folder))
        return suites.measure(made, ["tests", "-k", "x"], Request(results=Path("results"), **request), None)

    return measured


def test_sides_take_turns_in_fresh_processes_and_a_slowdown_is_found(measure, tmp_path, capsys):
    found = measure(1.1, repeats=6)
    assert {row.kernels: row.verdict for row in found.rows} == {"a": "not slower", "b[1]": "slower"}
    assert (found.paired, found.baseline, found.candidate, found.rows[0].speedup.n) == (True, "one-1", "two-2", 6)
    ran = (tmp_path / "log").read_text().splitlines()
    pair = ["one-1 one-1 tests", "two-2 two-2 tests"]
    assert ran == [line for turn in range(6) for line in (pair[::-1] if turn % 2 else pair)]
    (folder,) = Path("results").iterdir()
    assert f"what is measured goes to {folder}\n" in capsys.readouterr().err
    assert {path.name for path in folder.glob("*.json")} == {
        f"{side}.{n}.json" for side in suites.SIDES for n in range(1, 7)
    }
    assert "two-2 is slower than one-1 in 1 of 2 cases" in (folder / "report.md").read_text()
    assert runs.find_runs(Path("results")) == [], "its folder is in no list of runs"


def test_without_a_number_the_budget_decides_and_three_pairs_are_the_least(measure):
    assert measure(budget_s=0.001).rows[0].speedup.n == 3


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("fails", UserError, r"two-2, commit two-2: pytest: FAILED test_a.py::test_a - assert 0$"),
        ("nothing", UserError, r"two-2, commit two-2: pytest: no benchmark in tests -k x$"),
        ("other", NothingComparable, "no benchmark in common"),
    ],
)
def test_a_suite_that_cannot_be_timed_ends_with_a_line_and_keeps_what_there_is(measure, what, error, said):
    with pytest.raises(error, match=said):
        measure(what=what)
    assert [json.loads(path.read_text())["benchmarks"][0]["name"] for path in Path("results").glob("*/old.1.json")] == [
        "a"
    ]


@pytest.mark.heavy
def test_the_suite_of_two_commits_is_run_where_each_lies(tmp_path):
    test = "import mine\n\ndef test_call(benchmark):\n    assert benchmark(mine.call) >= 0\n"
    project = {"pyproject.toml": '[project]\nname = "mine"\nversion = "1"\n[project.kernels]\n', "test_call.py": test}
    commits = ({"mine.py": f"def call():\n    return sum(range({count}))\n"} for count in (1000, 3000))
    folder = repository(tmp_path / "mine", project, *commits)
    words = ("ab", "main~1", "main", "--pytest", "test_call.py --benchmark-max-time=0.1", "--repeats", "5")
    path = venvs.offer_uv(tmp_path / "tools")
    ran = typed(*words, "--results", tmp_path / "results", cwd=folder, PATH=path, PYTHONPATH=None)
    assert (ran.returncode, "Traceback" in ran.stderr) == (1, False), ran.stderr
    assert " is slower than main-1-" in ran.stdout.splitlines()[-1]
    assert git(folder, "worktree", "list").count("\n") == 0
    assert git(folder, "status", "--porcelain") == ""
    assert len([*tmp_path.glob("results/ab-*/report.md")]) == 1
