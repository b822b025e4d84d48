"""What the speedup is made of, from files with known answers: numbers and words, and times that cannot be."""

import json
import re

import pytest

from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record.device import QUANTILES
from mlpbench.bench.report import render
from mlpbench.bench.wings.why import evidence, explain
from mlpbench.bench.wings.why.section import call_table, gain_sentences, gain_table, roof_table, run_sentences
from mlpbench.kernels.spec import MNIST
from support import evidence_files as files
from support import simulate

TIMES, ROW, T0, SIZES, PYTHON, write = files.TIMES, files.ROW, files.T0, files.SIZES, files.PYTHON, files.write


def explained(run):
    return explain.find(run, summarize([run]))


def only(run):
    (kernel,) = explained(run).kernels
    return kernel


def impossible(kernel):
    return [share.batch_size for share in kernel.shares if share.verdict.impossible]


def test_all_parts_and_the_roof_of_every_case_are_found_and_told(tmp_path):
    whole = explained(write(tmp_path))
    (kernel,) = whole.kernels
    assert (kernel.call_one_s.value, kernel.call_batch_s.value) == pytest.approx((files.CALL_ONE, files.CALL_BATCH))
    assert kernel.fit.worst <= 0.1
    assert (kernel.fit.t0.value, kernel.fit.r_inf.value) == pytest.approx((T0, 1 / ROW), rel=1e-4)
    n_bytes = 4 * (784 * 50 + 5000 + 1000 + 160)
    calls = files.CALL_ONE - files.CALL_BATCH / 10_000
    weights = (n_bytes / 200e9 - n_bytes / 500e9) * (1 - 1e-4)
    arithmetic = (files.L1_ONE - files.CALL_ONE) - (files.L1_BATCH - files.CALL_BATCH / 100)
    rest = 13e-6 - (T0 / 10_000 + ROW) - calls - weights - arithmetic
    parts = [part.value for part in kernel.attribution.parts.values()]
    assert parts == pytest.approx([calls, weights, arithmetic, rest], rel=1e-2)
    assert (kernel.attribution.batch_size, kernel.weights_in) == (10_000, "L2")
    cases = [("per_sample", 100), *(("batched", size) for size in SIZES)]
    assert [(share.mode, share.batch_size) for share in kernel.shares] == cases
    one, last = kernel.shares[0].verdict, kernel.shares[-1].verdict
    binding = [(verdict.binding.what, verdict.binding.roof) for verdict in (one, last)]
    assert binding == [("weights", "L2"), ("arithmetic", "multiply-add")]
    seconds = T0 / 10_000 + ROW
    shares = (181_440 / 200e9 / 13e-6, 90_560 / files.PEAK / seconds)
    assert (one.share, last.share) == pytest.approx(shares, rel=1e-2)
    assert kernel.shares[-1].flop_s == pytest.approx(90_560 / seconds, rel=1e-2)
    assert gain_table([whole]).rows[0][1:3] == ("13.0 µs to 1.00 µs", "75 %, 75 to 75")
    (call,) = call_table(whole.kernels).rows
    assert (call[1].startswith("9.00 µs (9.00 to 9.00)"), call[-1]) == (True, "0 %")
    assert roof_table(whole.kernels).rows[-1][-2:] == ("36 %", "multiply-add")


def test_a_kernel_is_held_to_the_roofs_of_its_own_threads(tmp_path):
    says = ({"threads": 1}, {"threads": 2}, {})
    info = PYTHON["kernel_info"]
    kernels = [only(write(tmp_path, seed=n, kernel_info={**info, "describe": one})) for n, one in enumerate(says)]
    assert [kernel.threads for kernel in kernels] == [1, 2, 2], "the run's, where the kernel does not say"
    one, two, silent = (kernel.shares[-1].verdict.share for kernel in kernels)
    assert (one, silent) == (pytest.approx(2 * two), two)


