"""Hostile files of every format, results, settings, hosts, weights and digits: each is read, or refused in one line."""

import gzip
import json
import os
import pickle
import pickletools
from functools import partial

import pytest
import typer

from mlpbench.bench.cli import app, options
from mlpbench.bench.data import datasets
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs, untrusted
from mlpbench.bench.record.device import RoofsFile
from mlpbench.bench.wings.ci import foreign
from mlpbench.bench.wings.fleet import ssh
from mlpbench.kernels.models.weights import load_params, save_params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import hostile, idx_files, simulate
from support.sources import ROOT

SPEC = ForwardSpec.parse("4-3-2")
GROUP = typer.main.get_command(app.app)
for name in app.COMMANDS:
    options.takers(GROUP, name)  # which are kept
SETTINGS = """
[run]
kernels = ["numpy", "numba"]
profile = "smoke"
threads = [1, 2]
budget = "90s"
peers = true

[compare]
fail-if-slower = "5%"
"""
HOSTS = """
[hosts.node1]
address = "10.0.0.1"

[hosts."node 2"]
address = "me@node2"
python = "/opt/python"
"""
#: What TOML and its readers stumble over.
TOML = [b"\n[", b"]]", b'"""', b"= ", b"a.b.c.d = 1\n", b"1979-05-27T07:32:00Z", b"0x" + b"f" * 4000, b"inf", b"{a={"]
TOML += [b"x = " + b"[" * 3000, b"a" * 9000, b"a." * 3000, b"\\u202e", b"9" * 5000, b"[run]\n", b"true", b"-1"]


OPCODES = [op.code.encode("latin1") for op in pickletools.opcodes]


def npz(path):
    save_params(path, seeded(SPEC), source="a test")
    return path.read_bytes()


def pickled(_):
    own = seeded(SPEC)
    arrays = zip(own.weights, own.biases, strict=True)
    return pickle.dumps(
        {f"{name}{n}": x for n, both in enumerate(arrays, 1) for name, x in zip("Wb", both, strict=True)}
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text(f"x = {'[' * 3000}{']' * 3000}"), "nested deeper than"),
        (lambda path: path.write_text(f"x = [{'9' * 5000}]"), "digits"),
        (lambda path: path.write_text(f"{'k' * 9000} = 1"), "k…k"),
        (os.mkfifo, "not an ordinary file"),
        (lambda path: path.symlink_to("/dev/zero"), "not an ordinary file"),
        (lambda path: (path.touch(), os.truncate(path, 2 * 2**30)), "larger than 1 MiB"),
    ],
)
def test_settings_and_hosts_are_read_as_far_as_they_are_small_ordinary_files(tmp_path, monkeypatch, capsys, make, said):
    make(tmp_path / "mlpbench.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        app.main(["list"])
    told = capsys.readouterr().err
    assert (ended.value.code, told.count("\n"), len(told) < 400) == (2, 1, True), told
    assert said in told
    if said != "k…k":
        with pytest.raises(UserError, match=said):
            ssh.read(tmp_path / "mlpbench.toml")


def short(value):
    """Return JSON with two items of every list: enough to have each field, and to be read quickly."""
    if isinstance(value, dict):
        return {key: item if key == "cases" else short(item) for key, item in value.items()}  # those of the plan
    return [short(item) for item in value[:3]] if isinstance(value, list) else value


def reference(name):
    """Return a file of a run that came with the sources, shortened: it has every field that a run on a CPU writes."""
    path = max((ROOT / "results").glob(f"*/*/{name}"))
    return json.dumps(short(json.loads(path.read_text()))).encode()


FOREIGN = partial(untrusted.read, kind=foreign.ForeignFile, is_called=untrusted.PYTESTS)
#: The name of a file, a valid one, its reader, and what its format stumbles over; None for JSON.
FORMATS = {
    "settings": (
        "mlpbench.toml",
        lambda _: SETTINGS.encode(),
        lambda path: options.settings_of(GROUP, "run", path.parent),
        TOML,
    ),
    "hosts": ("hosts.toml", lambda _: HOSTS.encode(), ssh.read, TOML),
    "npz": ("w.npz", npz, lambda path: load_params(path, SPEC), ()),
    "pickle": ("w.pkl", pickled, lambda path: load_params(path, SPEC), [*OPCODES, b"cos\nsystem\n"]),
    "idx": ("images", lambda _: idx_files.packed(idx_files.images(3)), lambda path: datasets.read_idx(path, 3), ()),
    "idx.gz": (
        "images.gz",
        lambda _: gzip.compress(idx_files.packed(idx_files.labels(9))),
        lambda path: datasets.read_idx(path, 1),
        (),
    ),
    "record": ("numpy.0.json", lambda _: reference("numpy.0.json"), runs.read_run, None),
    "sweep's record": ("numpy.0.json", lambda _: json.dumps(simulate.good()).encode(), runs.read_run, None),
    "plan": ("run.json", lambda _: reference("run.json"), lambda path: runs.read_run(path.parent), None),
    "roofs": ("roofs.json", lambda _: reference("roofs.json"), lambda path: untrusted.read(path, RoofsFile), None),
    "benchmarks": ("a.json", lambda _: json.dumps(simulate.good()).encode(), FOREIGN, None),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_file_is_read_or_refused_in_one_line(tmp_path, kind):
    name, valid, reader, pieces = FORMATS[kind]
    raw = valid(tmp_path / name)
    of_json = partial(hostile.with_json, raw) if pieces is None else None
    hostile.hold(tmp_path / name, raw, reader, pieces=pieces or (), of_json=of_json)
