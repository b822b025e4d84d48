"""Seals: who can make one, and where a user can keep no key."""

import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.run import folder

CONTENT = ("run", {"clock": ["--cold"], "files": {}}, None)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Return the folder of the key of a user who has none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "mlpbench"


def test_a_seal_fits_what_was_sealed_and_nothing_else(state):
    made = folder.make_seal(*CONTENT)
    assert folder.seal_fits(made, *CONTENT)
    assert not folder.seal_fits(made, "run", {"clock": ["-p"], "files": {}}, None)
    assert not folder.seal_fits(made, "environment", *CONTENT[1:])
    for wrong in (None, "", "ü", made[:-1], made.upper()):
        assert not folder.seal_fits(wrong, *CONTENT)
    key = state / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert [path.name for path in state.iterdir()] == ["key"], "nothing partial"


def test_another_user_has_another_key(state, monkeypatch):
    made = folder.make_seal(*CONTENT)
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parent.with_name("another")))
    assert not folder.seal_fits(made, *CONTENT)
    assert not state.parent.with_name("another").exists(), "to look makes no key"
    assert folder.make_seal(*CONTENT) != made


def test_two_that_start_at_once_have_one_key(state):
    started = threading.Barrier(8)

    def make(_):
        started.wait()
        return folder.make_seal(*CONTENT)

    with ThreadPoolExecutor(8) as pool:
        assert len({*pool.map(make, range(8))}) == 1


@pytest.mark.parametrize("damage", ["short", "readable", "link"])
def test_a_key_that_is_damaged_or_may_be_known_is_refused(state, damage):
    made = folder.make_seal(*CONTENT)
    key = state / "key"
    if damage == "short":
        key.write_bytes(b"")
    elif damage == "readable":
        key.chmod(0o644)
    else:
        key.symlink_to(key.rename(state / "elsewhere"))
    with pytest.raises(UserError, match="is damaged, or not yours alone: remove it") as error:
        folder.seal_fits(made, *CONTENT)
    assert str(key) in str(error.value)
    assert folder.no_seal() == str(error.value)


def test_where_no_key_can_be_kept_is_one_line(state, monkeypatch):
    state.parent.write_text("a file in the place of the folder")
    assert folder.no_seal().endswith("; XDG_STATE_HOME names another folder")
    assert "\n" not in folder.no_seal()
    with pytest.raises(UserError):
        folder.make_seal(*CONTENT)
    for name in ("", "relative"):
        monkeypatch.setenv("XDG_STATE_HOME", name)
        monkeypatch.setenv("HOME", str(state.parents[1]))
        assert folder.no_seal() is None
    assert (state.parents[1] / ".local" / "state" / "mlpbench" / "key").is_file()


def test_what_is_private(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "link").symlink_to(tmp_path)
    assert [folder.is_private(path) for path in (tmp_path, tmp_path / "link", tmp_path / "none")] == [
        True,
        False,
        False,
    ]
    tmp_path.chmod(0o750)
    assert not folder.is_private(tmp_path)
    if os.getuid() == 0:  # only root gives folders away
        (tmp_path / "theirs").mkdir(mode=0o700)
        os.chown(tmp_path / "theirs", 65534, 65534)
        assert not folder.is_private(tmp_path / "theirs")
