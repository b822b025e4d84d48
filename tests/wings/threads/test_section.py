"""What threads bring, on runs with known answers."""

import json

import pytest

from mlpbench.bench.analysis import frame
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.wings.threads import section as scaling
from support import simulate

ONE = {("numba", "batched", 1): 2e-6, ("numba", "batched", 1000): 1e-6, ("numpy", "per_sample", 100): 9e-6}
TWO = {("numba", "batched", 1): 4e-6, ("numba", "batched", 1000): 0.5e-6, ("numpy", "per_sample", 100): 9e-6}


def used(threads):
    return {"backend": "numba", "device": "cpu", "version": "1", "describe": {"threads": threads}}


def write(folder, times, threads, seed, **settings):
    given = {"environment": simulate.environment(threads=threads), "kernel_info": used(threads), **settings}
    return simulate.run(folder, times, seed=seed, noise=0, rounds=4, **given)


def pair(folder, **settings):
    return [write(folder, ONE, 1, 1, **settings), write(folder, TWO, 2, 2, **settings)]


def find(*runs):
    return scaling.find([(run, summarize(frame.runs(run))) for run in runs])


def test_the_time_with_fewest_threads_by_the_time_with_more(tmp_path):
    four = write(tmp_path, {("numba", "batched", 1000): 0.25e-6}, 4, 3)
    (found,) = find(four, *reversed(pair(tmp_path)))
    assert {(g.kernel, g.mode, g.batch_size, g.threads): (g.used, g.speedup.value) for g in found.gains} == {
        ("numba", "batched", 1, 2): (2, pytest.approx(0.5)),
        ("numba", "batched", 1000, 2): (2, pytest.approx(2)),
        ("numpy", "per_sample", 100, 2): (2, pytest.approx(1)),
        ("numba", "batched", 1000, 4): (4, pytest.approx(4)),
    }
    assert (found.fewest, found.spec, found.data) == (1, "784-50-100-10", "digits")
    says = write(tmp_path, TWO, 2, 5, kernel_info=lambda kernel: used(1 if kernel == "numba" else 2))
    (found,) = find(write(tmp_path, ONE, 1, 4), says)
    assert {gain.kernel: gain.used for gain in found.gains} == {"numba": 1, "numpy": 2}, "what the kernel says"


@pytest.mark.parametrize(
    "other",
    [
        {"spec": {**simulate.SPEC, "sizes": [784, 9, 10]}},
        {"spec": {**simulate.SPEC, "dtype": "float64"}},
        {"data": {"name": "mnist", "rows": 1000, "sha256": None, "source": None}},
        {"environment": simulate.environment(machine={"name": "elsewhere"}, threads=2)},
        {"environment": simulate.environment(threads=1)},
    ],
    ids=["spec", "dtype", "data", "machine", "same threads"],
)
def test_runs_that_differ_in_more_or_in_nothing_are_not_compared(tmp_path, other):
    runs = [write(tmp_path, ONE, 1, 1), write(tmp_path, TWO, 2, 2, **other)]
    assert find(*runs) == ()
    assert "What more threads bring" not in render.render(runs, "md")


def test_the_report_has_chart_table_and_numbers(tmp_path):
    runs = pair(tmp_path)
    text = render.render(runs, "md")
    heads = "| kernel | threads given | threads used | one at a time | batch 1 | batch 1,000 |"
    for words in ("### Speedup over 1 thread", heads, "| numba | 2 | 2 |", "2.00x (2.00 to 2.00)"):
        assert words in text
    page = render.render(runs, "html")
    rows = json.loads(page.split('id="spec-scaling">')[1].split("</script>")[0])
    values = [row["value"] for data in rows["datasets"].values() for row in data if "gain" in row]
    assert sorted(values) == pytest.approx([0.5, 2])
    # One of the same name on another machine is compared with its own, and not with these.
    there = simulate.environment(machine={"name": "elsewhere"}, threads=1)
    other = write(tmp_path / "there", ONE, 1, 1, environment=there)
    (found,) = json.loads(render.render([*runs, other], "json"))["threads"]
    assert (found["runs"], len(found["gains"])) == ([run.id for run in runs], len(ONE))
    assert found["gains"][0]["speedup"]["value"] == pytest.approx(0.5)
    single = [write(tmp_path, {("numpy", "per_sample", 100): 9e-6}, threads, threads + 4) for threads in (1, 2)]
    assert "| numpy | 2 | 2 | 1.00x" in render.render(single, "md")
    assert 'id="chart-scaling"' not in render.render(single, "html"), "it shows batches"


def test_settings_of_one_sweep_are_paired_by_repeat(tmp_path):
    """A slow repeat that hit both settings leaves the ratio as it is; runs by themselves have a wide interval."""
    setting = {"spec": "784-50-100-10", "dtype": "float32", "varies": ["threads"]}
    slow = []
    for n, times in ((1, ONE), (2, TWO)):
        of_sweep = {"sweep": "20261124T120000Z-0123abcd", "setting": {**setting, "threads": n, "label": f"threads-{n}"}}
        run = write(tmp_path, times, n, n, plan_changes=of_sweep)
        cases = summarize(frame.runs(run))
        simulate.slow_down(cases, 1, 3)
        slow.append((run, cases))
    (scaled,) = scaling.find(slow)
    assert all(gain.speedup.low == pytest.approx(gain.speedup.high, rel=2e-3) for gain in scaled.gains)
