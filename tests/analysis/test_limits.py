"""Where kernels stand beside peers and limits, on runs with known answers."""

import pytest

from mlpbench.bench.analysis import limits
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.record import runs
from support import evidence_files as files
from support import simulate
from support.runs import limits as limit_runs
from support.runs.limits import FLOP, TIMES, write

ONCE = "the machine's limits were measured once, before the repeats: a share of them mixes two moments"
L2_S = (FLOP // 2 + 80) * 4 / files.READ["L2"]  # weights and biases, 4 bytes each


def find(run):
    return limits.find(run, summarize([run]))


def places(found, kernel):
    return {place.batch_size: place for row in found.rows if row.kernel == kernel for place in row.places}


def share(found, kernel, what):
    return next((one for one in found.shares if (one.kernel, one.what) == (kernel, what)), None)


def test_the_best_peer_of_the_same_kind_at_each_batch_size(tmp_path):
    found = find(write(tmp_path))
    kept, new = places(found, "numba-simd"), places(found, "numba-simd-new")
    peers = {1: "onnxruntime-bound", 100: "openvino", 10_000: "onnxruntime-bound"}
    assert {size: place.peer for size, place in kept.items()} == peers
    assert kept[100].ratio.value == pytest.approx(1.2), "not 0.9: onnxruntime makes a new array, and is faster there"
    assert {size: place.peer for size, place in new.items()} == {1: "onnxruntime", 100: "onnxruntime"}
    assert new[1].ratio.value == pytest.approx(4)
    assert new[100].ratio.value == pytest.approx(0.9)
    assert (kept[1].ratio.low, kept[1].ratio.high) == pytest.approx((4, 4), rel=1e-3)
    assert {row.kernel for row in found.rows} == {"numba-simd", "numba-simd-new"}, "peers have no row"


def test_a_kernel_that_skips_work_has_ratios_and_no_shares(tmp_path):
    found = find(write(tmp_path, {**TIMES, ("numba-simd-sparse", "batched", 1): 0.5e-6}))
    (place,) = places(found, "numba-simd-sparse").values()
    assert place.ratio.value == pytest.approx(8)
    assert share(found, "numba-simd-sparse", "peak") is None, "it does less than all the work"


def test_shares_of_the_limits(tmp_path):
    found = find(write(tmp_path))
    peak, product, floor = (share(found, "numba-simd", what) for what in ("peak", "product", "floor"))
    assert (peak.ratio.value, peak.batch_size) == (pytest.approx(0.94), 10_000)
    assert product.ratio.value == pytest.approx(1.88), "the roofs' product runs at half of the peak"
    assert (floor.ratio.value, floor.memory) == (pytest.approx(1e-6 / (L2_S + files.CALL_BATCH)), "L2")
    assert share(found, "onnxruntime-bound", "peak") is None
    assert {one.once for one in found.shares} == {True}, "as in earlier versions"
    assert ONCE in found.missing


def test_shares_are_of_the_limits_of_as_many_threads_as_the_kernel_used(tmp_path):
    times = {("numba-simd-parallel" if k == "numba-simd" else k, *at): s for (k, *at), s in TIMES.items()}
    run = write(tmp_path, times, threads=2)
    peak, floor = (share(find(run), "numba-simd-parallel", what) for what in ("peak", "floor"))
    assert peak.ratio.value == pytest.approx(0.47)
    assert floor.ratio.value == pytest.approx(1e-6 / (L2_S + files.CALL_BATCH)), "one row is read by one thread"
    entries = files.measured(1) + files.measured(2, files.PEAK / 0.8)
    repeats = with_repeats(run, dict.fromkeys(range(3), entries))
    assert share(repeats, "numba-simd-parallel", "peak").ratio.value == pytest.approx(0.94 * 0.8)
    one = find(write(tmp_path, times, threads=2, seed=1, infos={"numba-simd-parallel": {"describe": {"threads": 1}}}))
    assert share(one, "numba-simd-parallel", "peak").ratio.value == pytest.approx(0.94)
    none = find(write(tmp_path, times, threads=3, seed=2))
    assert not none.shares, "nobody measured the limits of three threads"


def with_repeats(run, entries):
    """Return the limits of a run beside which the machine did what ``entries`` say, by repeat (`files.measured`)."""
    return find(files.write_of_repeats(run.path, entries))


def test_a_share_is_of_the_median_round_of_the_same_repeat(tmp_path):
    """Not of the best round of the start: here the machine sustains three quarters of that."""
    found = with_repeats(write(tmp_path), {repeat: files.measured(1, spread=4 / 3) for repeat in range(3)})
    peak, product, floor = (share(found, "numba-simd", what) for what in ("peak", "product", "floor"))
    assert (peak.once, product.once, floor.once) == (False, False, False)
    assert peak.ratio.value == pytest.approx(0.94 * 4 / 3)
    assert not peak.believed, "nothing does more than the peak, whenever that was measured"
    assert product.ratio.value == pytest.approx(1.88 * 4 / 3)
    assert floor.ratio.value == pytest.approx(1e-6 / (4 / 3 * L2_S + files.CALL_BATCH))
    assert ONCE not in found.missing


def test_shares_are_paired_by_repeat(tmp_path):
    """A processor that is slower in one repeat, kernel and limit alike, leaves the share as it is."""
    run = write(tmp_path)
    cases = summarize([run])
    simulate.slow_down([c for c in cases if (c.kernel, c.batch_size) == ("numba-simd", 10_000)], 1, 2)
    slower = {0: files.measured(1), 1: files.measured(1, files.PEAK / 2), 2: files.measured(1)}
    run = files.write_of_repeats(run.path, slower)
    peak = share(limits.find(run, cases), "numba-simd", "peak")
    assert (peak.ratio.value, peak.ratio.low, peak.ratio.high) == pytest.approx((0.94,) * 3, rel=1e-3)
    assert (peak.ratio.n, peak.ratio.paired) == (3, True)
    alone = share(find(run), "numba-simd", "peak")
    assert alone.ratio.low < 0.94 < alone.ratio.high, "the interval carries what the limit varies by"


def test_a_repeat_without_a_limit_is_left_out_and_told(tmp_path):
    why = "the process that measures the roofs ended with 1: MemoryError"
    found = with_repeats(write(tmp_path), {0: files.measured(1), 1: why, 2: files.measured(1)})
    assert share(found, "numba-simd", "peak").ratio.n == 2
    assert f"the machine's limits were not measured in repeat 2: {why}" in found.missing


def test_what_no_repeat_measured_is_of_the_best_round_of_the_start(tmp_path):
    """Where there was no memory for it, and where weights lie in L3."""
    none = with_repeats(write(tmp_path, seed=1), dict.fromkeys(range(3), "no memory"))
    assert {one.once for one in none.shares} == {True}
    assert ONCE in none.missing
    wide = {**simulate.SPEC, "sizes": [784, 1024, 1024, 10]}
    found = with_repeats(write(tmp_path, spec=wide, seed=2), {repeat: files.measured(1) for repeat in range(3)})
    assert {one.what: one.once for one in found.shares} == {"peak": False, "product": False, "floor": True}
    assert share(found, "numba-simd", "floor").memory == "L3"


def test_without_limits_it_says_so_and_compares_all_the_same(tmp_path):
    found = find(write(tmp_path, roofs=False))
    assert found.rows
    assert not found.shares
    assert [line for line in found.missing if "roofs" in line]


def test_limits_that_were_measured_beside_something_else_are_marked(tmp_path):
    run = write(tmp_path, roofs_file=files.roofs(files.measured(1, spread=1.5)))
    assert [line for line in find(run).missing if "something else ran" in line]
    found = with_repeats(run, {repeat: files.measured(1) for repeat in range(3)})
    assert not [line for line in found.missing if "something else ran" in line], "that was at the start"


def test_ratios_are_paired(tmp_path):
    """A slow repeat that hits both sides alike leaves the ratio as it is."""
    run = write(tmp_path)
    cases = summarize([run])
    simulate.slow_down(cases, 1, 3)
    place = places(limits.find(run, cases), "numba-simd")[1]
    assert (place.ratio.low, place.ratio.high) == pytest.approx((4, 4), rel=1e-3)


@pytest.mark.parametrize("kept", [("numba-simd",), limit_runs.PEERS], ids=["no peer", "peers alone"])
def test_nothing_to_hold_beside(tmp_path, kept):
    assert find(write(tmp_path, {case: s for case, s in TIMES.items() if case[0] in kept})) is None
    assert find(runs.read_run(simulate.write_run(tmp_path, TIMES, seed=1))) is None, "of an earlier version"


def test_a_kernel_without_a_peer_of_its_kind_is_told(tmp_path):
    found = find(write(tmp_path, {case: s for case, s in TIMES.items() if case[0] != "onnxruntime"}))
    assert "numba-simd-new" not in [row.kernel for row in found.rows]
    assert "no peer on the device of numba-simd-new has results of the same kind (new)" in found.missing


def test_every_blas_in_the_process_has_its_version(tmp_path):
    pools = [
        {"user_api": "blas", "internal_api": "openblas", "version": "0.3.31"},
        {"user_api": "blas", "internal_api": "openblas", "version": "0.3.30"},
        {"user_api": "openmp", "internal_api": "openmp", "version": None},
    ]
    found = find(write(tmp_path, environment=simulate.environment(blas=pools, threads=1)))
    assert found.setting.versions["openblas"] == "0.3.30 and 0.3.31"
    assert "openmp" not in found.setting.versions
