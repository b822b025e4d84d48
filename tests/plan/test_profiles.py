"""What is timed: named grids, batch sizes as people write them, and the sweep over kernels on a device."""

import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.cases import Case
from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import probe, profiles, sweep
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from support.terminal import called, complaint


def test_profiles_are_the_ones_that_were_promised():
    quick, gpu, book = map(profiles.profile, ("quick", "gpu", "book"))
    assert (quick.kernels, quick.modes, quick.repeats) == (None, ("per_sample", "batched"), 5)
    assert quick.batch_sizes == (1, 10, 100, 1000, 10_000)
    assert quick.usual == ["numpy", "numba", "numba-parallel", "numba-simd", "cupy"], "what most readers know"
    assert set(gpu.usual) > set(quick.usual), "of a device, every kernel"
    assert gpu.batch_sizes == tuple(10**n for n in range(7))
    both = [Case(mode, size) for mode in ("batched", "book") for size in (1, 100)]
    assert cases_.grid(book.modes, book.batch_sizes) == [Case("per_sample", 100), *both]
    for name, profile in profiles.PROFILES.items():
        assert profile.name == name
        assert {"per_sample", "batched"} <= set(profile.modes) <= set(cases_.MODES)
        assert min(profile.batch_sizes) == 1
        assert profile.min_rounds >= 3
    budgets = {name: p.repeats * p.max_time_s * len(p.batch_sizes) for name, p in profiles.PROFILES.items()}
    assert (min(budgets, key=budgets.get), max(budgets, key=budgets.get)) == ("smoke", "full")


def test_a_case_is_timed_once_and_one_at_a_time_is_one_case():
    grid = cases_.grid(("batched", "per_sample", "batched"), (7, 3, 7))
    assert grid == [Case("batched", 7), Case("batched", 3), Case("per_sample", cases_.PER_SAMPLE_ROWS)]


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown profile 'quik' \(did you mean quick\?\); there are book, full"):
        profiles.profile("quik")
    with pytest.raises(UserError, match=r"unknown mode 'batch' \(did you mean batched\?\); there are per_sample"):
        cases_.grid(("batch",), (1,))


def test_kernels_of_the_device_are_beside_numpy_or_the_reason_is_told(monkeypatch, capsys, tmp_path):
    def planned(reason=None, named=()):
        answers = {"cupy": Probed("cupy", "cupy", "cuda", "14", reason)}
        here = lambda names, *_: [answers.get(name, Probed(name, name, "cpu", "1", None)) for name in names]  # noqa: E731
        monkeypatch.setattr(probe, "probe_all", here)
        request = Request(profile=profiles.profile("gpu"), kernels=named, data="digits", repeats=1, seed=1)
        return set(sweep.plan(request).plan.kernels)

    assert planned() == {"cupy", "numpy"}
    assert planned(named=("numba",)) == {"numba"}, "what is named is what is meant"
    with pytest.raises(UserError, match="no kernel that computes on cuda is available: cupy: no driver"):
        planned("no driver")
    line = complaint(*called(capsys, "run", "numpy", "--device", "H100", "--results", tmp_path))
    assert line.startswith("--device H100: give a card's index, or its UUID")
