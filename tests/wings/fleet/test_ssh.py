"""Hosts by SSH: what their list may say, what a stranger answers, and one that sshd lets in."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.wings.fleet import ssh
from mlpbench.bench.wings.fleet.ssh import Host
from mlpbench.bench.wings.fleet.worker import Request, WorkerLost
from support.processes import wait_until
from support.terminal import refusal, typed


def test_a_list_of_hosts(tmp_path):
    path = tmp_path / "hosts.toml"
    path.write_text(
        '[hosts.a]\naddress = "10.0.0.1"\n[hosts.b]\naddress = "me@b.example"\npython = "/opt/bin/python"\n'
    )
    assert ssh.read(path) == {"a": Host("10.0.0.1"), "b": Host("me@b.example", "/opt/bin/python")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hosts.a]\nadress = 'x'\n", "adress"),
        ("[hosts.a]\npython = 'x'\n", "address"),
        ("[hosts.a]\naddress = 22\n", "$.hosts[...].address"),
        ("[hosts]\n", "there are no hosts"),
        ("hosts = 3\n", "hosts"),
        ("[hosts.a\n", "hosts.toml"),
        ("", "hosts"),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path, text, said):
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    line = refusal(ssh.read, path)
    assert str(path) in line
    assert said in line
    assert "no such file" in refusal(ssh.read, tmp_path / "nowhere.toml")


#: Stands in for ssh: the interpreter of the host, the first word of the command, says what its worker does.
STRANGE = """#!/usr/bin/env python3
import sys
name = sys.argv[-1].split()[0]
out, err = sys.stdout.buffer, sys.stderr.buffer
if name == "speaks":
    err.write(b"\\x1b[31mno room\\n\\n")
elif name == "other":
    out.write(bytes.fromhex("82a76d616368696e65a42e2e2f78a776657273696f6e03"))
elif name == "nested":
    out.write(b"\\x81\\xa1x" + b"\\x91" * 100_000)
elif name == "endless":
    for _ in range(40):
        out.write(b"x" * 2**18)
elif name == "gone":
    err.write(b"ssh: connect to host 10.0.0.1 port 22: Connection refused\\n")
    sys.exit(255)
"""


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(STRANGE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    tables = "".join(f'[hosts.{name}]\npython = "{name}"\naddress = "10.0.0.1"\n' for name in SAID)
    (tmp_path / "hosts.toml").write_text(tables)
    return tmp_path / "hosts.toml"


_NOTHING = "there ended with exit status 0, and answered nothing that mlpbench knows"
#: By what a host does, what is told of it.
SAID = {
    "silent": f"silent {_NOTHING}",
    "speaks": "no room",
    "other": f"other {_NOTHING}",
    "nested": f"nested {_NOTHING}",
    "gone": "10.0.0.1: ssh: connect to host 10.0.0.1 port 22: Connection refused",
    "endless": "its answer is larger than 4 MiB",
}


@pytest.mark.parametrize("host", SAID)
def test_a_host_that_answers_nothing_too_much_or_something_else_is_lost_with_a_reason(hosts, monkeypatch, host):
    monkeypatch.setattr(ssh, "MAX_ANSWER", 4 * 2**20)
    said = refusal(ssh.Hosts(hosts).ask, host, Request(("numpy",), "x"), [].append, kind=WorkerLost)
    assert said == SAID[host]


def test_no_address_is_an_option_of_ssh(hosts, tmp_path):
    """What stands behind -- is a host, whatever it begins with; the interpreter may have blanks in its path."""
    (tmp_path / "bin" / "ssh").write_text(f"#!/bin/sh\nprintf '%s|' \"$@\" > {tmp_path}/typed\n")
    hosts.write_text("[hosts.a]\naddress = '-oProxyCommand=x'\npython = 'py 3'\n")
    refusal(ssh.Hosts(hosts).ask, "a", Request(), print, kind=WorkerLost)
    typed = (tmp_path / "typed").read_text()
    assert typed.endswith("|--|-oProxyCommand=x|'py 3' -m mlpbench.bench.wings.fleet.worker|")


def test_without_ssh_it_says_what_is_missing(hosts, monkeypatch):
    monkeypatch.setenv("PATH", str(hosts.parent))
    assert "need the program ssh" in refusal(ssh.Hosts, hosts)


#: One kernel, two cases, one process: some seconds.
RUN = ("numpy", "--profile", "smoke", "--batch-size", "1", "--repeats", "1")


@pytest.fixture
def sshd(tmp_path):
    """Start an sshd on the loopback address that lets one key in; return its port, the key and its known hosts."""
    server = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
    if server is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
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


@pytest.mark.heavy
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
    ran = typed("fleet", "--ssh", "hosts.toml", "--results", results, *RUN, cwd=tmp_path, **variables)
    assert ran.returncode == 1, ran.stderr
    assert "here: numpy 1/1: " in ran.stderr, "what a run says is told while it runs"
    assert "gone has no results: not reached: gone: " in ran.stderr
    assert "bare has no results: not reached: " in ran.stderr
    (run,) = runs.find_runs(results)
    assert runs.read_run(run).records[0].kernel == "numpy"
    assert "Traceback" not in ran.stderr
