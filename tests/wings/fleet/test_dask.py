"""Clusters of Dask: a real one, and one whose workers and scheduler send what is no answer: none of it is run."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.wings.fleet import dask
from support.processes import wait_until
from support.terminal import refusal, typed, variables

pytest.importorskip("distributed", reason="distributed is not installed")

#: A cluster of strangers in a process of its own: what they send leaves a file, with its number as a name, in the
#: folder of each process that unpickles it. The workers answer as their names say.
STRANGERS = """
import asyncio, json, os, pathlib, pickle, sys
from distributed import Scheduler, Worker
from distributed.core import Server, error_message
from distributed.protocol.serialize import Serialized, ToPickle, to_serialize
from mlpbench.bench.wings.fleet import worker as ours

folder = pathlib.Path(sys.argv[1])

class Evil(Exception):
    def __reduce__(self):
        return exec, (f"import os, pathlib; pathlib.Path({str(folder / 'owned')!r}, str(os.getpid())).touch()",)

evil = pickle.dumps(Evil())
fine = {"status": "OK"}
of_a_type = {"serializer": "dask", "type": "bytes", "type-serialized": evil, "sub-header": {}}
answers = {
    "object": lambda: fine | {"result": to_serialize(Evil())},
    "raises": lambda: error_message(Evil("this")),
    "bytes": lambda: fine | {"result": to_serialize(b"no msgpack")},
    "number": lambda: fine | {"result": to_serialize(7)},
    "pickled": lambda: fine | {"result": Serialized({"serializer": "pickle", "writeable": ()}, [evil])},
    "typed": lambda: fine | {"result": Serialized(of_a_type, [b""])},
    "erred": lambda: {"status": "error", "exception": evil, "traceback": evil, "exception_text": "\x1b[31mred"},
    "silent": lambda: ["OK"],
}

async def main():
    options = {"dashboard": False, "host": "127.0.0.1", "port": 0}
    async with Scheduler(**options) as scheduler:
        workers = {}
        for name, answer in answers.items():
            workers[name] = await Worker(scheduler.address, name=name, host="127.0.0.1", dashboard=False)
            workers[name].handlers["run"] = lambda comm=None, answer=answer, **_: answer()
        async with Server({"ncores": lambda: {"tcp://x:1": ToPickle(Evil())}}) as pickling:
            await pickling.listen("tcp://127.0.0.1:0")
            at = {name: worker.address for name, worker in workers.items()}
            (folder / "part").write_text(json.dumps([os.getpid(), scheduler.address, pickling.address, at]))
            (folder / "part").rename(folder / "addresses")
            await asyncio.sleep(600)

asyncio.run(main())
"""
#: By the name of a worker, what is told of it.
TOLD = {
    "object": "its answer is none of mlpbench's (TypeError: ",
    "raises": "Evil('this'); its log says more",
    "bytes": "its answer is none of mlpbench's (",
    "number": "its answer is none of mlpbench's (ValidationError: Expected `bytes`, got `int`",
    "pickled": "its answer is none of mlpbench's (TypeError: Data serialized with pickle",
    "typed": "its answer is none of mlpbench's (TypeError: Data serialized with dask",
    "erred": "red; its log says more",
    "silent": "its answer is none of mlpbench's (ValidationError: Expected `object`, got `array`",
}


@pytest.fixture
def strangers(tmp_path):
    """Start the strangers; return the number of their process, two schedulers' addresses, and workers' by name."""
    (tmp_path / "owned").mkdir()
    command = [sys.executable, "-c", STRANGERS, tmp_path]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=variables(), cwd=tmp_path, stdout=log, stderr=log)
    wait_until((tmp_path / "addresses").exists, "the strangers to start")
    yield json.loads((tmp_path / "addresses").read_text())
    process.kill()
    process.wait()


def test_what_strangers_send_is_never_unpickled_and_is_told_in_one_line(strangers, tmp_path):
    number, scheduler, pickling, workers = strangers
    words = ("--results", tmp_path / "results", "numpy")
    ran = typed("fleet", "--dask", scheduler, *words, cwd=tmp_path)
    other = typed("fleet", "--dask", pickling, *words, cwd=tmp_path)
    # Dask unpickles an exception where it is raised, to see whether others can.
    assert {path.name for path in (tmp_path / "owned").iterdir()} == {str(number)}
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.count("\n") == 2 * len(workers), "one line when it is lost, and one at the end"
    told = dict(line.split(": not reached: ") for line in ran.stderr.splitlines()[: len(workers)])
    assert {name: told[address].startswith(TOLD[name]) for name, address in workers.items()} == dict.fromkeys(
        TOLD, True
    )
    assert (other.returncode, other.stdout, other.stderr.count("\n")) == (2, "", 1)
    assert f"no Dask scheduler answers at {pickling}: UnpicklingError: a pickle that asks for " in other.stderr


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1:1", "OSError: Timed out trying to connect"),
        ("nothing://x:1", "ValueError: unknown address scheme 'nothing'"),
        ("tls://127.0.0.1:1", "TypeError: TLS expects a `ssl_context`"),
    ],
)
def test_an_address_where_no_scheduler_answers_is_one_line(address, said, monkeypatch):
    monkeypatch.setattr(dask, "_CONNECT_S", 1)
    assert f"no Dask scheduler answers at {address}: {said}" in refusal(dask.Cluster, address)
    assert pickle.loads(pickle.dumps(Path)) is Path, "pickles of this process are read again"


#: One kernel, two cases, one process: some seconds.
RUN = ("numpy", "--profile", "smoke", "--batch-size", "1", "--repeats", "1")


@pytest.fixture
def cluster(tmp_path, quicker):
    """Start a scheduler and two workers, as a cluster has them; return its address and what starts one more."""
    started = []

    def start(*words):
        command = [sys.executable, "-m", *words]
        with (tmp_path / f"{len(started)}.log").open("w") as log:
            env = variables(PYTHONPATH=quicker)
            started.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log))
        return started[-1]

    start("distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", "scheduler.json")
    file = tmp_path / "scheduler.json"
    wait_until(lambda: file.exists() and file.stat().st_size, "the scheduler to start")
    address = json.loads(file.read_text())["address"]

    def worker():
        return start("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    yield address, worker
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.heavy
def test_workers_of_dask_one_of_which_dies(cluster, tmp_path, quicker):
    """The one that dies is named, the other completes."""
    address, worker = cluster
    worker(), worker()
    results = tmp_path / "results"
    wait_until(lambda: len(_workers(address)) == 2, "two workers")
    command = [sys.executable, "-m", "mlpbench", "fleet", "--dask", address, "--results", str(results), *RUN]
    pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command, env=variables(PYTHONPATH=quicker), **pipes)
    first = next(line for line in running.stderr if " starts on " in line).partition(": starts on")[0]
    os.kill(_workers(address)[first], signal.SIGKILL)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 1, err
    assert f"{first} has no results: lost: " in err
    (run,) = runs.find_runs(results)
    assert all(record.kernel == "numpy" for record in runs.read_run(run).records)
    assert list(results.glob("fleet-*.md"))


def _workers(address):
    """Return the process of each worker by its address."""
    import distributed

    with distributed.Client(address, set_as_default=False) as client:
        return client.run(os.getpid)
