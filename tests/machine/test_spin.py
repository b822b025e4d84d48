"""The spin: what it computes, and that it brings nothing along."""

import platform
import re

import llvmlite.binding as llvm
import pytest

from mlpbench.bench.machine import spin
from support import processes


def xorshift(x, steps):
    for _ in range(steps):
        x ^= x << 13 & 2**64 - 1
        x ^= x >> 7
        x ^= x << 17 & 2**64 - 1
    return x


def test_the_spin_computes_every_step():
    """Marsaglia's generator, step by step in Python's whole numbers: nothing is folded away."""
    for steps in (0, 1, 2, 1000):
        assert spin.compiled()(spin.SEED, steps) == xorshift(spin.SEED, steps)


def test_a_step_has_the_instructions_that_it_says():
    body = spin.CODE.partition("step:\n")[2].partition("br label")[0]
    names = re.findall(r"= (shl|lshr|xor) i64 %(\w), ", body)
    assert len(names) == spin.INSTRUCTIONS_PER_STEP
    assert [operand for _, operand in names] == ["x", "x", "b", "b", "d", "d"], "each needs the one before"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors shift and combine in one instruction")
def test_the_machine_code_has_them_too():
    code = spin.machine().emit_assembly(llvm.parse_assembly(spin.CODE))
    (loop,) = re.findall(r"^(\.LBB\w+):(.*?)\tj\w+\t\1$", code, re.MULTILINE | re.DOTALL)
    assert len(re.findall(r"^\t(?:sh[lr]|xor)q\t", loop[1], re.MULTILINE)) == spin.INSTRUCTIONS_PER_STEP


def test_the_spin_brings_nothing_along():
    """No thread and no BLAS of its own: the process is the same that would be timed without it."""
    code = """
import sys, threading, numpy
before = set(sys.modules)
from mlpbench.bench.machine.spin import best_spin
best_spin().run(1)
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before} & {"numba", "scipy", "pandas"}))
"""
    assert processes.python("-c", code).stdout.strip() == "[]"


@pytest.mark.parametrize("make", [spin.llvm_spin, spin.hashing_spin])
def test_a_spin_of_n_is_n_times_the_work(make):
    made = make()
    assert made.name
    assert made.run(1) != made.run(2)
    assert made.run(3) == make().run(3)


def test_without_llvm_the_spin_is_a_named_other(monkeypatch):
    def fail():
        raise ImportError("no LLVM")

    monkeypatch.setattr(spin, "llvm_spin", fail)
    spin.best_spin.cache_clear()
    try:
        assert (spin.best_spin().name, spin.best_spin().instructions) == ("pbkdf2-sha256", None)
    finally:
        spin.best_spin.cache_clear()
