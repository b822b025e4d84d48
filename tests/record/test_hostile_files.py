"""Every member of a record replaced by junk: it is read or refused, and nothing further on breaks."""

import copy
import json

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.compare import compare
from mlpbench.bench.errors import UserError
from mlpbench.bench.record.runs import read_run
from support import simulate

JUNK = [None, True, -1, 10**30, "../\x1b[2J", [[]], {"a": {"b": []}}]
CASE = ("numpy", "batched", 100)


def record():
    failure = {"kernel": "numpy", "mode": "batched", "batch_size": 1, "phase": "measure", "reason": "no memory"}
    benchmarks = [simulate.benchmark(CASE, [1e-4, 2e-4])]
    plan = simulate.plan({CASE: 1e-6}, 2, 0, [{"kernel": "cupy", "reason": "no driver"}])
    return simulate.record("numpy", 0, benchmarks, plan, failures=[failure])


def ways(value, way=()):
    """Yield the way to every member of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*way, key)
        yield from ways(item, (*way, key))


def replaced(content, way, value):
    content = copy.deepcopy(content)
    member = content
    for key in way[:-1]:
        member = member[key]
    member[way[-1]] = value
    return content


def use(path, other):
    """Do with a file everything that can be done with one."""
    run = read_run(path)
    assert frame.load(run).to_csv().replace("\n", "").isprintable()
    found = compare(run, other, 0.05)
    assert json.dumps(found.as_dict(), allow_nan=False)
    assert all(line.isprintable() for line in (*found.differences, *map(str, found.unmatched)))


@pytest.mark.parametrize("junk", JUNK, ids=[json.dumps(junk) for junk in JUNK])
def test_junk_anywhere_is_read_or_refused_with_one_line(tmp_path, junk):
    good = record()
    other = read_run(simulate.write_run(tmp_path, {CASE: 1e-6}, repeats=2, seed=5))
    path = tmp_path / "numpy.0.json"
    read, refusals = 0, []
    for way in ways(good):
        path.write_text(json.dumps(replaced(good, way, junk)))
        try:
            use(path, other)
            read += 1
        except UserError as error:
            refusals.append(str(error))
    assert read
    assert refusals
    assert all(line.isprintable() for line in refusals)  # and so one line
