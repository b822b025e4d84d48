"""The list of hosts: what it may say, and one line for what it may not."""

import asyncio
import threading
from contextlib import suppress

import msgspec
import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.run.fleet import ssh
from mlpbench.bench.run.fleet.carry import WorkerLost
from mlpbench.bench.run.fleet.worker import Request

asyncssh = pytest.importorskip("asyncssh", reason="asyncssh is not installed")


def test_a_list_of_hosts(tmp_path):
    path = tmp_path / "hosts.toml"
    path.write_text('[hosts.a]\naddress = "10.0.0.1"\n[hosts.b]\naddress = "b.example"\nport = 2222\nuser = "me"\n')
    found = ssh.read(path)
    assert list(found) == ["a", "b"]
    assert (found["a"].port, found["a"].python) == (22, "python3")
    assert (found["b"].port, found["b"].user) == (2222, "me")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[hosts.a]\nadress = 'x'\n", "adress"),
        ("[hosts.a]\nport = 22\n", "address"),
        ("[hosts.a]\naddress = 'x'\nport = 'y'\n", r"\$\.hosts\[\.\.\.\]\.port"),
        ("[hosts]\n", "there are no hosts"),
        ("hosts = 3\n", "hosts"),
        ("[hosts.a\n", "hosts.toml"),
        ("", "hosts"),
    ],
)
def test_what_is_no_list_is_one_line(tmp_path, text, said):
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=said) as error:
        ssh.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        ssh.read(tmp_path / "nowhere.toml")


class Strange:
    """An SSH server that lets anybody in; the name of the interpreter says what its worker does."""

    def __init__(self, folder):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / "key")
        options = {"server_host_keys": [key], "authorized_client_keys": str(folder / "authorized"), "encoding": None}
        key.write_public_key(folder / "authorized")
        self.server = asyncio.run_coroutine_threadsafe(self.listen(**options), self.loop).result(60)
        port = self.server.sockets[0].getsockname()[1]
        (folder / "known").write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
        shared = f'address = "127.0.0.1"\nport = {port}\nuser = "me"\nkey = "{folder}/key"\n'
        shared += f'known_hosts = "{folder}/known"\n'
        hosts = "".join(f'[hosts.{name}]\npython = "{name}"\n{shared}' for name in SAID)
        (folder / "hosts.toml").write_text(hosts)

    async def listen(self, **options):
        return await asyncssh.listen("127.0.0.1", 0, process_factory=self.answer, **options)

    async def answer(self, process):
        with suppress(BrokenPipeError, asyncssh.Error):
            match process.command.split()[0]:
                case "blank":
                    process.stderr.write(b"\n \n")
                case "speaks":
                    process.stderr.write(b"\x1b[31mno room\n\n")
                case "other":
                    process.stdout.write(msgspec.msgpack.encode({"machine": "../x", "version": 3}))
                case "nested":
                    process.stdout.write(b"\x81\xa1x" + b"\x91" * 100_000)
                case "endless" | "chatty" as name:
                    for _ in range(40):
                        (process.stdout if name == "endless" else process.stderr).write(b"x" * 2**18)
                        await process.stdout.drain()
                        await process.stderr.drain()
        process.exit(0)

    def close(self):
        self.server.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


_NOTHING = "there ended with exit status 0, and answered nothing that mlpbench understands"
#: By what a host does, what is told of it.
SAID = {
    "silent": f"silent {_NOTHING}",
    "blank": f"blank {_NOTHING}",
    "speaks": "no room",
    "other": f"other {_NOTHING}",
    "nested": f"nested {_NOTHING}",
    "endless": "its answer is larger than 4 MiB",
    "chatty": "what it says is larger than 4 MiB",
}


@pytest.mark.parametrize("host", SAID)
def test_a_host_that_answers_nothing_too_much_or_something_else_is_lost_with_a_reason(tmp_path, monkeypatch, host):
    strange, lines = Strange(tmp_path), []
    monkeypatch.setattr(ssh, "MAX_ANSWER", 4 * 2**20)
    monkeypatch.setattr(ssh, "MAX_SAID", 4 * 2**20)
    try:
        with pytest.raises(WorkerLost) as lost:
            ssh.Hosts(tmp_path / "hosts.toml").execute(host, Request(("numpy",), "x"), lines.append)
    finally:
        strange.close()
    assert str(lost.value) == SAID[host]
    assert sum(map(len, lines)) < 4 * 2**20
    assert not any("\x1b" in line for line in lines)
