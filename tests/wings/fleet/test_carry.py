"""One plan on many workers: what is fetched, what is told, and what a second start runs."""

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.wings.fleet import carry
from mlpbench.bench.wings.fleet.worker import Answer, WorkerLost
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


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
        host, version = self.hosts[name], self.versions.get(name, "1")
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
def told():
    return []


@pytest.fixture
def teller(told):
    return lambda worker, line: told.append(f"{worker}: {line}")


@pytest.fixture
def four(tmp_path):
    return Pretended(tmp_path / "there", {"a": "x", "b": "x", "c": "y", "d": "z"})


def run(transport, results, teller, words=("numpy",)):
    head = carry.FleetHead(fleet="20261126T000000Z", words=words, version="1", workers=carry.entries_of(transport))
    return carry.carry_out(transport, head, results, teller)


def resumed(transport, results):
    """Return the head of the newest fleet as it goes on."""
    head = carry.newest(results)
    return replace(head, workers=carry.entries_of(transport, head.workers))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.json") if path.parent != folder}


def test_every_worker_runs_the_plan_and_its_results_arrive_to_the_byte(four, tmp_path, teller):
    results = tmp_path / "results"
    head = run(four, results, teller)
    assert [entry.done for entry in head.workers] == [True] * 4
    assert contents(results) == {
        key: value for name in four.workers for key, value in contents(four.folder / name).items()
    }
    assert {request.words for _, request in four.asked} == {("numpy",)}
    assert len({request.suffix for _, request in four.asked}) == 4, "runs that start in one second have two names"
    assert len({request.folder for _, request in four.asked}) == 4
    assert four.most == {"x": 1, "y": 1, "z": 1}, "one process at a time on each host"
    assert carry.newest(results) == head
    assert [run.machine for entry in head.workers for run in runs.read_runs(results / entry.runs[0])] == ["testbox"] * 4


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("gone", "not reached: connection refused"),
        ("dies", "lost: its process died"),
        ("refuses", "the run ended with exit status 2: mlpbench: no kernel 'nunpy'"),
        ({"testbox/20261124T120000Z-0123abcd/run.json": b"\x1b[31m"}, "run.json: not JSON"),
    ],
)
def test_a_worker_that_is_lost_is_named_and_the_others_complete(four, tmp_path, teller, told, how, said):
    results = tmp_path / "results"
    four.spoil["a"] = how
    head = run(four, results, teller)
    assert [entry.done for entry in head.workers] == [False, True, True, True]
    assert said in head.workers[0].problem
    assert any(line.startswith("a: ") and said in line for line in told)
    four.asked.clear()
    four.spoil.clear()
    again = carry.carry_out(four, resumed(four, results), results, teller)
    assert [name for name, _ in four.asked] == ["a"], "only what is missing runs"
    assert all(entry.done for entry in again.workers)
    assert len(list(results.glob("*/*/run.json"))) == 4


@pytest.mark.parametrize(
    "name",
    [
        "../../outside.json",
        "/tmp/outside.json",
        "testbox/../x/outside.json",
        "testbox/calibration.json",
        "otherbox/20261124T120000Z-0123abcd/run.json",
        "testbox/a/b/c/d.json",
        "testbox/a/\0.json",
        "testbox/a/.json",
        f"testbox/{'a' * 300}/run.json",
        "testbox",
        "",
    ],
)
def test_a_worker_sends_files_of_its_own_run_alone_and_is_lost_otherwise(four, tmp_path, teller, name):
    results = tmp_path / "results"
    four.spoil["a"] = {name: b"{}"}
    head = run(four, results, teller)
    assert head.workers[0].problem.startswith(f"its results were not taken: {name!r} is no file of a run of testbox")
    assert [entry.done for entry in head.workers] == [False, True, True, True]
    assert not [*tmp_path.rglob("outside.json"), *results.rglob("calibration.json")]
    assert carry.newest(results) == head


def test_what_a_worker_says_of_itself_fits_into_the_file_of_the_fleet(four, tmp_path, teller, told):
    four.versions["a"] = "\x1b[31m9\n" * 10_000
    four.versions["c"] = "0.9"
    head = run(four, tmp_path / "results", teller)
    assert head.workers[0].problem.startswith("it has mlpbench 9 9 9")
    assert head.workers[2].problem == "it has mlpbench 0.9, and not 1: install that there"
    assert {name for name, _ in four.asked} == {"b", "d"}, "a worker of another version takes no part"
    assert not any("\x1b" in line or "\n" in line for line in told)
    assert carry.newest(tmp_path / "results") == head


def test_a_cluster_whose_workers_have_new_addresses_goes_on(four, tmp_path, teller):
    results = tmp_path / "results"
    four.spoil["a"] = "dies"
    run(four, results, teller)
    four.workers, four.hosts["e"] = ["b", "c", "d", "e"], "x"
    head = resumed(four, results)
    assert [(entry.name, entry.done) for entry in head.workers] == [("b", True), ("c", True), ("d", True), ("e", False)]


def test_what_cannot_be_a_fleet_is_refused(four, tmp_path):
    with pytest.raises(UserError, match="no fleet in"):
        carry.newest(tmp_path)
    four.workers = []
    with pytest.raises(UserError, match="there are no workers"):
        carry.entries_of(four)
    Path(tmp_path / "fleet-20261127T000000Z.json").write_text("{")
    with pytest.raises(UserError, match=r"fleet-20261127T000000Z\.json"):
        carry.newest(tmp_path)
