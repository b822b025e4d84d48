"""The plan of a run: its order, its name, and what it tells pytest-benchmark."""

import json
import tomllib
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench import cases
from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import choose, probe, profiles
from mlpbench.bench.plan.plan import admitted, clock_options, make_plan, new_seed, run_id, shuffled
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.plan import Plan, Skipped
from support.sources import ROOT

KERNELS = ["numpy", "numpy-out", "numba", "numba-parallel"]


def plan():
    settings = {"repeats": 2, "seed": 7, "threads": 2, "skipped": [Skipped("cupy", "no driver")]}
    settings |= {"command": ["mlpbench", "run"], "commit": "0123456789abcdef"}
    return make_plan(profiles.profile("quick"), KERNELS, [cases.Case("batched", 10)], **settings)


@given(repeats=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_every_repeat_holds_every_kernel_once(repeats, seed):
    order = shuffled(KERNELS, repeats, seed)
    rounds = [order[i : i + len(KERNELS)] for i in range(0, len(order), len(KERNELS))]
    assert len(rounds) == repeats
    for repeat, points in enumerate(rounds):
        assert sorted(points) == sorted((kernel, repeat) for kernel in KERNELS)


def test_the_order_follows_the_seed():
    orders = [tuple(shuffled(KERNELS, 3, seed)) for seed in range(20)]
    assert orders == [tuple(shuffled(KERNELS, 3, seed)) for seed in range(20)]
    assert len(set(orders)) > 15, "another seed is another order"
    # Repeats have orders of their own.
    order = shuffled(KERNELS, 20, 0)
    rounds = {tuple(kernel for kernel, repeat in order if repeat == r) for r in range(20)}
    assert len(rounds) > 5, "a fixed order would make one kernel always run after the same other"
    assert {names[0] for names in rounds} == set(KERNELS), "every kernel comes first sometimes"


def test_a_seed_that_nobody_chose_is_another_each_time():
    seeds = [new_seed() for _ in range(20)]
    assert len(set(seeds)) > 1
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_a_run_is_named_by_its_moment_in_utc_and_its_commit():
    moment = datetime(2026, 1, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=9)))
    assert run_id("0123456789abcdef", moment) == "20251231T153005Z-01234567"
    assert run_id(None, moment) == "20251231T153005Z-nocommit"
    assert run_id("f" * 40, moment) < run_id("0" * 40, moment + timedelta(seconds=1)), "names sort by time"


def test_a_plan_is_read_back_from_its_json():
    made = plan()
    read = msgspec.json.decode(json.dumps(made.as_dict()), type=Plan)
    assert read == made
    assert (read.profile, read.kernels, read.cases) == ("quick", tuple(KERNELS), (Case("batched", 10),))
    assert list(read.order) == shuffled(KERNELS, 2, 7)
    assert (read.repeats, read.seed, read.threads) == (2, 7, 2)
    assert [(item.kernel, item.reason) for item in read.skipped] == [("cupy", "no driver")]
    assert read.command == ("mlpbench", "run")
    assert datetime.fromisoformat(read.started).tzinfo is not None


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_the_clock_keeps_the_rules_in_every_profile(name):
    profile = profiles.profile(name)
    options = dict(option.removeprefix("--benchmark-").partition("=")[::2] for option in clock_options(profile))
    assert "disable-gc" in options
    assert options["warmup"] == "on"
    assert float(options["min-time"]) >= 0.001
    assert float(options["max-time"]) == profile.max_time_s
    assert int(options["min-rounds"]) == profile.min_rounds


def test_pytest_by_hand_measures_as_the_default_profile_does():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(clock_options(profiles.profile("quick"))) <= set(project["tool"]["pytest"]["ini_options"]["addopts"])


@pytest.mark.parametrize(
    ("budget_s", "kernels", "seconds"),
    [
        *((105, 7, 52.5), (105, 2, 52.5), (105, 1, 105), (20, 1, 60), (20, 7, 30), (70, 3, 35)),
        *((1200, 7, 1200 * 2 / 7), (1200, 2, 600), (300, 4, 150), (300, 1, 300), (None, 7, 600)),
    ],
)
def test_a_kernel_that_hangs_leaves_time_of_the_budget_for_others(budget_s, kernels, seconds):
    assert choose.timeout_s(budget_s, kernels) == seconds


def test_a_request_for_a_p99_and_the_full_profile_ask_the_clock_for_more(monkeypatch):
    monkeypatch.setattr(probe, "probe_all", lambda names, *_: [probe.Probed(n, n, "cpu", "1", None) for n in names])
    asked = [Request(kernels=("numpy",)), Request(p99_s=0.005, profile=profiles.profile("full"))]
    usual, more = (choose.plan(request).plan.clock for request in asked)
    assert not {"--cold"}.intersection(usual)
    assert more[-2:] == ("--p99=5000000ns", "--cold")


@pytest.mark.parametrize("profile", profiles.PROFILES)
def test_what_every_profile_asks_of_the_clock_is_admitted(profile):
    asked = [*clock_options(profiles.profile(profile)), "--p99=5ms", "--p99=.2 us", "--cold"]
    assert admitted(asked) == asked


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
