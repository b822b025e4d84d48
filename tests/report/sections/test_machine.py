"""The report's part on the machine: the threads that libraries were given, and those that they report."""

import json

import pytest

from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from mlpbench.bench.report.sections.machine import thread_table
from support import simulate

TIMES = {("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}


def use(given, **found):
    found = [{"what": what.replace("_", " "), "threads": threads} for what, threads in found.items()]
    return {"given": given, "found": found, "fewer": []}


def write(folder, uses, **settings):
    """Write and read a run; ``uses`` are what records say, by kernel and repeat."""
    path = simulate.write_run(folder, TIMES, repeats=2, **settings)
    for (kernel, repeat), said in uses.items():
        with simulate.edited(path / f"{kernel}.{repeat}.json") as content:
            content["mlpbench"]["thread_use"] = said
    return record.read_run(path)


@pytest.mark.parametrize(
    ("uses", "row"),
    [
        ({("numpy", n): use(2, openblas=2, the_kernel=1) for n in (0, 1)}, ("numpy", "2", "openblas 2, the kernel 1")),
        ({("numba", 0): use(2, numba=2), ("numba", 1): use(2, numba=1)}, ("numba", "2", "numba 1 or 2")),
        ({("numpy", 0): use(2)}, ("numpy", "2", "nobody")),
    ],
    ids=["all say the same", "repeats differ", "nobody answers"],
)
def test_each_kernel_that_says_so_has_a_line_with_who_reported_how_many(tmp_path, uses, row):
    table = thread_table([write(tmp_path, uses)])
    assert [column.name for column in table.columns] == ["kernel", "threads given", "threads there, as reported by"]
    assert table.rows == (row,)


def test_runs_are_told_apart_and_older_files_have_no_table(tmp_path):
    made = ((n, {("numpy", 0): use(n, openblas=n)}, {"threads": n}) for n in (1, 2))
    runs = [write(tmp_path, uses, seed=n, plan_changes=changes) for n, uses, changes in made]
    assert thread_table(runs).rows == tuple((run.id, "numpy", str(n), f"openblas {n}") for n, run in enumerate(runs, 1))
    assert thread_table([write(tmp_path / "old", {})]) is None


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "none asked for"),
        ({"binding": {"processors": [0, 2], "reason": None}}, "bound to processors 0, 2"),
        ({"binding": {"processors": None, "reason": "no call for it"}}, "not bound to processors: no call for it"),
    ],
)
def test_the_environment_says_which_processors_processes_were_bound_to(tmp_path, changes, shown):
    text = render.render([write(tmp_path, {}, plan_changes=changes)], "md")
    assert f"| Binding | {shown} |" in text


def test_the_report_shows_it_beside_the_environment(tmp_path):
    run = write(tmp_path, {("numpy", 0): use(2, openblas=2)})
    environment = render.render([run], "md").partition("## Machine and software")[2].partition("\n## ")[0]
    assert "| numpy | 2 | openblas 2 |" in environment
    kernels = json.loads(render.render([run], "json"))["runs"][0]["kernels"]
    assert [kernel["thread_use"] and kernel["thread_use"]["given"] for kernel in kernels] == [2, None, None, None]


def test_the_card_is_the_one_that_was_computed_on(tmp_path):
    gpu = {"available": True, "name": "NVIDIA L4", "driver": "570", "uuid": "GPU-2", "mig": True, "cards": 2}
    folder = simulate.write_run(tmp_path, {("numpy", "batched", 1): 1e-6, ("cupy", "batched", 1): 1e-6})
    for path in folder.glob("cupy.*.json"):
        content = json.loads(path.read_text())
        content["mlpbench"]["environment"]["gpu"] = gpu
        path.write_text(json.dumps(content))
    text = render.render([record.read_run(folder)], "md")
    assert "| GPU | NVIDIA L4, GPU-2, driver 570, of 2 cards, a slice (MIG) |" in text
