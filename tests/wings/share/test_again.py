"""Whether times came out again, on files with known truth; and what a file can let nobody install or run."""

import pytest
from msgspec.structs import replace

from mlpbench.bench.errors import NothingComparable
from mlpbench.bench.wings.share import again, shared
from support import simulate
from support.terminal import refusal

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}


def written(folder, factor=1.0, **settings):
    times = {at: factor * sample_s for at, sample_s in TIMES.items()}
    return simulate.read(simulate.write_run(folder, times, noise=0.005, repeats=6, **settings))


@pytest.mark.parametrize(
    ("factor", "status", "said"),
    [(1.0, 0, "Reproduced, in 2 of 2 cases"), (1.25, 1, "0.8x, the median case"), (0.5, 0, "2x, the median case")],
)
def test_a_verdict_says_how_much_and_what_differs(tmp_path, factor, status, said):
    head = shared.make(written(tmp_path / "there"))
    other = simulate.environment(libraries={"numpy": "2.3.5"})
    here = written(tmp_path / "here", factor, seed=1, environment=other if factor != 1 else simulate.environment())
    verdict = again.judge(head, here)
    assert verdict.status == status
    assert verdict.sentence.startswith(said)
    assert ("numpy 2.4.6 there, 2.3.5 here" in verdict.sentence) == (factor != 1)


def test_single_repeats_are_undecided_and_no_case_in_common_is_not_comparable(tmp_path):
    head = shared.make(written(tmp_path / "there"))
    single = simulate.read(simulate.write_run(tmp_path / "here", TIMES, repeats=1))
    assert (again.judge(head, single).status, again.judge(head, single).sentence[:9]) == (4, "Undecided")
    other = simulate.read(simulate.write_run(tmp_path / "other", {("numba", "batched", 100): 1e-6}))
    assert "no case of the file has a time here" in refusal(again.judge, head, other, kind=NothingComparable)


def test_a_file_lets_nobody_run_a_file_or_install_another_package(tmp_path):
    head = shared.make(written(tmp_path))
    evil = replace(head, cases=(replace(head.cases[0], kernel="evil.py"),))
    assert "no kernel evil.py" in refusal(again.choose, evil, (), kind=NothingComparable)
    assert "numpie" in refusal(again.choose, head, ["numpie"])
    versions = {"numpy": "1.0.0.dev7", "requests": "1"}
    assert [str(one) for one in again.requirements(replace(head, versions=versions), ["numpy"])] == [
        "numpy==1.0.0.dev7"
    ]
    address = replace(head, versions={"numpy": "1 @ https://example.org/x.whl"})
    assert "versions: " in refusal(again.requirements, address, ["numpy"])
    here = again.collect().libraries["numpy"]
    assert again.requirements(replace(head, versions={"numpy": here}), ["numpy"]) == [], "no build is needed"
