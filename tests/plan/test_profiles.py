"""What is timed: named grids, batch sizes as people write them."""

import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import profiles


def test_the_default_profile_is_the_one_that_was_promised():
    quick = profiles.profile("quick")
    assert (quick.kernels, quick.modes, quick.repeats) == (None, ("per_sample", "batched"), 5)
    assert quick.batch_sizes == (1, 10, 100, 1000, 10_000)
    assert quick.usual == ["numpy", "numba", "numba-parallel", "numba-simd", "cupy"], "what most readers know"
    assert set(profiles.profile("gpu").usual) > set(quick.usual), "of a device, every kernel"


def test_the_book_profile_is_the_books_experiment():
    book = profiles.profile("book")
    assert book.kernels == ("numpy",)
    both = [Case(mode, size) for mode in ("batched", "book") for size in (1, 100)]
    assert cases_.grid(book.modes, book.batch_sizes) == [Case("per_sample", 100), *both]


def test_the_gpu_profile_goes_from_one_row_to_a_million():
    gpu = profiles.profile("gpu")
    assert gpu.batch_sizes == tuple(10**n for n in range(7))
    assert (gpu.kernels, gpu.device) == (None, "cuda")


def test_every_profile_measures_both_ways_and_smoke_is_the_shortest():
    assert set(profiles.PROFILES) == {"smoke", "quick", "full", "book", "gpu"}
    for name, profile in profiles.PROFILES.items():
        assert profile.name == name
        assert {"per_sample", "batched"} <= set(profile.modes) <= set(cases_.MODES)
        assert min(profile.batch_sizes) == 1
        assert profile.min_rounds >= 3
    budgets = {name: p.repeats * p.max_time_s * len(p.batch_sizes) for name, p in profiles.PROFILES.items()}
    assert budgets["smoke"] == min(budgets.values())
    assert budgets["full"] == max(budgets.values())


def test_an_unknown_profile_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown profile 'quik' \(did you mean quick\?\); there are book, full"):
        profiles.profile("quik")


def test_one_at_a_time_is_one_case_whatever_the_batch_sizes():
    cases = cases_.grid(("batched", "per_sample"), (7, 3))
    assert cases == [Case("batched", 7), Case("batched", 3), Case("per_sample", cases_.PER_SAMPLE_ROWS)]
    # A case named twice is timed once.
    assert cases_.grid(("batched", "batched"), (10, 1, 10)) == [Case("batched", 10), Case("batched", 1)]


def test_an_unknown_mode_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown mode 'batch' \(did you mean batched\?\); there are per_sample"):
        cases_.grid(("batch",), (1,))
