"""Runs of several machines carry the name of theirs, wherever they are named."""

import copy

import pytest

from mlpbench.bench.analysis import compare, sides
from mlpbench.bench.record.runs import named
from mlpbench.bench.report import render
from mlpbench.bench.wings.history import history
from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


def on(folder, host=None, machine="testbox", seed=0):
    """Return a run on a host, in a results folder of its own."""
    environment = copy.deepcopy(simulate.ENVIRONMENT)
    environment["machine"] |= {"name": machine, "host": host}
    where = folder / f"{machine}-{host}-{seed}"
    return simulate.read(simulate.write_run(where, TIMES, seed=seed, repeats=6, environment=environment))


def test_two_machines_and_two_hosts_of_one_model_are_named_as_two(tmp_path):
    first, second, third = on(tmp_path, "a" * 12), on(tmp_path, "b" * 12), on(tmp_path, "c" * 12, "bigbox")
    assert [run.name for run in named([first, third])] == ["testbox", "bigbox"]
    hosts = [run.name for run in named([first, second, third])]
    assert hosts == ["testbox (host aaaaaa)", "testbox (host bbbbbb)", "bigbox"]
    again = on(tmp_path, "a" * 12, seed=1)
    assert named([first, again, third])[1].name == f"{again.id} on testbox"
    assert named([first, again])[0].name == first.id, "one host needs no name"
    assert named([first, on(tmp_path, None, seed=2)])[1].name.endswith("testbox (host not known)")
    assert named([first, second])[0].title == "The run on testbox (host aaaaaa)"


@pytest.mark.parametrize("form", ["md", "csv"])
def test_every_table_of_several_machines_names_them(tmp_path, form):
    document = render.build([on(tmp_path, "a" * 12), on(tmp_path, "c" * 12, "bigbox")])
    text = render.write(document, form)
    assert text.count("bigbox") > 2
    tables = [block for section in document.sections for block in section.blocks if hasattr(block, "rows")]
    with_runs = [table for table in tables if table.columns[0] == "run"]
    assert with_runs
    assert all("testbox" in row[0] or "bigbox" in row[0] for table in with_runs for row in table.rows)


def test_two_hosts_are_compared_as_two_runs(tmp_path):
    """Even of one name: repeats of the same number did not run side by side, and whole runs differ."""
    first, second = on(tmp_path, "a" * 12), on(tmp_path, "b" * 12)
    assert not sides.same_run(first, second)
    found = compare.compare(first, second)
    assert not found.paired
    assert found.wander > 0
    assert f"machine: host: {'a' * 12} against {'b' * 12}" in found.differences


def test_hosts_have_a_history_each(tmp_path):
    for seed, host in enumerate(("a", "b", "a", "b", "a")):
        environment = copy.deepcopy(simulate.ENVIRONMENT)
        environment["machine"]["host"] = host * 12
        folder = simulate.write_run(tmp_path, TIMES, seed=seed, environment=environment).parent
    found = history.find(folder)
    assert sorted(len(one.runs) for one in found.series) == [2, 2, 3, 3]
    assert {one.task.rpartition("host ")[2] for one in found.series} == {"a" * 12, "b" * 12}


def test_kernels_by_machine_are_a_table_and_another_says_what_each_gains(tmp_path):
    document = render.build([on(tmp_path, "a" * 12), on(tmp_path, "b" * 12), on(tmp_path, "c" * 12, "bigbox")])
    blocks = {section.slug: section.blocks for section in document.sections}
    (times,), (gains,) = blocks["machines"], blocks["kernel-by-kernel"]
    assert list(times.columns) == [
        "kernel",
        "testbox (host aaaaaa)",
        "testbox (host bbbbbb)",
        "bigbox",
    ]
    assert [row[0] for row in times.rows] == ["numpy"]
    assert all(text.endswith("µs (1.0x)") for text in times.rows[0][1:])
    assert len(gains.rows) == 3
    alone = render.build([on(tmp_path, "a" * 12, seed=1), on(tmp_path, "a" * 12, seed=2)])
    assert "machines" not in {section.slug for section in alone.sections}
