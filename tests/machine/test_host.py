"""Hosts are told apart by a digest, which names nobody."""

import re

import pytest

from mlpbench.bench.machine import host


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    monkeypatch.setattr(host, "_IDS", (tmp_path / "machine-id", tmp_path / "other"))
    monkeypatch.setattr(host, "_BOOT", tmp_path / "boot_id")
    monkeypatch.setenv("PATH", str(tmp_path))
    for function in (host.host, host.boot):
        function.cache_clear()
    yield tmp_path
    for function in (host.host, host.boot):
        function.cache_clear()


def test_two_ids_are_two_hosts_and_neither_can_be_read_back(fresh):
    found = set()
    for text in ("0123456789abcdef0123456789abcdef\n", "0123456789abcdef0123456789abcdee\n"):
        (fresh / "machine-id").write_text(text)
        host.host.cache_clear()
        found.add(host.host())
        assert text[:12] not in host.host()
    assert len(found) == 2
    assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in found)


def test_a_start_is_told_from_the_one_before(fresh):
    (fresh / "boot_id").write_text("a-b-c\n")
    first = host.boot()
    host.boot.cache_clear()
    (fresh / "boot_id").write_text("a-b-d\n")
    assert host.boot() != first


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe\xff"])
def test_a_system_that_does_not_say_is_not_known(fresh, content):
    if content is not None:
        (fresh / "machine-id").write_bytes(content)
    assert (host.host(), host.boot()) == (None, None)


def test_macos_says_it_by_a_tool(fresh):
    tool = fresh / "ioreg"
    tool.write_text('#!/bin/sh\necho \'  "IOPlatformUUID" = "A-B-C"\'\n')
    tool.chmod(0o755)
    assert host.host() == host._digest("A-B-C")
