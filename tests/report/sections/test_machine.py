"""The machine in a report: threads given and reported, binding, and the card."""

import json

import pytest

from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from support import simulate

TIMES = {("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}


def use(**found):
    return [[what.replace("_", " "), threads] for what, threads in found.items()]


def write(folder, uses, **settings):
    """Write and read a run; ``uses`` are what records say, by kernel and repeat."""
    path = simulate.write_run(folder, TIMES, repeats=2, **settings)
    for (kernel, repeat), said in uses.items():
        with simulate.edited(path / f"{kernel}.{repeat}.json") as content:
            content["mlpbench"]["thread_use"] = said
    return record.read_run(path)


@pytest.mark.parametrize(
    ("uses", "cell"),
    [
        ({("numpy", n): use(openblas=2, the_kernel=1) for n in (0, 1)}, "2; openblas 2, the kernel 1"),
        ({("numpy", 0): use(numba=2), ("numpy", 1): use(numba=1)}, "2; numba 1 or 2"),
        ({("numpy", 0): use()}, "2; nobody"),
        ({}, "not recorded"),
    ],
)
def test_each_kernel_that_says_so_has_its_threads_and_who_reported_how_many(tmp_path, uses, cell):
    run = write(tmp_path, uses)
    kernels = render.render([run], "md").partition("## Kernels")[2].partition("\n## ")[0]
    (line,) = (line for line in kernels.splitlines() if line.startswith("| numpy |"))
    assert line.endswith(f"| {cell} |")
    first, *_ = json.loads(render.render([run], "json"))["runs"][0]["kernels"]
    assert (first["kernel"], first["thread_use"] is None) == ("numpy", not uses)


def test_the_card_is_the_one_that_was_computed_on_and_processors_are_those_that_were_bound(tmp_path):
    gpu = {"available": True, "name": "NVIDIA L4", "driver": "570", "uuid": "MIG-2", "cards": 2}
    bound = {"binding": {"processors": [0, 2], "reason": None}}
    times = {("numpy", "batched", 1): 1e-6, ("cupy", "batched", 1): 1e-6}
    folder = simulate.write_run(tmp_path, times, plan_changes=bound)
    for path in folder.glob("cupy.*.json"):
        with simulate.edited(path) as content:
            content["mlpbench"]["environment"]["gpu"] = gpu
    text = render.render([record.read_run(folder)], "md")
    assert "| GPU | NVIDIA L4, MIG-2, driver 570, of 2 cards, a slice (MIG) |" in text
    assert "| Binding | bound to processors 0, 2 |" in text
    unbound = {"binding": {"processors": None, "reason": "no call for it"}}
    text = render.render([write(tmp_path / "unbound", {}, plan_changes=unbound)], "md")
    assert "| Binding | not bound to processors: no call for it |" in text
