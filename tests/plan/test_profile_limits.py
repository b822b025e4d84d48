"""The sweep that the profile `limits` is: which kernels, in which settings, how often."""

import json
import os
import subprocess
import sys
from collections import Counter

import limits_targets
import pytest

from mlpbench.bench import cases as cases_
from mlpbench.bench.analysis import evidence
from mlpbench.bench.cli.announce import _what_comes
from mlpbench.bench.data.workload import Options
from mlpbench.bench.machine.binding import Binding
from mlpbench.bench.plan import choose, probe, profiles
from mlpbench.bench.plan.choose import find_data, find_settings, make_sweep, make_workloads
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.record import runs as record
from mlpbench.kernels import registry
from support.sources import ROOT

PROFILE = profiles.profile("limits")
ABSENT = "no module named openvino"


@pytest.fixture
def planned(monkeypatch):
    """Plan the profile on a machine of two processors where one peer is not installed."""

    def make(**settings):
        def probe_all(names, specs, _):
            return iter([Probed(name, name, "cpu", "1", ABSENT if name == "openvino" else None) for name in names])

        monkeypatch.setattr(probe, "probe_all", probe_all)
        monkeypatch.setattr("mlpbench.bench.values.processors", lambda: 2)
        options = Options(data="digits")
        found = find_settings(PROFILE, options, None, None, None)
        cases = cases_.grid(PROFILE.modes, PROFILE.batch_sizes)
        workloads = make_workloads(found, options, 10_000)
        aim = choose.find_aim(PROFILE, settings.get("repeats"), None, None)
        asked = {"repeats": None, "seed": 1, "aim": aim, "clock": (), **settings}
        return make_sweep(PROFILE, list(PROFILE.kernels), False, PROFILE.peers, found, workloads, cases, **asked)

    return make


def runs_of(planned):
    """Return how often each kernel runs in each setting."""
    return {
        (part.setting.spec, part.setting.threads): Counter(kernel for kernel, _ in part.plan.order)
        for part in planned.parts
    }


def test_our_kernels_and_every_peer_that_is_installed(planned):
    sweep_of_all = planned()
    runs = runs_of(sweep_of_all)
    peers = set(registry.peers()) - {"openvino"}
    assert set(runs[limits_targets.BOOK, 1]) == peers | set(PROFILE.kernels)
    assert set(runs[limits_targets.WIDE, 2]) == peers | {"numba-simd-parallel"}, "the others use one thread anyway"
    assert all(kernel in runs[limits_targets.BOOK, threads] for kernel, threads in limits_targets.PEERS)
    assert PROFILE.batch_sizes == limits_targets.BATCH_SIZES
    for part in sweep_of_all.parts:
        skipped = {skip.kernel: skip.reason for skip in part.plan.skipped}
        assert skipped["openvino"] == ABSENT
        assert ("numba-simd" in skipped) == (part.setting.threads == 2)


def test_five_repeats_of_the_books_network_and_three_of_the_wide_one_with_one_thread_and_with_all(planned):
    sweep_of_all = planned()
    runs = {at: set(counts.values()) for at, counts in runs_of(sweep_of_all).items()}
    repeats = {limits_targets.BOOK: 5, limits_targets.WIDE: 3}
    assert runs == {(spec, threads): {count} for spec, count in repeats.items() for threads in (1, 2)}
    assert sweep_of_all.plan.repeats == 5
    assert {part.setting.spec: part.plan.repeats for part in sweep_of_all.parts} == repeats
    said = list(_what_comes(sweep_of_all))[1]
    assert said.startswith("16 kernels, 8 cases each, 3 to 5 repeats and more until"), "one peer is not installed"
    order = [repeat for _, repeat in sweep_of_all.plan.order]
    assert order == sorted(order), "repeats of all settings stand side by side"


def test_so_many_repeats_as_were_asked_for_are_exact(planned):
    runs = runs_of(planned(repeats=4))
    assert {count for counts in runs.values() for count in counts.values()} == {4}


def test_every_process_of_a_setting_is_bound_to_the_same_processors(planned, monkeypatch):
    monkeypatch.setattr("mlpbench.bench.machine.binding.choose", lambda threads: Binding(tuple(range(threads))))
    sweep_of_all = planned()
    bound = {(part.setting.threads, part.plan.binding) for part in sweep_of_all.parts}
    assert bound == {(1, Binding((0,))), (2, Binding((0, 1)))}
    said = list(_what_comes(sweep_of_all))
    assert "processes of 1 thread are bound to processor 0" in said
    assert "processes of 2 threads are bound to processors 0, 1" in said


def test_limits_are_measured_in_every_repeat_behind_the_first_kernel_that_is_held_to_them(planned):
    after = {(part.setting.threads, part.plan.limits_after) for part in planned().parts}
    assert after == {(1, "numba-simd"), (2, "numba-simd-parallel")}, "on two threads the others do not run"


def test_where_that_is_not_possible_it_goes_on_and_the_plan_says_why(planned, monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    reasons = {part.plan.binding.reason for part in planned().parts}
    assert reasons == {"this system has no call for it"}


@pytest.mark.parametrize(("there", "data"), [(True, "mnist"), (False, None)])
def test_mnist_where_it_is_found(monkeypatch, there, data):
    monkeypatch.setattr("mlpbench.bench.data.mnist.has_part", lambda part, _: there and part == "test")
    assert find_data(PROFILE, None) == data
    assert find_data(profiles.profile("quick"), None) is None


def test_it_runs_and_records_what_kernels_return_and_the_limits_of_each_repeat(tmp_path):
    """One kernel and one batch size: a profile's own are only what the command line leaves open."""
    words = ["numpy-out", "--profile=limits", "--threads=1", "--batch-size=1", "--repeats=2", "--spec=20-10-3"]
    command = [sys.executable, "-m", "mlpbench", "run", *words, "--data=random", f"--out={tmp_path}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (file,) = tmp_path.glob("*/*/numpy-out.0.json")
    block = json.loads(file.read_text())["mlpbench"]
    assert (block["kernel_info"]["returns"], block["kernel_info"]["peer"]) == ("kept", False)
    assert (block["plan"]["profile"], block["plan"]["kernels"]) == ("limits", ["numpy-out"])
    found = evidence.read(record.read_run(file.parent)).sustained
    assert set(found.by_repeat("multiply-add", 1)) | {*found.reasons} == {0, 1}
    assert all("busy" in reason for reason in found.reasons.values()), "it may be, of a test"
    assert len(record.read_run(file.parent).records) == 2
    if hasattr(os, "sched_setaffinity"):
        affinity = block["environment"]["machine"]["affinity"]
        assert affinity == block["plan"]["binding"]["processors"], "one setting of the profile is bound too"
        assert len(affinity) == 1
