"""Kernels on a device: its roofs, what becomes of the parts, times that cannot be, and how it is told."""

import re

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report import render
from mlpbench.bench.wings.why import bounds, evidence, explain
from mlpbench.bench.wings.why.section import roof_table, run_sentences
from mlpbench.kernels.base import Facts
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import evidence_files as files

FLOP, N_BYTES = MNIST.flop(1), MNIST.weight_bytes()
#: The network's weights are too many for the device's L2.
WIDE = ForwardSpec((784, 2048, 1024, 10))


def write(folder, times=files.TIMES, devices=None, **settings):
    """Write a run of one kernel on the device, and read it."""
    devices = [files.of_device()] if devices is None else devices
    settings = {"roofs_file": files.roofs(devices=devices), **files.CUDA, **settings}
    return files.write(folder, times, **settings)


def only(run):
    (kernel,) = explain.find(run, summarize([run])).kernels
    return kernel


def test_the_fastest_way_to_each_level_is_its_roof(tmp_path):
    run = write(tmp_path)
    roofs = evidence.read(run).devices["cuda"]
    assert (roofs.threads, roofs.device, roofs.name) == (1, "cuda", "NVIDIA Stand-In")
    assert roofs.flop_s == pytest.approx(files.DEVICE_PEAK)
    assert roofs.arithmetic == "matrix product"
    assert dict(roofs.read_s) == pytest.approx(files.DEVICE_READ), "the copies were slower"
    assert dict(roofs.copies_s) == pytest.approx(files.COPIES)
    assert not roofs.disturbed
    found = explain.find(run, summarize([run]))
    told = (
        "Roofs, cuda (NVIDIA Stand-In): 10,000 GFLOP/s (matrix product); reading in GB/s: L2 4,000, DRAM 1,000; "
        "copying in GB/s: host to device 12.0, device to host 11.0."
    )
    assert told in run_sentences(found)
    assert told in render.render([run], "md")
    assert found.as_dict()["devices"]["cuda"]["read_s"]["DRAM"] == pytest.approx(1e12)


def test_every_case_is_held_to_the_device(tmp_path):
    """Nothing nearer than L2 keeps weights from one call to the next."""
    run = write(tmp_path)
    kernel = only(run)
    one, last = kernel.shares[0], kernel.shares[-1]
    assert (one.verdict.binding.what, one.verdict.binding.roof) == ("weights", "L2")
    assert one.verdict.share == pytest.approx(N_BYTES / files.DEVICE_READ["L2"] / 13e-6, rel=1e-3)
    assert last.verdict.binding.roof == "matrix product"
    seconds = 10_000 * (files.T0 / 10_000 + files.ROW)
    assert last.verdict.share == pytest.approx(10_000 * FLOP / files.DEVICE_PEAK / seconds, rel=1e-3)
    assert (kernel.device, kernel.weights_in) == ("cuda", "L2")
    assert roof_table([kernel]).rows[0][-1] == "weights from L2"
    assert "weights from L2" in render.render([run], "md")


def test_weights_beyond_l2_cost_what_they_take_longer_than_from_l2(tmp_path):
    wide = {case: seconds + 20.0 * (case[1] == "per_sample") for case, seconds in files.TIMES.items()}
    small, large = write(tmp_path, seed=1), write(tmp_path, wide, seed=2, spec=WIDE.as_dict())
    assert only(small).attribution.parts["weights"].value == 0, "the smaller network's come from there too"
    n_bytes = WIDE.weight_bytes()
    extra = n_bytes / files.DEVICE_READ["DRAM"] - n_bytes / files.DEVICE_READ["L2"]
    found = only(large)
    assert found.weights_in == "DRAM"
    assert found.attribution.parts["weights"].value == pytest.approx(extra * (1 - 1e-4))
    one, l2 = found.shares[0], files.DEVICE_L2  # a part of what the memory holds may still be in L2
    assert one.verdict.binding.roof == "DRAM"
    least = l2 / files.DEVICE_READ["L2"] + (n_bytes - l2) / files.DEVICE_READ["DRAM"]
    assert one.verdict.share == pytest.approx(least / 20.0, rel=1e-3)


def fast(seconds):
    return {**files.TIMES, ("numpy", "batched", 1000): seconds}


