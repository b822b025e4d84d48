"""Kernels on a device: its roofs, what becomes of the parts, times that cannot be, and how it is told."""

import re

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record.device import QUANTILES
from mlpbench.bench.report import render
from mlpbench.bench.wings.why import evidence, explain
from mlpbench.bench.wings.why.section import roof_table, run_sentences
from mlpbench.kernels.spec import MNIST
from support import evidence_files as files

FLOP, N_BYTES = MNIST.flop(1), MNIST.weight_bytes()
TF32_CUBLAS, TF32_MMA, FLOOR_S = 1.5e13, 2.3e13, 8e-6


def write(folder, times=files.TIMES, devices=None, **settings):
    """Write a run of one kernel on the device, and read it."""
    devices = [files.of_device()] if devices is None else devices
    return files.write(folder, times, **{"roofs_file": files.roofs(devices=devices), **files.CUDA, **settings})


def explained(run):
    return explain.find(run, summarize([run]))


def only(run):
    (kernel,) = explained(run).kernels
    return kernel


def fast(seconds):
    return {**files.TIMES, ("numpy", "batched", 1000): seconds}


def test_the_fastest_way_to_each_level_is_its_roof_and_every_case_is_held_to_it(tmp_path):
    """Nothing nearer than L2 keeps weights from one call to the next."""
    run = write(tmp_path)
    roofs = evidence.read(run).devices["cuda"]
    assert (roofs.threads, roofs.device, roofs.name, roofs.disturbed) == (1, "cuda", "NVIDIA Stand-In", False)
    assert (roofs.flop_s, roofs.arithmetic) == (pytest.approx(files.DEVICE_PEAK), "matrix product")
    assert dict(roofs.read_s) == pytest.approx(files.DEVICE_READ), "the copies were slower"
    told = "Roofs, cuda (NVIDIA Stand-In): 10,000 GFLOP/s (matrix product); reading in GB/s: L2 4,000, DRAM 1,000."
    assert told in run_sentences(explained(run))
    assert explained(run).as_dict()["devices"]["cuda"]["read_s"]["DRAM"] == pytest.approx(1e12)
    kernel = only(run)
    one, last = kernel.shares[0].verdict, kernel.shares[-1].verdict
    assert (one.binding.what, one.binding.roof, last.binding.roof) == ("weights", "L2", "matrix product")
    seconds = files.T0 / 10_000 + files.ROW
    shares = (N_BYTES / files.DEVICE_READ["L2"] / 13e-6, FLOP / files.DEVICE_PEAK / seconds)
    assert (one.share, last.share) == pytest.approx(shares, rel=1e-3)
    assert (kernel.device, kernel.weights_in) == ("cuda", "L2")
    assert kernel.attribution.parts["weights"].value == 0, "the smaller network's come from there too"
    assert roof_table([kernel]).rows[0][-1] == "weights from L2"


def test_a_time_that_the_device_cannot_reach_is_refused_and_one_that_only_the_device_can_reach_is_not(tmp_path):
    """A call of 1,000 rows takes 5 us, where its arithmetic takes 9."""
    run = write(tmp_path, fast(5e-9))
    assert {failure.batch_size for failure in run.failures} == {1000}
    line = r"1[89]\d % of the machine's matrix product peak; likely cause: work is skipped"
    assert re.search(rf"Refused: numpy, batch 1,000.*: roofline: it would be {line}", render.render([run], "md"))
    assert not write(tmp_path, fast(2e-8), seed=1).failures
    info = {**files.CUDA["kernel_info"], "device": "cpu"}
    assert write(tmp_path, fast(2e-8), kernel_info=info, seed=2).failures


@pytest.mark.parametrize(("cpu", "device", "disturbed"), [(1.0, 1.5, True), (1.5, 1.0, False)])
def test_whose_roofs_were_disturbed(tmp_path, cpu, device, disturbed):
    roofs = files.roofs(files.measured(1, spread=cpu), devices=[files.of_device(spread=device)])
    run = write(tmp_path, fast(5e-9), roofs_file=roofs)
    (line,) = [line for line in run_sentences(explained(run)) if line.startswith("Something else ran")]
    assert ("of cuda" in line, explained(run).devices["cuda"].disturbed) == (disturbed, disturbed)
    assert bool(run.failures) is not disturbed


def test_devices_are_read_where_the_cpu_was_not_measured(tmp_path):
    roofs = files.roofs([], reason="the process ended with 1", devices=[files.of_device()])
    whole = explained(write(tmp_path, roofs_file=roofs))
    assert not whole.evidence.roofs
    assert whole.devices["cuda"].flop_s == pytest.approx(files.DEVICE_PEAK)
    assert any("the process ended with 1" in line for line in run_sentences(whole))
    # A device may have no cache that is known.
    device = files.of_device()
    device["caches"] = {}
    device["measured"] = [entry for entry in device["measured"] if entry["name"] != "L2"]
    kernel = only(write(tmp_path, devices=[device], seed=1))
    assert (kernel.weights_in, kernel.attribution.parts["weights"]) == ("DRAM", None), "nothing to compare with"


# One peak for each arithmetic, and the floor of a launch