def test_impossible_times_are_refused_unless_the_kernel_says_that_it_skips_work(tmp_path):
    run = write(tmp_path, **files.impossible())
    assert {failure.batch_size for failure in run.failures} == {1000}
    reason = "it would be 362 % of the machine's multiply-add peak; likely cause: work is skipped"
    assert all(failure.reason.startswith(reason) for failure in run.failures)
    alone = only(write(tmp_path / "alone", **files.impossible(), repeats=1))
    assert impossible(alone) == [1000], "one process alone refuses nothing"
    info = {**PYTHON["kernel_info"], "describe": {"threads": 1, "skips_work": True}}
    kernel = only(write(tmp_path, **files.impossible(kernel_info=info), seed=1))
    assert not impossible(kernel)
    assert ("362 %", "multiply-add; it declares that it skips work") in {r[-2:] for r in roof_table([kernel]).rows}
    assert (kernel.attribution, kernel.weights_in, kernel.not_explained) == (None, "L2", explain.SKIPS)
    # Calls that are not waited for return after 5 microseconds, whatever the batch.
    flat = {("numpy", "per_sample", 100): 5e-6} | {("numpy", "batched", size): 5e-6 / size for size in SIZES}
    run = write(tmp_path / "flat", flat)
    assert {failure.batch_size for failure in run.failures} == {100, 1000, 10_000}
    assert all("not synchronised" in failure.reason for failure in run.failures)


def test_disturbed_roofs_are_said_to_be(tmp_path):
    noisy = files.roofs(files.measured(1, spread=1.5))
    run = write(tmp_path, **files.impossible(roofs_file=noisy))
    assert any(line.startswith("Something else ran") for line in run_sentences(explained(run)))
    far = write(tmp_path, {**TIMES, ("numpy", "batched", 1000): 1e-8}, roofs_file=noisy, seed=3)
    assert far.failures, "other programs take turns with the roofs, and not ten to one"
    beside = write(tmp_path, {**TIMES, ("numpy", "batched", 1000): 2e-7}, roofs_file=noisy, seed=2)
    assert not beside.failures
    assert only(beside).shares[-2].verdict.reason == "something else ran beside the roofs"
    # Two threads that do less than one are a disturbance, and the roof is that of one: a roof must not be too low.
    entries = files.measured(1) + files.measured(2, files.PEAK / 3)
    roofs = evidence.read(write(tmp_path, roofs_file=files.roofs(entries), seed=1)).roofs[2]
    assert (roofs.disturbed, roofs.flop_s) == (True, pytest.approx(files.PEAK))


@pytest.mark.parametrize(
    ("level", "spread", "disturbed"), [("DRAM", 1.4, True), ("DRAM", 1.2, False), ("L2", 1.4, False)]
)
def test_neighbours_on_the_memory_are_a_disturbance(tmp_path, level, spread, disturbed):
    """They do not show in multiply-adds in registers. Private caches have rounds that differ on a quiet machine too."""
    entries = files.measured(1)
    (entry,) = [one for one in entries if one["name"] == level]
    entry["data"] = [seconds * factor for seconds, factor in zip(entry["data"], (spread, 1, spread), strict=True)]
    assert evidence.read(write(tmp_path, roofs_file=files.roofs(entries))).roofs[1].disturbed is disturbed


def refused(*names, threads):
    """Return the entries of the machine, some of them refused."""
    return [
        {**entry, "refused": "busy"} if entry["name"] in names and entry["threads"] == threads else entry
        for entry in files.roofs()["mlpbench"]["devices"][0]["measured"]
    ]


def test_a_refused_level_is_told_and_no_roof_and_refused_arithmetic_is_too_low(tmp_path):
    beside = evidence.read(write(tmp_path / "l2", roofs_file=files.roofs(refused("L2", threads=2))))
    assert ["L2" in beside.roofs[n].read_s for n in (1, 2)] == [True, False], "less is no roof of more"
    assert not any(roofs.disturbed for roofs in beside.roofs.values())
    assert "L2 with 2 threads was not measured: busy" in beside.missing
    busy = files.roofs(refused("matrix product", "multiply-add", threads=2))
    roofs = evidence.read(write(tmp_path / "two", roofs_file=busy)).roofs
    assert {n: one.disturbed for n, one in roofs.items()} == {1: False, 2: True}