def test_a_time_that_the_device_cannot_reach_is_refused_and_one_that_only_the_device_can_reach_is_not(tmp_path):
    """A call of 1,000 rows takes 5 us, where its arithmetic takes 9."""
    run = write(tmp_path, fast(5e-9))
    assert {failure.batch_size for failure in run.failures} == {1000}
    assert FLOP / files.DEVICE_PEAK / 5e-9 > 1.5
    line = r"1[89]\d % of the machine's matrix product peak; likely cause: work is skipped"
    assert re.search(rf"Refused: numpy, batched 1,000.*: roofline: it would be {line}", render.render([run], "md"))
    assert not write(tmp_path, fast(2e-8), seed=1).failures
    info = {**files.CUDA["kernel_info"], "device": "cpu"}
    assert write(tmp_path, fast(2e-8), kernel_info=info, seed=2).failures


@pytest.mark.parametrize(("cpu", "device", "disturbed"), [(1.0, 1.5, True), (1.5, 1.0, False)])
def test_whose_roofs_were_disturbed(tmp_path, cpu, device, disturbed):
    roofs = files.roofs(files.measured(1, spread=cpu), devices=[files.of_device(spread=device)])
    run = write(tmp_path, fast(5e-9), roofs_file=roofs)
    found = explain.find(run, summarize([run]))
    assert found.devices["cuda"].disturbed is disturbed
    said = [line for line in run_sentences(found) if line.startswith("Something else ran while the roofs")]
    assert said == [line for line in said if ("of cuda" in line) is disturbed]
    assert len(said) == 1
    assert bool(run.failures) is not disturbed


def test_devices_are_read_where_the_cpu_was_not_measured(tmp_path):
    roofs = files.roofs(roofs=None, reason="the process ended with 1", devices=[files.of_device()])
    run = write(tmp_path, roofs_file=roofs)
    found = explain.find(run, summarize([run]))
    assert not found.evidence.roofs
    assert found.devices["cuda"].flop_s == pytest.approx(files.DEVICE_PEAK)
    assert any("the process ended with 1" in line for line in run_sentences(found))
    # A device may have no cache that is known.
    there = files.of_device()
    there["roofs"]["caches"] = {}
    there["roofs"]["measured"] = [entry for entry in there["roofs"]["measured"] if entry["name"] != "L2"]
    kernel = only(write(tmp_path, devices=[there], seed=1))
    assert kernel.weights_in == "DRAM"
    assert kernel.attribution.parts["weights"] is None, "there is nothing to compare with"


# One peak for each arithmetic, and the floor of a launch

TF32_CUBLAS, TF32_MMA, FLOOR_S = 1.5e13, 2.3e13, 8e-6


def entries(*more):
    """Return the device's measurements with those of tensor cores and of launches."""
    made = files.of_device()["roofs"]["measured"]
    made += [
        {"name": name, "how": how, "arithmetic": arithmetic, **files.timed(rate, 1.0)}
        for name, how, arithmetic, rate in (
            ("matrix product", "cuBLAS", "tf32", TF32_CUBLAS),
            ("multiply-add", "mma.sync in registers", "tf32", TF32_MMA),
            ("multiply-add", "FFMA in registers", "fp32", 1.1 * files.DEVICE_PEAK),
        )
    ]
    return made + [
        {"name": "launch and wait", "how": how, "work": 1, "data": [seconds, 2 * seconds]} for how, seconds in more
    ]


def of_kernel(tmp_path, arithmetic, times, *more):
    info = {**files.CUDA["kernel_info"], "describe": {"arithmetic": arithmetic}}
    return write(tmp_path, times, [files.of_device(entries=entries(*more))], kernel_info=info)


def test_a_kernel_is_held_to_the_peak_of_its_own_arithmetic(tmp_path):
    """At twice the peak of FFMA a kernel on tensor cores is believed, and at 1.1 times their own it is not."""
    twice, above = FLOP / (2.2 * files.DEVICE_PEAK), FLOP / (1.1 * TF32_MMA)
    assert of_kernel(tmp_path / "a", "tf32", fast(twice)).failures == ()
    refused, *_ = of_kernel(tmp_path / "b", "tf32", fast(above)).failures
    assert "110 % of the machine's tf32 multiply-add peak" in refused.reason, "in registers is faster than cuBLAS here"
    refused, *_ = of_kernel(tmp_path / "c", "fp32", fast(twice)).failures
    assert "200 % of the machine's multiply-add peak" in refused.reason
    three = FLOP / (TF32_MMA / 3 + 1.1 * files.DEVICE_PEAK)
    assert of_kernel(tmp_path / "d", "3xtf32", fast(three)).failures == ()
    assert of_kernel(tmp_path / "e", "3xtf32", fast(three / 1.1)).failures


def test_an_arithmetic_that_nobody_measured_bounds_nothing(tmp_path):
    found = only(of_kernel(tmp_path, "fp8", fast(FLOP / (5 * files.DEVICE_PEAK))))
    assert "arithmetic" not in {share.verdict.binding.what for share in found.shares}


