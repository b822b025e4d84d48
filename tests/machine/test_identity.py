"""Machines are named by their processor, and hosts told apart by a digest, which names nobody."""

import os
import re

import pytest

from mlpbench.bench.machine import identity

CACHED = (identity.host, identity.boot, identity.machine_id, identity.processor)


@pytest.fixture(autouse=True)
def hidden(monkeypatch, tmp_path):
    """Return an empty folder in which the system says nothing yet; nothing is remembered from before, or for later."""
    monkeypatch.setattr(identity, "_IDS", (tmp_path / "machine-id", tmp_path / "other"))
    monkeypatch.setattr(identity, "_BOOT", tmp_path / "boot_id")
    monkeypatch.setenv("PATH", str(tmp_path))
    for function in CACHED:
        function.cache_clear()
    yield tmp_path
    for function in CACHED:
        function.cache_clear()


XEON = "Intel(R) Xeon(R) Gold 6230 CPU @ 2.1GHz"
#: What Linux says on x86, what `lscpu` says on ARM, and `sysctl` on two Macs; the folder's name that it makes.
DESCRIPTIONS = {
    f"processor: 0\ncpu family\t: 6\nmodel\t\t: 85\nmodel name: {XEON}\n\nmodel: 1\n": "intel-xeon-gold-6230-f6-m85",
    "Architecture:  aarch64\nModel name:    Neoverse-N1\nCPU family:    -\nModel:         1\n": "neoverse-n1-m1",
    "machdep.cpu.brand_string: Apple M1\nmachdep.cpu.core_count: 8\n": "apple-m1",
    f"machdep.cpu.family: 6\nmachdep.cpu.model: 9\nmachdep.cpu.brand_string: {XEON}\n": "intel-xeon-gold-6230-f6-m9",
    "model name: ../\x1b[2J/etc <b>": "2j-etc-b",
}


@pytest.mark.parametrize(("text", "name"), DESCRIPTIONS.items())
def test_the_machines_name_is_fit_for_a_folder_and_is_not_the_hosts(monkeypatch, text, name):
    monkeypatch.setattr(identity, "_descriptions", lambda: iter(["", "processor: 0", text]))
    assert identity.machine_id() == f"{name}-{os.cpu_count()}cpu"


def test_where_no_file_tells_programs_are_asked(monkeypatch, hidden):
    monkeypatch.setattr(identity, "read_text", lambda path: None)
    assert not any(identity._descriptions()), "no program is installed"
    for name, says in (("lscpu", "Model name: Neoverse-N1"), ("sysctl", "machdep.cpu.brand_string: Apple M1")):
        (hidden / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (hidden / name).chmod(0o755)
    assert len(list(filter(None, identity._descriptions()))) == 2
    assert identity.processor()["name"] == "Neoverse-N1"


@pytest.mark.parametrize(("digest", "file"), [(identity.host, "machine-id"), (identity.boot, "boot_id")])
def test_two_ids_are_two_digests_and_neither_can_be_read_back(hidden, digest, file):
    found = set()
    for text in ("0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdee\n"):
        (hidden / file).write_text(text)
        digest.cache_clear()
        found.add(digest())
        assert text[:12] not in digest()
    assert len(found) == 2
    assert all(re.fullmatch("[0-9a-f]{12}", one) for one in found)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\xff"])
def test_a_system_that_does_not_say_is_not_known(hidden, content):
    if content is not None:
        (hidden / "machine-id").write_bytes(content)
    assert (identity.host(), identity.boot()) == (None, None)


def test_macos_says_it_by_a_tool(hidden):
    tool = hidden / "ioreg"
    tool.write_text('#!/bin/sh\necho \'  "IOPlatformUUID" = "A-B-C"\'\n')
    tool.chmod(0o755)
    assert identity.host() == identity._digest("A-B-C")
