"""Faults planted in the text of device kernels and of what launches and times them: the check that is named finds each.

The summary of a run says how many of how many were found (`tests/conftest.py`).
"""

import os
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from on_cpu.programs import ORDERS, Launched, Network, Products, off_by
from on_cpu.raw import CpuRawModule, LaunchError, compiler

from mlpbench.kernels.spec import Activation, ForwardSpec
from support.sources import ROOT

#: The faults of `mutants.toml`.
FAULTS = tomllib.loads(Path(__file__).with_name("mutants.toml").read_text(encoding="utf-8"))
RACE = """        __syncthreads(); /* this chunk is there for all warps, and nobody reads the one before it any more */
        if (chunk + 1 < CHUNKS) begin_chunk(buffers + (chunk + 1) % 2 * buffer, weights, chunk + 1);
"""
RACE_MOVED = "".join(reversed(RACE.splitlines(keepends=True)))


class Mutant(NamedTuple):
    """A fault: which program has it, the text that is changed, the check that finds it, and of what."""

    what: str
    arithmetic: str
    program: str
    old: str
    new: str
    check: str
    of: ForwardSpec | Products


def read(what, arithmetic, program, old, new, check, of):
    """Return a mutant. A network is as `ForwardSpec.parse` reads it, products are an activation and their width."""
    old, new = (RACE, RACE_MOVED) if old == "RACE" else (old, new)
    name, _, width = of.partition(" ")
    network = Products(int(width), None if name == "softmax" else Activation(name)) if width else ForwardSpec.parse(of)
    return Mutant(what, arithmetic, program, old, new, check, network)


MUTANTS = [read(*fault) for fault in FAULTS["device"]]
#: Words of the errors that are checks of their own.
WORDS = {
    "barriers": "never opens",
    "ends": "which is neither shared memory nor an array's",
    "shared memory": "of dynamic shared memory, which has",
    "undefined": "undefined|does not divide",
}


@cache
def launched():
    """Return every mutant's program; compiled in one go, but for those of a sanitizer, which are compiled once more."""
    found = {}
    for mutant in MUTANTS:
        is_network = isinstance(mutant.of, ForwardSpec)
        loud = -1000.0 if mutant.check == "loud" and mutant.program == "mlp_mma" else 200.0
        given = (mutant.of, mutant.arithmetic, mutant.check == "bytes", loud if mutant.check == "loud" else None)
        network = Network(*given) if is_network else mutant.of
        program = next(one for one in reversed(network.programs) if one.name == mutant.program)
        if not mutant.old:
            program = replace(program, shared_bytes=program.shared_bytes - 4)
        found[mutant] = Launched(network, program, (mutant.old, mutant.new) if mutant.old else None)
    CpuRawModule.together([one.kernel.module for mutant, one in found.items() if mutant.check != "threads"])
    return found


def is_found(mutant):
    one = launched()[mutant]
    network, full = one.network, one.program.rows_per_block
    if mutant.check == "threads":
        return "data race" in one.found_by("thread", full)
    if mutant.check == "large arrays":
        with suppress(LaunchError):
            return one.in_large()[-1] > 1
        return True
    if mutant.check == "strange":
        strange, finite = one.strange()
        is_sound = np.isnan(strange[7]).all() and np.isfinite(strange[[3, 20]]).all()
        return not is_sound or not np.array_equal(strange[0], finite[0])
    for rows in (1, full, 2 * full + 1):
        x = network.inputs(rows)
        y = one.outputs(x)
        if off_by(y, *network.expected(x)) > 1:
            return mutant.check in ("outputs", "bytes", "orders", "loud")
        if mutant.check == "orders" and any(not np.array_equal(one.outputs(x, order), y) for order in ORDERS[1:]):
            return True
    return False


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.program}-{one.what}-{one.check}")
def test_each_is_found(mutant):
    if mutant.check in WORDS:
        with pytest.raises(LaunchError, match=WORDS[mutant.check]):
            is_found(mutant)
    else:
        assert is_found(mutant)


# Host code: a copy of the tree, in which one text is changed


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of all that the tests of host code need."""
    folder = tmp_path_factory.mktemp("tree")
    for name in ("bench", "kernels", "mlpbench", "tests", "scripts"):
        ignored = shutil.ignore_patterns("__pycache__", "runs", "*.nbc", "*.nbi")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, folder)
    return folder


def status(tree, test):
    """Return how pytest ends in the copy: 1 where the test fails, which passes without the fault as CI sees."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"]
    ran = subprocess.run(words, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, check=False)
    return ran.returncode


@pytest.mark.heavy
@pytest.mark.parametrize(("what", "file", "old", "new", "test"), FAULTS["host"], ids=[one[0] for one in FAULTS["host"]])
def test_each_of_the_host_is_found(tree, what, file, old, new, test):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{file} has {old!r} {text.count(old)} times"
    (tree / file).write_text(text.replace(old, new), encoding="utf-8")
    try:
        assert status(tree, test) == 1, what
    finally:
        (tree / file).write_text(text, encoding="utf-8")
