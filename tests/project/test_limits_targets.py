"""`scripts/limits_targets.py`: a run is held to this project's targets, and what was found is kept and read back."""

import sys
from dataclasses import asdict, replace

import limits_targets
import pytest

from mlpbench.bench import words
from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.report.sections import limits as shown
from mlpbench.bench.stats.estimates import Ratio
from support import simulate
from support.runs import limits as limit_runs
from support.runs.limits import TIMES, write

BOOKS = {1: 3.5, 100: 1.4, 10_000: 1.5}
MNIST = {"name": "mnist", "rows": 1000, "sha256": None, "source": None}
WIDE = {**simulate.SPEC, "sizes": [784, 1024, 1024, 10]}


def find(run):
    return limits.find(run, summarize([run]))


def targets(found, kernel):
    row = next(row for row in found.rows if row.kernel == kernel)
    return {p.batch_size: limits_targets.of_peers(found.setting, kernel, p.batch_size) for p in row.places}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, BOOKS),
        ({"spec": WIDE}, dict.fromkeys(BOOKS, 1.0)),
        ({"profile": "quick"}, dict.fromkeys(BOOKS)),
        ({"threads": 2}, dict.fromkeys(BOOKS)),
        ({"spec": {**simulate.SPEC, "dtype": "float64"}}, dict.fromkeys(BOOKS)),
        ({"spec": {**simulate.SPEC, "sizes": [784, 60, 10]}}, dict.fromkeys(BOOKS)),
    ],
    ids=["book", "wide", "profile", "threads", "dtype", "spec"],
)
def test_targets_are_those_of_kernel_threads_network_and_batch_size(tmp_path, changes, expected):
    found = find(write(tmp_path, **changes))
    assert targets(found, "numba-simd") == expected
    shares = {s.what: limits_targets.of_limit(found.setting, s) for s in found.shares if s.kernel == "numba-simd"}
    assert shares == ({"peak": 0.93, "product": 1.0, "floor": 1.15} if expected == BOOKS else dict.fromkeys(shares))


@pytest.mark.parametrize(("data", "target"), [(MNIST, 7.0), ({**MNIST, "name": "digits"}, None)])
def test_a_kernel_that_skips_zeros_has_targets_on_mnist_alone(tmp_path, data, target):
    found = find(write(tmp_path, {**TIMES, ("numba-simd-sparse", "batched", 1): 0.5e-6}, data=data))
    assert targets(found, "numba-simd-sparse") == {1: target}


def test_met_and_within_noise():
    def goal(target, *ratio, at_least=True):
        found = limits_targets.Goal("", Ratio(*ratio, 3, True), target, at_least)
        return found.met, found.within_noise

    assert goal(2.0, 2.0, 1.9, 2.1) == (True, True)
    assert goal(2.0, 1.99, 1.98, 2.01) == (False, True)
    assert goal(2.0, 2.2, 2.1, 2.3) == (True, False)
    assert goal(2.0, 2.2, float("nan"), float("nan")) == (True, False)
    assert goal(1.15, 1.1, 1.0, 1.2, at_least=False) == (True, True)
    assert goal(1.15, 1.2, 1.16, 1.3, at_least=False) == (False, False)


def test_every_goal_is_told_and_counted(tmp_path):
    """Of 3 + 2 ratios and 3 shares, all the same in every repeat: one ratio misses in each kernel."""
    slow = {**TIMES, ("numba-simd", "batched", 10_000): TIMES["numba-simd", "batched", 10_000] / 2}
    said = limits_targets.sentences([find(write(tmp_path)), find(write(tmp_path, slow, seed=1, threads=2))])
    assert said[:2] == [
        "6 of 8 targets are met; 0 of all are within noise.",
        "784-50-100-10, 1 thread, float32, digits: 6 of 8",
    ]
    assert "  numba-simd, batch 1, beside onnxruntime-bound: 4.00x (4.00 to 4.00), at least 3.5: met" in said
    assert "  numba-simd-new, batch 100, beside onnxruntime: 0.900x (0.900 to 0.900), at least 1.4: missed" in said
    assert len(said) == 2 + 8, "the other setting has no target"
    too_fast = limits_targets.sentences([find(write(tmp_path, slow, seed=2))])
    assert too_fast[0].startswith("5 of 7"), "a peak that was measured too low is nothing to be held to"
    assert limits_targets.sentences([]) == ["No targets: they are for the profile limits in float32."]


def test_the_script_says_what_is_met_of_a_run_and_of_its_file(tmp_path, monkeypatch, capsys):
    run = write(tmp_path / "results")

    def main(*arguments):
        monkeypatch.setattr(sys, "argv", ["limits_targets.py", *map(str, arguments)])
        return limits_targets.main(), capsys.readouterr().out

    status, told = main(run.path)
    assert (status, told.splitlines()[0]) == (1, "6 of 8 targets are met; 0 of all are within noise.")
    assert main("--write", run.path)[0] == 0
    assert main(run.path.with_name(f"{run.path.name}.limits.json")) == (1, told)
    old = {name: {"describe": {"threads": 1, "isa": "avx2"}} for name in ("numba-simd", "numba-simd-new")}
    assert main(write(tmp_path / "old", infos=old).path) == (
        0,
        "No targets: they are for processors with AVX-512, which the kernels did not use.\n",
    )


@pytest.fixture
def kept(tmp_path):
    """Return what was found in a run, and the file that keeps it."""
    run = write(tmp_path / "results", {**TIMES, ("numba", "batched", 1): 3e-6}, repeats=1)  # no intervals: null in JSON
    return find(run), limits_targets.write(run.path)


def whole(limits):
    """Return all that is known as JSON has it, in which what is no number is null and equals itself."""
    return words.plain(asdict(limits))


def test_a_file_is_read_back_as_it_was_written(kept):
    """Also with targets in it, as those that were written while reports had targets."""
    found, path = kept
    (again,), command = limits_targets.read(path)
    assert whole(again) == whole(found)
    assert command == ("mlpbench", "run")
    assert shown.tables([again]) == shown.tables([found])
    with simulate.edited(path) as content:
        for place in content["mlpbench"]["limits"][0]["rows"][0]["places"]:
            place["target"] = {"value": 3.5, "at_least": True}
    assert whole(limits_targets.read(path)[0][0]) == whole(found)


def test_kernels_without_targets_can_be_left_out(kept):
    found, _ = kept
    assert [row.kernel for row in found.rows] == ["numba-simd", "numba-simd-new", "numba"]
    held = limits_targets.held(found)
    assert [row.kernel for row in held.rows] == ["numba-simd", "numba-simd-new"]
    assert {share.kernel for share in held.shares} == {"numba-simd"}
    assert limits_targets.held(replace(found, rows=())).rows == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda block: block.update(kind="plan"),
        lambda block: block.update(schema=2),
        lambda block: block["limits"][0]["setting"].pop("spec"),
        lambda block: block["limits"][0]["rows"][0].pop("places"),
    ],
    ids=["kind", "schema", "spec", "places"],
)
def test_what_it_is_not_is_refused_in_one_line(kept, damage):
    _, path = kept
    with simulate.edited(path) as content:
        damage(content["mlpbench"])
    with pytest.raises(UserError) as caught:
        limits_targets.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_profile_measures_peers_beside_every_kernel_that_has_a_target():
    kernels = {kernel for kernel, _ in limits_targets.PEERS}
    assert kernels == set(limits_targets.profile(limits_targets.PROFILE).kernels)
    assert not kernels & set(limit_runs.PEERS)