def entries(*launches):
    """Return the device's measurements with those of tensor cores and of launches."""
    peaks = (
        ("matrix product", "cuBLAS", "tf32", TF32_CUBLAS),
        ("multiply-add", "mma.sync in registers", "tf32", TF32_MMA),
        ("multiply-add", "FFMA in registers", "fp32", 1.1 * files.DEVICE_PEAK),
    )
    return [
        *files.of_device()["measured"],
        *({"name": n, "how": how, "arithmetic": kind, **files.timed(rate, 1.0)} for n, how, kind, rate in peaks),
        *({"name": "launch and wait", "how": how, "work": 1, "data": [s, 2 * s]} for how, s in launches),
    ]


def of_kernel(folder, arithmetic, times, *launches, **settings):
    info = {**files.CUDA["kernel_info"], "describe": {"arithmetic": arithmetic}}
    return write(folder, times, [files.of_device(entries=entries(*launches))], kernel_info=info, **settings)


def test_a_kernel_is_held_to_the_peak_of_its_own_arithmetic(tmp_path):
    """At twice the peak of FFMA a kernel on tensor cores is believed, and at 1.1 times their own it is not."""
    twice, above = FLOP / (2.2 * files.DEVICE_PEAK), FLOP / (1.1 * TF32_MMA)
    three = FLOP / (TF32_MMA / 3 + 1.1 * files.DEVICE_PEAK)
    believed, refused = (
        (("tf32", twice), ("3xtf32", three)),
        (("tf32", above), ("fp32", twice), ("3xtf32", three / 1.1)),
    )
    assert [of_kernel(tmp_path / f"{n}", kind, fast(s)).failures for n, (kind, s) in enumerate(believed)] == [(), ()]
    reasons = [of_kernel(tmp_path / f"r{n}", kind, fast(s)).failures[0] for n, (kind, s) in enumerate(refused)]
    assert "110 % of the machine's tf32 multiply-add peak" in reasons[0].reason, "in registers is faster than cuBLAS"
    assert "200 % of the machine's multiply-add peak" in reasons[1].reason
    unmeasured = only(of_kernel(tmp_path / "fp8", "fp8", fast(FLOP / (5 * files.DEVICE_PEAK))))
    assert "arithmetic" not in {share.verdict.binding.what for share in unmeasured.shares}


def test_where_the_launch_binds_it_is_said_and_one_that_is_cheaper_than_cupys_is_believed(tmp_path):
    """One row takes 13 us, of which an empty launch and its wait would take eight; the faster way of two counts."""
    run = of_kernel(tmp_path, "fp32", files.TIMES, ("empty kernel", 2 * FLOOR_S), ("empty graph", FLOOR_S))
    one, last = only(run).shares[0].verdict, only(run).shares[-1].verdict
    assert (one.binding.what, one.binding.roof, one.binding.seconds) == ("launch", "empty graph", FLOOR_S)
    assert (one.share, last.binding.what) == (pytest.approx(FLOOR_S / 13e-6, rel=1e-3), "arithmetic")
    text = render.render([run], "md")
    assert "| launch floor |" in text
    assert "a launch and its wait: empty kernel 16.0 µs, empty graph 8.00 µs" in text
    assert "23,000 (tf32 multiply-add)" in text
    run = of_kernel(tmp_path / "cheaper", "fp32", files.TIMES, ("empty kernel", 20e-6))
    assert (run.failures, only(run).shares[0].verdict.reason) == ((), "it launches faster than CuPy does")


# By the device's own clock


def device_times(measure, seconds):
    """Return the device times of a process: one measurement of a case, and a case without any."""
    times = {"seconds": dict.fromkeys(QUANTILES, seconds)}
    cases = [
        {"mode": "batched", "batch_size": 1000, "rows": 1000, "times": {measure: {**times, "samples": 50}}},
        {"mode": "batched", "batch_size": 10, "rows": 10, "lost": {measure: "the call waits"}},
    ]
    return {"cases": cases}


def test_the_cold_time_of_a_device_has_a_share_of_its_own(tmp_path):
    """Weights and inputs come from memory then, and no launch is in the time."""
    cold = device_times("cold", 20e-6)
    run = of_kernel(tmp_path, "fp32", files.TIMES, ("empty kernel", 1.0), device_times=cold)
    (share,) = only(run).on_device
    assert (share.mode, share.batch_size, share.call_s) == ("batched", 1000, 20e-6)
    arithmetic = 1000 * FLOP / (1.1 * files.DEVICE_PEAK)
    assert arithmetic > MNIST.input_bytes(1000) / files.DEVICE_READ["DRAM"]
    assert share.verdict.share == pytest.approx(arithmetic / 20e-6)
    row = [line for line in render.render([run], "md").splitlines() if "| batch 1,000, device, cold |" in line]
    assert f"| {round(100 * arithmetic / 20e-6)} % | multiply-add |" in row[0]
    assert only(write(tmp_path / "old")).on_device == ()


@pytest.mark.parametrize(("hot_s", "refused"), [(30e-6, False), (59e-6, False), (62e-6, True), (1e-3, True)])
def test_a_call_that_is_over_before_the_device_is_was_not_waited_for(tmp_path, hot_s, refused):
    """A missing wait, seen by the device's own clock where no roof would: a call of 1,000 rows takes 30 us."""
    run = write(tmp_path, fast(30e-9), device_times=device_times("hot", hot_s))
    reasons = {(failure.batch_size, "the device alone takes" in failure.reason) for failure in run.failures}
    assert reasons == ({(1000, True)} if refused else set())
