"""Compiled code on disk: no process compiles it again; keys, damage, folders without room, old files, many at once."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest

from mlpbench.kernels.numba_jit import cache
from mlpbench.kernels.numba_jit.cache import MOST_FILES, UNUSED_S, OneFile, compile_once
from support.compiling import compiled
from support.sources import ROOT, SOURCES, imports, modules_imported, name_of

KEY = ("signature", ("triple", "cpu", "features"), "bytecode")


def double(x):
    return 2 * x


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def hits():
    """Compile `double` or load it; return how often it was loaded."""
    doubled = compile_once(double, numba.int64(numba.int64))
    assert doubled(21) == 42
    return sum(doubled.stats.cache_hits.values())


def only_file(folder):
    (path,) = folder.rglob("*.nbc")
    return path


def aged(path, seconds):
    """Make ``path``, or leave what it holds, as if it had been used last so long ago."""
    path.touch()
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))
    return path


@pytest.fixture
def file(tmp_path):
    return OneFile(str(tmp_path), "mlpbench.kernels.numba_any.f")


def other(folder, number, stem="mlpbench.kernels.numba_any.f", ending="nbc"):
    return folder / f"{stem}.{number:024x}.{ending}"


def test_the_second_process_compiles_nothing_with_another_number_of_threads_too(tmp_path):
    kernels = ("numba-parallel", "numba-simd-parallel")
    first, second = (
        compiled(*kernels, hidden=(), NUMBA_CACHE_DIR=tmp_path, NUMBA_NUM_THREADS=threads) for threads in (2, 1)
    )
    assert first["made"] > 0
    assert second["made"] == 0, "one signature serves every specification, and it is on disk"
    assert first["called"] == second["called"] == 0, "no call compiles: it would be in the clock"
    assert not any(facts["compiled_before"] for facts in first["describe"])
    assert all(facts["compiled_before"] for facts in second["describe"])
    assert [[facts["threads"] for facts in said["describe"]] for said in (first, second)] == [[2, 2], [1, 1]]
    assert second["describe"][0]["serial_below_rows"] is None
    assert second["sums"] == pytest.approx(first["sums"], rel=1e-6), "threads divide rows elsewhere"
    vectors = compiled("numba-simd", hidden=(), NUMBA_CACHE_DIR=tmp_path)
    assert not vectors["compiler"], "a compiler takes half of the time to a first result to prepare itself"
    assert vectors["later"] == 3.0, "and does so when it is needed"
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_key_covers_source_processor_versions_and_settings(monkeypatch, file):
    paths = {file.path(KEY), file.path(("other", *KEY[1:])), file.path((KEY[0], ("triple", "other", ""), KEY[2]))}
    changes = ("numba.__version__", "llvmlite.__version__", "sys.version", "numba.config.OPT")
    for name in changes:
        with monkeypatch.context() as patch:
            patch.setattr(f"mlpbench.kernels.numba_jit.cache.{name}", "9")
            paths.add(file.path(KEY))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "source_digest", lambda: "changed")
        paths.add(file.path(KEY))
    assert len(paths) == 4 + len(changes)


@pytest.mark.parametrize(
    "start", ["numba_jit/loops", "numba_simd/passes/program", "numba_simd/passes/calls", "numba_simd/codegen/peak"]
)
def test_every_module_that_shapes_compiled_code_is_in_the_key(start):
    """All of ours that is imported, by whatever way, for the compiled functions."""
    files = {name_of(path): path for path in SOURCES}
    found, waiting = set(), {ROOT / "kernels" / f"{start}.py"}
    while waiting:
        path = waiting.pop()
        found.add(path)
        names = {name for each in imports(path) if not each.only_types for name in modules_imported(each)}
        waiting |= {files[name] for name in names & files.keys()} - found
    assert len(found) > 1
    assert found - {ROOT / "kernels" / "__init__.py"} <= {path.resolve() for path in cache.code_files()}


def damage(content):
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    found = {"a bit": bytes(changed), "the checksum": bytes([content[0] ^ 1]) + content[1:], "cut short": content[:-1]}
    return found | {"the head": content[:20], "nothing": b"", "zeros": bytes(len(content)), "more": content + b"x"}


@pytest.mark.parametrize("kind", damage(bytes(64)))
def test_a_damaged_file_is_made_again(folder, kind):
    assert (hits(), hits()) == (0, 1)
    path = only_file(folder)
    path.write_bytes(damage(path.read_bytes())[kind])
    assert (hits(), hits()) == (0, 1), "damage is not loaded, and what is made again is kept"


def test_other_code_than_numbas_is_kept_too(monkeypatch, folder):
    made = iter([b"first", b"of another key", b"third", b"without a folder"]).__next__
    got = [cache.kept_code(double, key, made) for key in (KEY, KEY, "another")]
    assert got == [(b"first", False), (b"first", True), (b"of another key", False)]
    for path in folder.rglob("*.nbc"):
        path.write_bytes(b"damaged")
    assert [cache.kept_code(double, KEY, made) for _ in range(2)] == [(b"third", False), (b"third", True)]
    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl._locator_classes", [])
    assert cache.kept_code(double, KEY, made) == (b"without a folder", False)
    assert (hits(), hits()) == (0, 0), "it compiles all the same"


def test_a_full_disk_is_no_reason_to_fail(monkeypatch, folder):
    def fail(self, _content):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail)
        assert hits() == 0
    assert not [path for path in folder.rglob("*") if path.is_file()], "half a file is left"
    assert (hits(), hits()) == (0, 1)


def test_saving_removes_what_was_not_used_for_a_month_and_nothing_else(tmp_path, file):
    paths = (
        other(tmp_path, 1),
        other(tmp_path, 2, "mlpbench.kernels.gone.f"),
        other(tmp_path, 3, ending="0123456789ab.tmp"),
    )
    old = [aged(path, UNUSED_S + 60) for path in paths]
    writing = aged(other(tmp_path, 5, ending="0123456789ab.tmp"), 0)  # another process does
    kept = [aged(other(tmp_path, 4), UNUSED_S - 60), writing]
    names = ("numba_loops._serial-88.py311.1.nbc", "spec.cpython-311.pyc", "mlpbench.kernels.nbc", "notes.txt")
    kept += [aged(tmp_path / name, 2 * UNUSED_S) for name in names]
    file.save(KEY, "data")
    assert not [path for path in old if path.exists()]
    assert [path for path in kept if path.exists()] == kept
    aged(file.path(KEY), 2 * UNUSED_S)
    assert file.load(KEY) == "data"
    file.save(("another", *KEY[1:]), "more")
    assert file.load(KEY) == "data", "loading counts as use"


def test_of_each_function_the_files_used_last_are_kept(tmp_path, file):
    mine = [aged(other(tmp_path, number), number * 60.0) for number in range(1, MOST_FILES + 3)]
    others = [aged(other(tmp_path, n, "mlpbench.kernels.numba_any.g"), n * 60.0) for n in range(1, MOST_FILES + 3)]
    file.save(KEY, "data")
    assert [path for path in mine if path.exists()] == mine[: MOST_FILES - 1], "and the one that was written"
    assert [path for path in others if path.exists()] == others[:MOST_FILES]
    assert file.load(KEY) == "data"


def test_many_that_write_read_and_prune_at_once_never_see_half_a_file(tmp_path, file):
    data = list(range(50_000))

    def work(_):
        for _ in range(20):
            file.save(KEY, data)
            assert file.load(KEY) == data

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert [path.name for path in tmp_path.iterdir()] == [file.path(KEY).name]
