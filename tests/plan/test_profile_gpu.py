"""The sweep that the profile `gpu` is: kernels on a device, and NumPy beside them."""

import pytest

from mlpbench.bench.errors import UserError
from mlpbench.bench.plan import choose, probe, profiles
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from support.terminal import typed

PROFILE = profiles.profile("gpu")


@pytest.fixture
def planned(monkeypatch):
    """Plan the profile where CuPy's kernel can run, or cannot for that reason."""

    def make(reason=None, named=()):
        def probe_all(names, specs, _):
            of_cupy = reason or None
            answers = {"cupy": Probed("cupy", "cupy", "cuda", "14", of_cupy)}
            return iter([answers.get(name, Probed(name, name, "cpu", "1", None)) for name in names])

        monkeypatch.setattr(probe, "probe_all", probe_all)
        return choose.plan(Request(profile=PROFILE, kernels=named, data="digits", repeats=1, seed=1))

    return make


def test_kernels_of_the_device_are_beside_numpy(planned):
    assert set(planned().plan.kernels) == {"cupy", "numpy"}
    assert set(planned(named=("numba",)).plan.kernels) == {"numba"}, "what is named is what is meant"
    sizes = [case.batch_size for case in planned().plan.cases if case.mode == "batched"]
    assert sizes == [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]


def test_without_a_gpu_the_reason_is_told(planned):
    with pytest.raises(UserError, match="no kernel that computes on cuda is available: cupy: no driver"):
        planned("no driver")


def test_a_card_that_is_none_is_told_in_one_line(tmp_path):
    ran = typed("run", "numpy", "--device", "H100", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1
    assert "--device H100: give the index of a card, or its UUID" in ran.stderr