@pytest.mark.parametrize("did", [1, 2])
def test_arithmetic_below_what_a_refused_measurement_did_with_no_more_threads_is_no_roof(tmp_path, did):
    """Rounds beside a neighbour can all be as slow: two threads that take turns on one processor."""
    entries = refused("multiply-add", threads=did)
    peak = max(entry["work"] / min(entry["data"]) for entry in entries if "refused" in entry)
    for entry in entries:
        if entry["threads"] == 2 and "refused" not in entry and entry["name"] in ("matrix product", "multiply-add"):
            entry["data"] = [2 * entry["work"] / peak] * 3
    beside = evidence.read(write(tmp_path, roofs_file=files.roofs(entries)))
    assert (beside.roofs[2].disturbed, beside.roofs[2].flop_s >= peak) == (True, True)
    assert any(text.endswith(evidence.BELOW) for text in beside.missing)


def test_what_is_missing_is_said_with_its_reason(tmp_path):
    run = write(tmp_path, anatomy=None, with_roofs=False)
    whole = explained(run)
    call, roofs = whole.evidence.missing
    assert ("cost of a call" in call, "there is no roofs.json" in roofs) == (True, True)
    (kernel,) = whole.kernels
    assert (kernel.fit.worst <= 0.1, kernel.attribution) == (True, None), "the line needs the cases alone"
    assert [*gain_sentences([kernel])] == ["numpy: not explained in this run: the cost of a call was not measured."]
    assert all(share.verdict is None for share in kernel.shares)
    assert all(render.render([run], name) for name in render.FORMATS)
    drawn = {figure.name for figure in render.build([run]).figures()}
    assert drawn & {"hockney-0", "waterfall-0", "share-0"} == {"hockney-0"}, "nothing is drawn of what is missing"
    assert "Missing: the cost of a call was not measured" in render.render([run], "md")
    roofs = files.roofs([], reason="ended with 1: MemoryError")
    run = write(tmp_path / "b", anatomy=files.anatomy(two_neurons=None, reason="2-2-2-2: no"), roofs_file=roofs)
    text = " ".join(run_sentences(explained(run)))
    assert "Missing: numpy: the small network was not measured: 2-2-2-2: no." in text
    assert "MemoryError" in text
    damaged = evidence.read(write(tmp_path / "d", roofs_file=files.roofs(devices=[files.of_device(measured="fast")])))
    assert any(line.startswith("a file was left out: ") and "roofs.json: " in line for line in damaged.missing)
    assert damaged.roofs == {}
    failure = {"kernel": "numpy", "mode": None, "batch_size": None, "phase": "gate", "reason": "wrong"}
    untimed = write(tmp_path / "c", {}, failures=[failure])
    assert explained(untimed) is None
    assert "What the speedup is made of" not in render.render([untimed], "md")


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        ({}, "they were not measured"),
        ({"devices": [files.of_device(device="mps")]}, "they were not measured"),
        ({"devices": [files.of_device(entries=[], reason="no CUDA device: no driver")]}, "no CUDA device: no driver"),
    ],
)
def test_a_kernel_on_a_device_without_roofs_says_why(tmp_path, devices, why):
    run = write(tmp_path, roofs_file=files.roofs(**devices), **files.CUDA)
    assert all(share.verdict is None for share in only(run).shares), "the CPU's roofs are not its"
    assert f"numpy: no roofs: it computes on cuda, and {why}." in run_sentences(explained(run))


def test_a_curve_that_is_no_line_or_has_few_cases_says_so(tmp_path):
    kernel = only(write(tmp_path, {**TIMES, ("numpy", "batched", 10_000): 3e-6}))
    assert call_table([kernel]).rows[0][-1].endswith(": not linear")
    few = write(tmp_path, {("numpy", "batched", size): 1e-6 for size in (10, 100)}, seed=2)
    assert call_table([only(few)]).rows[0][-1] == "no line"
    text = " ".join([*run_sentences(explained(few)), *gain_sentences([only(few)])])
    assert "numpy: no line over batch sizes" in text
    assert "numpy: not explained in this run: it needs the case one at a time" in text


