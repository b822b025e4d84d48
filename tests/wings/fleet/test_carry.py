"""One plan on many workers: what is fetched, what is told, and what a second start runs."""

import threading

import pytest

from mlpbench import __version__
from mlpbench.bench.record import runs
from mlpbench.bench.wings.fleet import carry
from mlpbench.bench.wings.fleet.worker import Answer, WorkerLost
from support import simulate
from support.terminal import contents, refusal

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
RECORDS = "*/*/*.json"


class Pretended:
    """A transport to workers that write simulated runs; it counts how many run at once on a host."""

    def __init__(self, folder, hosts):
        self.folder, self.hosts = folder, hosts
        self.workers = list(hosts)
        self.asked, self.at_once, self.most = [], {}, {}
        self.spoil = {}
        self.versions = {}
        self.lock = threading.Lock()

    def ask(self, name, request, tell):
        host, version = self.hosts[name], self.versions.get(name, __version__)
        if self.spoil.get(name) == "gone":
            raise WorkerLost("connection refused")
        if not request.words:
            return Answer("testbox", host, version)
        with self.lock:
            self.asked.append((name, request))
            self.at_once[host] = self.at_once.get(host, 0) + 1
            self.most[host] = max(self.most.get(host, 0), self.at_once[host])
        tell("numpy 1/1")
        try:
            return self._answer(name)
        finally:
            with self.lock:
                self.at_once[host] -= 1

    def _answer(self, name):
        how = self.spoil.get(name)
        if how == "dies":
            raise WorkerLost("its process died")
        if how == "refuses":
            return Answer("testbox", None, "1", 2, ("mlpbench: no kernel 'nunpy'", ""))
        environment = simulate.environment(machine={"name": "testbox", "host": (self.hosts[name] * 12)[:12]})
        results = self.folder / name
        if not results.exists():
            simulate.write_run(results, TIMES, seed=self.workers.index(name), environment=environment)
        files = {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*.json")}
        return Answer("testbox", None, "1", files=files | how if isinstance(how, dict) else files)


@pytest.fixture
def four(tmp_path):
    return Pretended(tmp_path / "there", {"a": "x", "b": "x", "c": "y", "d": "z"})


def run(transport, results, told=None):
    told = [] if told is None else told
    return carry.carry_out(transport, ("numpy",), results, lambda worker, line: told.append(f"{worker}: {line}"))


def test_every_worker_runs_the_plan_and_its_results_arrive_to_the_byte(four, tmp_path):
    results = tmp_path / "results"
    workers = run(four, results)
    assert [bool(entry.runs) for entry in workers] == [True] * 4
    sent = [contents(four.folder / name, RECORDS) for name in four.workers]
    assert contents(results, RECORDS) == {name: content for files in sent for name, content in files.items()}
    assert {request.words for _, request in four.asked} == {("numpy",)}
    assert len({request.suffix for _, request in four.asked}) == 4, "runs that start in one second have two names"
    assert four.most == {"x": 1, "y": 1, "z": 1}, "one process at a time on each host"
    assert [run.machine for entry in workers for run in runs.read_runs(results / entry.runs[0])] == ["testbox"] * 4


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "not reached: connection refused"),
        ("dies", "lost: its process died"),
        ("refuses", "the run ended with exit status 2: mlpbench: no kernel 'nunpy'"),
        ({"testbox/20261124T120000Z-0123abcd/run.json": b"\x1b[31m"}, "run.json: not JSON"),
    ],
)
def test_a_worker_that_is_lost_is_named_and_the_others_complete(four, tmp_path, how, said):
    results = tmp_path / "results"
    four.spoil["a"] = how
    workers = run(four, results, told := [])
    assert [bool(entry.runs) for entry in workers] == [False, True, True, True]
    assert said in workers[0].problem
    assert any(line.startswith("a: ") and said in line for line in told)
    assert len(list(results.glob("*/*/run.json"))) == 3


@pytest.mark.parametrize(
    "name",
    [
        "../../outside.json",
        "/tmp/outside.json",
        "testbox/../x/outside.json",
        "testbox/look.json",
        "otherbox/20261124T120000Z-0123abcd/run.json",
        "testbox/a/b/c/d.json",
        "testbox/a/\0.json",
        "testbox/a/.json",
        f"testbox/{'a' * 300}/run.json",
        "testbox",
        "",
    ],
)
def test_a_worker_sends_files_of_its_own_run_alone_and_is_lost_otherwise(four, tmp_path, name):
    results = tmp_path / "results"
    four.spoil["a"] = {name: b"{}"}
    workers = run(four, results)
    assert workers[0].problem.startswith(f"its results were not taken: {name!r} is no file of a run of testbox")
    assert [bool(entry.runs) for entry in workers] == [False, True, True, True]
    assert not [*tmp_path.rglob("outside.json"), *results.rglob("look.json")]


def test_what_a_worker_says_of_itself_is_one_clean_line(four, tmp_path):
    four.versions["a"] = "\x1b[31m9\n" * 10_000
    four.versions["c"] = "0.9"
    workers = run(four, tmp_path / "results", told := [])
    assert workers[0].problem.startswith("it has mlpbench 9 9 9")
    assert workers[2].problem == f"it has mlpbench 0.9, and not {__version__}: install that there"
    assert {name for name, _ in four.asked} == {"b", "d"}, "a worker of another version takes no part"
    assert not any("\x1b" in line or "\n" in line for line in told)


def test_without_workers_there_is_no_fleet(four, tmp_path):
    four.workers = []
    assert "there are no workers" in refusal(run, four, tmp_path)
