"""The plan of a run: its order, its name, and what it tells pytest-benchmark."""

import json
import tomllib
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import probe, profiles, sweep
from mlpbench.bench.plan.plan import admitted, case_order, clock_options, make_plan, new_seed, run_id, shuffled
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.plan import Plan
from support.sources import ROOT

KERNELS = ["numpy", "numpy-out", "numba", "numba-parallel"]
SIZES = [Case("batched", size) for size in range(1, 7)]


def rounds(order):
    return [order[at : at + len(KERNELS)] for at in range(0, len(order), len(KERNELS))]


@given(repeats=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_every_repeat_holds_every_kernel_once(repeats, seed):
    order = shuffled(KERNELS, repeats, seed)
    assert len(rounds(order)) == repeats
    for repeat, points in enumerate(rounds(order)):
        assert sorted(points) == sorted((kernel, repeat) for kernel in KERNELS)
    assert order == shuffled(KERNELS, repeats, seed)


def test_the_order_follows_the_seed_which_is_another_each_time():
    assert len({tuple(shuffled(KERNELS, 3, seed)) for seed in range(20)}) > 15
    kernels = {tuple(kernel for kernel, _ in points) for points in rounds(shuffled(KERNELS, 20, 0))}
    assert len(kernels) > 5, "a fixed order would make one kernel always run after the same other"
    assert {first for first, *_ in kernels} == set(KERNELS), "every kernel comes first sometimes"
    seeds = {new_seed() for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize("threads", [1, 2])
def test_cases_run_in_an_order_of_their_own_in_every_turn_of_every_process(threads):
    def order(seed, *at):
        return tuple(case_order(SIZES, seed, *at, threads=threads))

    points = [(kernel, repeat, turn) for kernel in KERNELS[:2] for repeat in range(4) for turn in range(5)]
    orders = {point: order(1, *point) for point in points}
    assert all(sorted(found) == SIZES for found in orders.values())
    assert len(set(orders.values())) > 15
    assert order(1, *points[0]) == orders[points[0]] != order(2, *points[0])


def test_behind_large_batches_of_several_threads_comes_one_small_batch_at_most():
    """Each second turn ends as the next one begins, so that a pool of threads is waited for once in two turns."""
    in_turn = [case_order(SIZES, 1, "numpy", 3, turn, threads=2) for turn in range(4)]
    up = [False] * 3 + [True] * 3
    assert [[case.batch_size > 3 for case in order] for order in in_turn] == [up[::-1], up, up[::-1], up]


def test_a_run_is_named_by_its_moment_in_utc_and_its_commit():
    moment = datetime(2026, 1, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=9)))
    assert run_id("0123456789abcdef", moment) == "20251231T153005Z-01234567"
    assert run_id(None, moment) == "20251231T153005Z-nocommit"
    assert run_id("f" * 40, moment) < run_id("0" * 40, moment + timedelta(seconds=1)), "names sort by time"


def test_a_plan_is_read_back_from_its_json():
    settings = {"repeats": 2, "seed": 7, "threads": 2, "skipped": {"cupy": "no driver"}}
    settings |= {"command": ["mlpbench", "run"], "commit": "0123456789abcdef"}
    made = make_plan(profiles.profile("quick"), KERNELS, [Case("batched", 10)], **settings)
    read = msgspec.json.decode(json.dumps(made.as_dict()), type=Plan)
    assert read == made
    assert (read.profile, read.kernels, read.cases) == ("quick", tuple(KERNELS), (Case("batched", 10),))
    assert list(read.order) == shuffled(KERNELS, 2, 7)
    assert (read.repeats, read.seed, read.threads, read.command) == (2, 7, 2, ("mlpbench", "run"))
    assert read.skipped == {"cupy": "no driver"}
    assert datetime.fromisoformat(read.started).tzinfo is not None


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_the_clock_keeps_the_rules_in_every_profile_and_is_admitted(name):
    profile, asked = profiles.profile(name), clock_options(profiles.profile(name))
    options = dict(option.removeprefix("--benchmark-").partition("=")[::2] for option in asked)
    assert "disable-gc" in options
    assert options["warmup"] == "on"
    assert float(options["min-time"]) >= 0.001
    assert float(options["max-time"]) == profile.max_time_s
    assert int(options["min-rounds"]) == profile.min_rounds
    asked += ["--p99=5ms", "--p99=.2 us", "--cold"]
    assert admitted(asked) == asked


def test_pytest_by_hand_measures_as_the_default_profile_does():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(clock_options(profiles.profile("quick"))) <= set(project["tool"]["pytest"]["ini_options"]["addopts"])


def test_a_kernel_that_hangs_leaves_time_of_the_budget_for_others():
    for budget_s, kernels, seconds in (
        *((105, 7, 52.5), (105, 2, 52.5), (105, 1, 105), (20, 1, 60), (20, 7, 30), (70, 3, 35)),
        *((1200, 7, 600), (1200, 2, 600), (300, 4, 150), (300, 1, 300), (None, 7, 600)),
    ):
        assert sweep.timeout_s(budget_s, kernels) == seconds


def test_a_request_for_a_p99_and_the_full_profile_ask_the_clock_for_more(monkeypatch):
    monkeypatch.setattr(probe, "probe_all", lambda names, *_: [probe.Probed(n, n, "cpu", "1", None) for n in names])
    asked = [Request(kernels=("numpy",)), Request(p99_s=0.005, profile=profiles.profile("full"))]
    usual, more = (sweep.plan(request).plan.clock for request in asked)
    assert "--cold" not in usual
    assert more[-2:] == ("--p99=5000000ns", "--cold")


@pytest.mark.parametrize(
    "word",
    [
        *("-p", "evil", "-pevil", "-o", "-opythonpath=/x", "--debug", "--debug=/x", "/x/test_it.py", "@/x", "--", ""),
        *("--benchmark-json=/x", "--benchmark-storage=file:///x", "--benchmark-max-time", "--benchmark-max-time=x"),
        *("--benchmark-max-time=1 -p evil", "--benchmark-max-time=1=2", "--benchmark-max=1", "--cold=1", "--cold "),
        *("--benchmark-warmup=off", "--benchmark-warmup", "--latency=10", "--p99", "--p99=", "--p99=/x"),
    ],
)
def test_any_other_word_for_the_clock_is_refused(word):
    with pytest.raises(UserError, match=r"^mlpbench\.plan\.clock: .* is no option of the clock; start a new run$"):
        admitted(["--benchmark-disable-gc", word])