TWO = {("numpy", "batched", 100): 2e-6, ("fast", "batched", 100): 1e-6}


@pytest.mark.parametrize(
    ("batch_s", "of", "refused"), [(1e-9, "*", True), (1e-9, "[01]", True), (1e-9, "0", False), (1e-7, "*", False)]
)
def test_beside_refused_roofs_only_what_is_many_times_faster_in_two_repeats_is_impossible(
    tmp_path, batch_s, of, refused
):
    """A roof of a busy machine is too low: a sample in 100 ns would be 3.6 times as fast, one in 1 ns is a lie."""
    folder = simulate.write_run(tmp_path, TWO, repeats=3, noise=0)
    for file in folder.glob(f"fast.{of}.json"):
        with simulate.edited(file) as content:
            for row in content["benchmarks"]:
                row["stats"]["data"] = [100 * batch_s] * len(row["stats"]["data"])
    entries = [{**entry, "refused": "busy"} for entry in files.measured(1)]
    (folder / "roofs.json").write_text(json.dumps(files.roofs(entries)))
    kept = {record.kernel for record in simulate.read(folder).records if record.cases}
    assert kept == ({"numpy"} if refused else {"numpy", "fast"})


FLOP, N_BYTES = MNIST.flop(1), MNIST.weight_bytes()
TF32_CUBLAS, TF32_MMA, FLOOR_S = 1.5e13, 2.3e13, 8e-6


def on_device(folder, times=files.TIMES, devices=None, **settings):
    """Write a run of one kernel on the device, and read it."""
    devices = [files.of_device()] if devices is None else devices
    return files.write(folder, times, **{"roofs_file": files.roofs(devices=devices), **files.CUDA, **settings})


def fast(seconds):
    return {**files.TIMES, ("numpy", "batched", 1000): seconds}


def test_the_fastest_way_to_each_level_is_its_roof_and_every_case_is_held_to_it(tmp_path):
    """Nothing nearer than L2 keeps weights from one call to the next."""
    run = on_device(tmp_path)
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
    run = on_device(tmp_path, fast(5e-9))
    assert {failure.batch_size for failure in run.failures} == {1000}
    line = r"1[89]\d % of the machine's matrix product peak; likely cause: work is skipped"
    assert re.search(rf"Refused: numpy, batch 1,000.*: roofline: it would be {line}", render.render([run], "md"))
    assert not on_device(tmp_path, fast(2e-8), seed=1).failures
    info = {**files.CUDA["kernel_info"], "device": "cpu"}
    assert on_device(tmp_path, fast(2e-8), kernel_info=info, seed=2).failures


@pytest.mark.parametrize(("cpu", "device", "disturbed"), [(1.0, 1.5, True), (1.5, 1.0, False)])
def test_whose_roofs_were_disturbed(tmp_path, cpu, device, disturbed):
    roofs = files.roofs(files.measured(1, spread=cpu), devices=[files.of_device(spread=device)])
    run = on_device(tmp_path, fast(5e-9), roofs_file=roofs)
    (line,) = [line for line in run_sentences(explained(run)) if line.startswith("Something else ran")]
    assert ("of cuda" in line, explained(run).devices["cuda"].disturbed) == (disturbed, disturbed)
    assert bool(run.failures) is not disturbed


def test_devices_are_read_where_the_cpu_was_not_measured(tmp_path):
    roofs = files.roofs([], reason="the process ended with 1", devices=[files.of_device()])
    whole = explained(on_device(tmp_path, roofs_file=roofs))
    assert (whole.evidence.roofs, whole.devices["cuda"].flop_s) == ({}, pytest.approx(files.DEVICE_PEAK))
    assert any("the process ended with 1" in line for line in run_sentences(whole))
    # A device may have no cache that is known.
    device = files.of_device()
    device["caches"] = {}
    device["measured"] = [entry for entry in device["measured"] if entry["name"] != "L2"]
    kernel = only(on_device(tmp_path, devices=[device], seed=1))
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


