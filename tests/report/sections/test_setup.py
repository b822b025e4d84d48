"""The machine in a report: threads, binding, the card, how busy it was, and what makes a run narrower."""

import json

import pytest

from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.bench.report.sections import setup
from mlpbench.bench.trust.rounds import State
from support import simulate, trusting
from support.trusting import AT

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


def test_a_quiet_machine_is_said_in_two_words_and_a_busy_one_with_what_was_left_out_and_would_help():
    assert [*setup.sentences(State(0.02, 1, 30, 0.021), 70.0)] == ["Typical uncertainty ±2.1 %."]
    busy = "Other programs disturbed 45 % of the timings; those are left out. Typical uncertainty ±8 %."
    assert " ".join(setup.sentences(State(0.45, 12, 30, 0.08), None)) == busy, "its number of repeats was chosen"
    assert [*setup.sentences(State(0.45, 12, 30, 0.08), 70.0)][-1] == "Narrower: mlpbench run --budget 5m"
    assert [*setup.sentences(State(None, 0, 30, None), 70.0)] == []
    assert "3 other processes used the card." in setup.sentences(State(None, 0, 30, 0.01, card_others=3), None)


def test_of_several_runs_the_widest_is_named_and_a_number_whose_repeats_were_all_disturbed_keeps_its_interval(tmp_path):
    runs = [trusting.write_disturbed(tmp_path / str(n), *hits, seed=n) for n, hits in enumerate(([[], []], [[], [AT]]))]
    widest = f"Run {runs[1].id} has the widest intervals. Other programs disturbed 25 %"
    assert render.build(runs).state.startswith(widest)
    text = render.render([trusting.write_disturbed(tmp_path / "all", [AT], [AT], [])], "md")
    assert "(other programs disturbed it)" not in text
    assert "Other programs disturbed 33 % of the timings; those are left out." in text
