"""The roofline model on machines with known limits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.wings.why.bounds import IMPOSSIBLE, Roofs, Work, floors, judge, level
from mlpbench.kernels.base import Facts
from mlpbench.kernels.spec import MNIST, ForwardSpec

CACHES = {"L1d": 48 * 1024, "L2": 2**20, "L3": 32 * 2**20}
ROOFS = Roofs(1, 250e9, "multiply-add", {"L1": 500e9, "L2": 200e9, "L3": 100e9, "DRAM": 40e9}, CACHES)


def work(rows, spec=MNIST, timed_rows=10_000):
    return Work.of(spec, rows, timed_rows)


def test_the_work_of_the_books_network_and_of_kernels_that_use_fewer_bytes():
    one = work(1)
    assert one.flop == 2 * (784 * 50 + 50 * 100 + 100 * 10) + 160
    assert one.weight_bytes == 4 * (784 * 50 + 50 * 100 + 100 * 10 + 160)
    assert (one.input_bytes, one.input_footprint) == (4 * 784, 4 * 784 * 10_000)
    assert one.intensity == pytest.approx(one.flop / (one.weight_bytes + 4 * 784 + 40))
    stays = Work.of(MNIST, 1, 10_000, Facts.of(input_dtype="uint8", arithmetic="fp16"))
    assert (stays.input_bytes, stays.input_footprint) == (784, 784 * 10_000)
    assert 2 * stays.weight_bytes == one.weight_bytes
    assert 4 * Work.of(MNIST, 1, 10_000, Facts.of(arithmetic="int8")).weight_bytes == one.weight_bytes
    assert Work.of(MNIST, 1, 10_000, Facts.of(input_dtype="what")) == one


def test_arithmetic_whose_peak_was_not_measured_bounds_nothing_and_reading_still_does():
    """Products of bytes may be four times as fast as those of float32."""
    used = Facts.of(arithmetic="int8")
    done, roofs = Work.of(MNIST, 1000, 10_000, used), ROOFS.of("int8")
    assert judge(done, ROOFS, MNIST.flop(1000) / 900e9).impossible
    honest = judge(done, roofs, MNIST.flop(1000) / 900e9)
    assert (honest.impossible, honest.binding.what) == (False, "inputs")
    assert judge(done, roofs, 4 * 784 * 1000 / 110e9).impossible, "inputs are read from L3, and are not bytes"
    assert ROOFS.of("fp32") == ROOFS.of(None) == ROOFS


@pytest.mark.parametrize(
    ("n_bytes", "threads", "expected"),
    [
        (48 * 1024, 1, "L1"),
        (48 * 1024 + 1, 1, "L2"),
        (2 * 48 * 1024, 2, "L1"),
        (2**20 + 1, 1, "L3"),
        (33 * 2**20, 8, "DRAM"),
    ],
)
def test_the_nearest_level_that_holds_it(n_bytes, threads, expected):
    assert level(n_bytes, CACHES, threads) == expected
    assert level(n_bytes, {}) == "DRAM", "a machine that tells no caches"


@pytest.mark.parametrize(
    ("rows", "spec", "binding"),
    [
        (1, MNIST, ("weights", "L2", MNIST.weight_bytes() / 200e9)),
        (1000, MNIST, ("arithmetic", "multiply-add", MNIST.flop(1000) / 250e9)),
        (1000, ForwardSpec((784, 1)), ("inputs", "L3", 4 * 784 * 1000 / 100e9)),  # one multiply-add for each input
    ],
)
def test_what_binds(rows, spec, binding):
    every = floors(work(rows, spec), ROOFS)
    assert {floor.what for floor in every} == {"arithmetic", "weights", "inputs"}
    assert (every[0].what, every[0].roof) == binding[:2]
    assert every[0].seconds == pytest.approx(binding[2], rel=0.1)
    assert [floor.what for floor in floors(work(rows, spec), replace(ROOFS, read_s={}))] == ["arithmetic"]


@given(factor=st.floats(1.0, 1e4), rows=st.sampled_from([1, 10, 1000]))
def test_no_call_slower_than_its_floor_is_impossible(factor, rows):
    found = judge(work(rows), ROOFS, floors(work(rows), ROOFS)[0].seconds * factor)
    assert not found.impossible
    assert found.share == pytest.approx(1 / factor)


def test_more_than_the_machine_can_is_refused_with_the_cause():
    least = floors(work(1000), ROOFS)[0].seconds
    assert not judge(work(1000), ROOFS, least / 1.04).impossible, "clocks wander"
    found = judge(work(1000), ROOFS, least / (IMPOSSIBLE * 1.01), why="not synchronised")
    assert (found.impossible, found.reason) == (True, "not synchronised")
    skips = judge(work(1000), ROOFS, least / 2, skips=True)
    assert (skips.impossible, skips.reason) == (False, "it declares that it skips work")
    assert skips.share == pytest.approx(2)


def test_busy_neighbours_and_skipped_work_explain_something_and_not_all():
    every, low = floors(work(1000), ROOFS), replace(ROOFS, disturbed=True)
    near = judge(work(1000), low, every[0].seconds / 2)
    assert (near.impossible, near.reason) == (False, "something else ran beside the roofs")
    assert judge(work(1000), low, every[0].seconds / 11).impossible
    inputs = next(floor.seconds for floor in every if floor.what == "inputs")
    assert not judge(work(1000), ROOFS, inputs, skips=True).impossible
    found = judge(work(1000), ROOFS, inputs / 2, skips=True)
    assert (found.impossible, found.binding.what) == (True, "inputs"), "it has to read its inputs"


def test_a_part_of_what_l3_holds_may_still_be_in_l2():
    """1 MiB of 7.1 MiB of weights comes at 200 GB/s, the rest at 100: 7 % above the roof of L3 alone is possible."""
    wide = ForwardSpec((784, 1024, 1024, 10))
    found = next(floor for floor in floors(work(1, wide), ROOFS) if floor.what == "weights")
    n_bytes = wide.weight_bytes()
    assert found.roof == "L3"
    assert found.seconds == pytest.approx((n_bytes - 2**20) / 100e9 + 2**20 / 200e9)
    assert not judge(work(1, wide), ROOFS, n_bytes / 107e9).impossible
    assert judge(work(1, wide), ROOFS, n_bytes / 120e9).impossible
    bare = Roofs(2, 250e9, "multiply-add", {"L2": 200e9, "DRAM": 40e9}, {"L2": 2**20})  # no L3: before DRAM is L2
    found = next(floor for floor in floors(work(1, wide), bare) if floor.what == "weights")
    assert (found.roof, found.seconds) == ("DRAM", pytest.approx((n_bytes - 2 * 2**20) / 40e9 + 2 * 2**20 / 200e9))
