"""A fleet for real: workers of Dask in processes of their own, and a host that sshd lets in."""

import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.record import runs
from support.processes import wait_until
from support.terminal import typed, variables

pytestmark = pytest.mark.heavy

#: One kernel, two cases, one process: some seconds.
TINY = ("numpy", "--profile", "smoke", "--batch-size", "1", "--repeats", "1")


@pytest.fixture
def cluster(tmp_path, quicker):
    """Start a scheduler and two workers, as a cluster has them; return its address and what starts one more."""
    pytest.importorskip("distributed", reason="distributed is not installed")
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


def test_workers_of_dask_one_of_which_dies(cluster, tmp_path, quicker):
    """The one that dies is named, the other completes."""
    address, worker = cluster
    worker(), worker()
    results = tmp_path / "results"
    wait_until(lambda: len(_workers(address)) == 2, "two workers")
    command = [sys.executable, "-m", "mlpbench", "fleet", "--dask", address, "--results", str(results), *TINY]
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


@pytest.fixture
def sshd(tmp_path):
    """Start an sshd on the loopback address that lets one key in; return its port, the key and its known hosts."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if server is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'host.pub').read_text()}")
    (tmp_path / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nAuthorizedKeysFile {tmp_path}/authorized\n"
        "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (tmp_path / "sshd.log").open("w") as log:
        process = subprocess.Popen([server, "-D", "-e", "-f", tmp_path / "config"], stderr=log)
    wait_until(lambda: "listening" in (tmp_path / "sshd.log").read_text(), "sshd to listen")
    yield port
    process.kill()
    process.wait()


def test_a_host_by_ssh_and_one_that_does_not_answer(sshd, tmp_path, quicker):
    results, python = tmp_path / "results", tmp_path / "python"
    # What the host's environment sets up at a login is not this test's.
    python.write_text(f"#!/bin/sh\nexport PYTHONPATH='{quicker}'\nexec {sys.executable} \"$@\"\n")
    python.chmod(0o755)
    # The user's own configuration of ssh, which no test can put where ssh looks for it.
    (tmp_path / "ssh_config").write_text(
        f"Host *\nUser {getpass.getuser()}\nIdentityFile {tmp_path}/user\nUserKnownHostsFile {tmp_path}/known\n"
        f"HostName 127.0.0.1\nHost gone\nPort 1\nHost *\nPort {sshd}\n"
    )
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/ssh_config "$@"\n')
    program.chmod(0o755)
    (tmp_path / "hosts.toml").write_text(
        f'[hosts.here]\naddress = "epyc"\npython = "{python}"\n'
        '[hosts.bare]\naddress = "epyc"\npython = "/nowhere/python"\n[hosts.gone]\naddress = "gone"\n'
    )
    variables = {"PYTHONPATH": quicker, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    ran = typed("fleet", "--ssh", "hosts.toml", "--results", results, *TINY, cwd=tmp_path, **variables)
    assert ran.returncode == 1, ran.stderr
    assert "here: numpy 1/1: " in ran.stderr, "what a run says is told while it runs"
    assert "gone has no results: not reached: gone: " in ran.stderr
    assert "bare has no results: not reached: " in ran.stderr
    (run,) = runs.find_runs(results)
    assert runs.read_run(run).records[0].kernel == "numpy"
    assert "Traceback" not in ran.stderr