def test_where_the_launch_binds_it_is_said(tmp_path):
    """One row takes 13 us, of which an empty launch and its wait would take eight; the faster way of two counts."""
    run = of_kernel(tmp_path, "fp32", files.TIMES, ("empty kernel", 2 * FLOOR_S), ("empty graph", FLOOR_S))
    kernel = only(run)
    one = kernel.shares[0].verdict
    assert (one.binding.what, one.binding.roof, one.binding.seconds) == ("launch", "empty graph", FLOOR_S)
    assert one.share == pytest.approx(FLOOR_S / 13e-6, rel=1e-3)
    assert kernel.shares[-1].verdict.binding.what == "arithmetic"
    text = render.render([run], "md")
    assert "| launch floor |" in text
    assert "a launch and its wait: empty kernel 16.0 µs, empty graph 8.00 µs" in text
    assert "23,000 (tf32 multiply-add)" in text


def test_a_launch_that_is_cheaper_than_cupys_is_believed(tmp_path):
    run = of_kernel(tmp_path, "fp32", files.TIMES, ("empty kernel", 20e-6))
    kernel = only(run)
    assert run.failures == ()
    assert kernel.shares[0].verdict.reason == "it launches faster than CuPy does"


# By the device's own clock


def cold(seconds, samples=50):
    times = {f"{name}_s": seconds for name in ("min", "p5", "p25", "p50", "p75", "p95", "p99", "max")}
    cases = [
        {"mode": "batched", "batch_size": 1000, "rows": 1000, "times": {"cold": times | spread(samples)}},
        {"mode": "batched", "batch_size": 10, "rows": 10, "lost": {"cold": {"reason": "the call waits"}}},
    ]
    return {"rule": "until they agree", "cases": cases}


def spread(samples):
    return {"samples": samples, "stopped": "spread"}


def test_the_cold_time_of_a_device_has_a_share_of_its_own(tmp_path):
    """Weights and inputs come from memory then, and no launch is in the time."""
    info = {**files.CUDA["kernel_info"], "describe": {"arithmetic": "fp32"}}
    devices = [files.of_device(entries=entries(("empty kernel", 1.0)))]
    run = write(tmp_path, devices=devices, kernel_info=info, device_times=cold(20e-6))
    (share,) = only(run).on_device
    assert (share.mode, share.batch_size, share.call_s) == ("batched", 1000, 20e-6)
    arithmetic = 1000 * FLOP / (1.1 * files.DEVICE_PEAK)
    assert arithmetic > MNIST.input_bytes(1000) / files.DEVICE_READ["DRAM"]
    assert share.verdict.share == pytest.approx(arithmetic / 20e-6)
    text = render.render([run], "md")
    assert f"| {round(100 * arithmetic / 20e-6)} % | multiply-add |" in text
    assert "| numpy | batch 1,000, device, cold |" in text
    assert only(write(tmp_path / "old")).on_device == ()


@pytest.mark.parametrize(("used", "share"), [({}, 1), ({"input_dtype": "uint8"}, 0.25), ({"input_dtype": "what"}, 1)])
def test_inputs_that_stay_bytes_are_fewer_bytes(used, share):
    work = bounds.Work.of(MNIST, 10, 100, Facts.of(**used))
    assert work.input_bytes == share * MNIST.input_bytes(10)
    assert work.input_footprint == share * MNIST.input_bytes(100)
    assert work.weight_bytes == MNIST.weight_bytes()
    assert bounds.Work.of(MNIST, 10, 100, Facts(arithmetic="fp16")).weight_bytes == MNIST.weight_bytes() // 2


@pytest.mark.parametrize(("hot_s", "refused"), [(30e-6, False), (59e-6, False), (62e-6, True), (1e-3, True)])
def test_a_call_that_is_over_before_the_device_is_was_not_waited_for(tmp_path, hot_s, refused):
    """A missing wait, seen by the device's own clock where no roof would: a call of 1,000 rows takes 30 us."""
    times = cold(20e-6)
    times["cases"][0]["times"] = {"hot": {**times["cases"][0]["times"]["cold"]}}
    for name in list(times["cases"][0]["times"]["hot"]):
        if name.endswith("_s"):
            times["cases"][0]["times"]["hot"][name] = hot_s
    run = write(tmp_path, fast(30e-9), device_times=times)
    reasons = [failure.reason for failure in run.failures]
    assert bool(reasons) == refused
    if refused:
        assert "the device alone takes" in reasons[0]
        assert {failure.batch_size for failure in run.failures} == {1000}
