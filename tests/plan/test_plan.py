"""The plan of a run: profiles, the order, the name, what pytest-benchmark is told, and what a request comes to."""

import json
import tomllib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import plan, probe, sweep
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from mlpbench.bench.record.plan import Plan
from support.refusals import refusal
from support.sources import ROOT

KERNELS = ["numpy", "numpy-out", "numba", "numba-parallel"]
SIZES = [Case("batched", size) for size in range(1, 7)]


def rounds(order):
    return [order[at : at + len(KERNELS)] for at in range(0, len(order), len(KERNELS))]


@given(repeats=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_every_repeat_holds_every_kernel_once(repeats, seed):
    order = plan.shuffled(KERNELS, repeats, seed)
    assert len(rounds(order)) == repeats
    for repeat, points in enumerate(rounds(order)):
        assert sorted(points) == sorted((kernel, repeat) for kernel in KERNELS)
    assert order == plan.shuffled(KERNELS, repeats, seed)


def test_the_order_follows_the_seed_which_is_another_each_time():
    assert len({tuple(plan.shuffled(KERNELS, 3, seed)) for seed in range(20)}) > 15
    kernels = {tuple(kernel for kernel, _ in points) for points in rounds(plan.shuffled(KERNELS, 20, 0))}
    assert len(kernels) > 5, "a fixed order would make one kernel always run after the same other"
    assert {first for first, *_ in kernels} == set(KERNELS), "every kernel comes first sometimes"
    assert len({plan.make_plan(plan.profile("quick"), KERNELS, SIZES, repeats=1, commit=None).seed for _ in "ab"}) == 2


@pytest.mark.parametrize("threads", [1, 2])
def test_cases_run_in_an_order_of_their_own_in_every_turn_of_every_process(threads):
    def order(seed, *at):
        return tuple(plan.case_order(SIZES, seed, *at, threads=threads))

    points = [(kernel, repeat, turn) for kernel in KERNELS[:2] for repeat in range(4) for turn in range(5)]
    orders = {point: order(1, *point) for point in points}
    assert all(sorted(found) == SIZES for found in orders.values())
    assert len(set(orders.values())) > 15
    assert order(1, *points[0]) == orders[points[0]] != order(2, *points[0])
    # Of several threads each second turn ends as the next one begins: a pool is waited for once in two turns.
    in_turn = [plan.case_order(SIZES, 1, "numpy", 3, turn, threads=2) for turn in range(4)]
    up = [False] * 3 + [True] * 3
    assert [[case.batch_size > 3 for case in cases] for cases in in_turn] == [up[::-1], up, up[::-1], up]


def test_a_plan_is_read_back_from_its_json():
    settings = {"repeats": 2, "seed": 7, "threads": 2, "skipped": {"cupy": "no driver"}}
    settings |= {"command": ["mlpbench", "run"], "commit": "0123456789abcdef"}
    made = plan.make_plan(plan.profile("quick"), KERNELS, [Case("batched", 10)], **settings)
    read = msgspec.json.decode(json.dumps(made.as_dict()), type=Plan)
    assert read == made
    moment = datetime.fromisoformat(read.started)
    assert read.run_id == f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-01234567"


# -- profiles, and the clock


def test_profiles_are_the_ones_that_were_promised_and_a_case_is_timed_once():
    quick, gpu, book = map(plan.profile, ("quick", "gpu", "book"))
    assert (quick.kernels, quick.modes, quick.repeats) == (None, ("per_sample", "batched"), 5)
    assert (quick.batch_sizes, gpu.batch_sizes) == ((1, 10, 100, 1000, 10_000), tuple(10**n for n in range(7)))
    assert plan.USUAL == ("numpy", "numba", "numba-parallel", "numba-simd", "cupy"), "what most readers know"
    both = [Case(mode, size) for mode in ("batched", "book") for size in (1, 100)]
    assert cases_.grid(book.modes, book.batch_sizes) == [Case("per_sample", 100), *both]
    grid = cases_.grid(("batched", "per_sample", "batched"), (7, 3, 7))
    assert grid == [Case("batched", 7), Case("batched", 3), Case("per_sample", cases_.PER_SAMPLE_ROWS)]
    refusal(UserError, r"unknown profile 'quik' \(did you mean quick\?\); there are book, full", plan.profile, "quik")
    with pytest.raises(UserError, match=r"unknown mode 'batch' \(did you mean batched\?\); there are per_sample"):
        cases_.grid(("batch",), (1,))


def test_the_clock_keeps_the_rules_in_every_profile_and_by_hand_those_of_the_default():
    for chosen in plan.PROFILES.values():
        asked = plan.clock_options(chosen)
        options = dict(option.removeprefix("--benchmark-").partition("=")[::2] for option in asked)
        assert (options["warmup"], options["disable-gc"]) == ("on", "")
        assert float(options["min-time"]) >= 0.001
        assert (float(options["max-time"]), int(options["min-rounds"])) == (chosen.max_time_s, chosen.min_rounds)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(plan.clock_options(plan.profile("quick"))) <= set(project["tool"]["pytest"]["ini_options"]["addopts"])


# -- a request


def test_a_kernel_that_hangs_leaves_time_of_the_budget_for_others():
    expected = {(105, 2): 52.5, (105, 1): 105, (20, 1): 60, (20, 7): 30, (1200, 7): 600, (300, 1): 300, (None, 7): 600}
    assert {at: plan.timeout_s(*at) for at in expected} == expected


def test_a_request_for_a_p99_and_the_full_profile_ask_the_clock_for_more(monkeypatch):
    monkeypatch.setattr(probe, "probe_all", lambda names, *_: [Probed(n, n, "cpu", "1", None) for n in names])
    asked = [Request(kernels=("numpy",)), Request(p99_s=0.005, profile=plan.profile("full"))]
    usual, more = (sweep.plan(request).plan.clock for request in asked)
    assert "--cold" not in usual
    assert more[-2:] == ("--p99=5000000ns", "--cold")


def test_kernels_of_the_device_are_beside_numpy_or_the_reason_is_told(monkeypatch):
    def planned(reason=None, named=()):
        answers = {"cupy": Probed("cupy", "cupy", "cuda", "14", reason)}
        here = lambda names, *_: [answers.get(name, Probed(name, name, "cpu", "1", None)) for name in names]  # noqa: E731
        monkeypatch.setattr(probe, "probe_all", here)
        request = Request(profile=plan.profile("gpu"), kernels=named, data="digits", repeats=1, seed=1)
        return set(sweep.plan(request).plan.kernels)

    assert planned() == {"cupy", "numpy"}
    assert planned(named=("numba",)) == {"numba"}, "what is named is what is meant"
    refusal(UserError, "no kernel that computes on cuda is available: cupy: no driver", planned, "no driver")