def of_arithmetic(folder, arithmetic, times, *launches, **settings):
    info = {**files.CUDA["kernel_info"], "describe": {"arithmetic": arithmetic}}
    return on_device(folder, times, [files.of_device(entries=entries(*launches))], kernel_info=info, **settings)


def test_a_kernel_is_held_to_the_peak_of_its_own_arithmetic(tmp_path):
    """At twice the peak of FFMA a kernel on tensor cores is believed, and at 1.1 times their own it is not."""
    twice, above = FLOP / (2.2 * files.DEVICE_PEAK), FLOP / (1.1 * TF32_MMA)
    three = FLOP / (TF32_MMA / 3 + 1.1 * files.DEVICE_PEAK)

    def failures(*claims):
        return [of_arithmetic(tmp_path / f"{kind} {s}", kind, fast(s)).failures for kind, s in claims]

    assert failures(("tf32", twice), ("3xtf32", three)) == [(), ()]
    tf32, fp32, both = failures(("tf32", above), ("fp32", twice), ("3xtf32", three / 1.1))
    assert "110 % of the machine's tf32 multiply-add peak" in tf32[0].reason, "in registers is faster than cuBLAS"
    assert ("200 % of the machine's multiply-add peak" in fp32[0].reason, bool(both)) == (True, True)
    unmeasured = only(of_arithmetic(tmp_path / "fp8", "fp8", fast(FLOP / (5 * files.DEVICE_PEAK))))
    assert "arithmetic" not in {share.verdict.binding.what for share in unmeasured.shares}


def test_where_the_launch_binds_it_is_said_and_one_that_is_cheaper_than_cupys_is_believed(tmp_path):
    """One row takes 13 us, of which an empty launch and its wait would take eight; the faster way of two counts."""
    run = of_arithmetic(tmp_path, "fp32", files.TIMES, ("empty kernel", 2 * FLOOR_S), ("empty graph", FLOOR_S))
    one, last = only(run).shares[0].verdict, only(run).shares[-1].verdict
    assert (one.binding.what, one.binding.roof, one.binding.seconds) == ("launch", "empty graph", FLOOR_S)
    assert (one.share, last.binding.what) == (pytest.approx(FLOOR_S / 13e-6, rel=1e-3), "arithmetic")
    text, launches = render.render([run], "md"), "a launch and its wait: empty kernel 16.0 µs, empty graph 8.00 µs"
    assert all(words in text for words in ("| launch floor |", launches, "23,000 (tf32 multiply-add)"))
    run = of_arithmetic(tmp_path / "cheaper", "fp32", files.TIMES, ("empty kernel", 20e-6))
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
    run = of_arithmetic(tmp_path, "fp32", files.TIMES, ("empty kernel", 1.0), device_times=cold)
    (share,) = only(run).on_device
    assert (share.mode, share.batch_size, share.call_s) == ("batched", 1000, 20e-6)
    arithmetic = 1000 * FLOP / (1.1 * files.DEVICE_PEAK)
    assert share.verdict.share == pytest.approx(arithmetic / 20e-6)
    row = [line for line in render.render([run], "md").splitlines() if "| batch 1,000, device, cold |" in line]
    assert f"| {round(100 * arithmetic / 20e-6)} % | multiply-add |" in row[0]
    assert only(on_device(tmp_path / "old")).on_device == ()


@pytest.mark.parametrize(("hot_s", "refused"), [(30e-6, False), (59e-6, False), (62e-6, True), (1e-3, True)])
def test_a_call_that_is_over_before_the_device_is_was_not_waited_for(tmp_path, hot_s, refused):
    """A missing wait, seen by the device's own clock where no roof would: a call of 1,000 rows takes 30 us."""
    run = on_device(tmp_path, fast(30e-9), device_times=device_times("hot", hot_s))
    reasons = {(failure.batch_size, "the device alone takes" in failure.reason) for failure in run.failures}
    assert reasons == ({(1000, True)} if refused else set())
