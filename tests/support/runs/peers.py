"""Runs with known answers in which kernels and peers say what their results are, as a run with `--peers` makes them."""

from support import evidence_files as files
from support import simulate

#: Seconds per sample, at batch sizes 1, 100 and 10,000. Every value is what it is for a reason; see the tests.
FLOP = 2 * (784 * 50 + 50 * 100 + 100 * 10) + 160
SECONDS = {
    "numba-simd": {1: 1e-6, 100: 0.5e-6, 10_000: FLOP / (0.94 * files.PEAK)},
    "numba-simd-new": {1: 1.25e-6, 100: 0.5e-6},
    "onnxruntime-bound": {1: 4e-6, 100: 0.75e-6, 10_000: 1e-6},
    "openvino": {1: 30e-6, 100: 0.6e-6, 10_000: 2e-6},
    "onnxruntime": {1: 5e-6, 100: 0.45e-6},
}
TIMES = simulate.by_case(**SECONDS)
PEERS = ("onnxruntime-bound", "openvino", "onnxruntime")


def kernel_info(kernel, threads):
    """Return what a record says about a kernel."""
    ours = {} if kernel in PEERS else {"isa": "avx512", "skips_work": kernel.endswith("sparse")}
    info = {"backend": kernel.partition("-")[0], "device": "cpu", "version": "1.2.3", "peer": kernel in PEERS}
    return {**info, "describe": {"threads": threads, **ours}}


def write(folder, times=TIMES, *, threads=1, infos=None, roofs=True, **settings):
    """Write and read a run beside peers; ``infos`` changes what kernels say, by kernel."""
    settings = {"noise": 0, "rounds": 4, "profile": "quick", **settings}
    settings.setdefault("environment", simulate.environment(threads=threads))
    settings["kernel_info"] = lambda kernel: kernel_info(kernel, threads) | (infos or {}).get(kernel, {})
    return simulate.read(files.write_run(folder, times, with_roofs=roofs, **settings))
