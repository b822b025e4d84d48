"""Runs with known answers in which kernels and peers say what their results are, as a run with `--peers` makes them."""

import json

from mlpbench.bench.analysis import judge
from mlpbench.bench.cases import make_settings
from mlpbench.kernels import registry
from support import evidence_files as files
from support import simulate

#: Seconds per sample, at batch sizes 1, 100 and 10,000. Every value is what it is for a reason; see the tests.
FLOP = 2 * (784 * 50 + 50 * 100 + 100 * 10) + 160
TIMES = {
    ("numba-simd", "batched", 1): 1e-6,
    ("numba-simd", "batched", 100): 0.5e-6,
    ("numba-simd", "batched", 10_000): FLOP / (0.94 * files.PEAK),
    ("numba-simd-new", "batched", 1): 1.25e-6,
    ("numba-simd-new", "batched", 100): 0.5e-6,
    ("onnxruntime-bound", "batched", 1): 4e-6,
    ("onnxruntime-bound", "batched", 100): 0.75e-6,
    ("onnxruntime-bound", "batched", 10_000): 1e-6,
    ("openvino", "batched", 1): 30e-6,
    ("openvino", "batched", 100): 0.6e-6,
    ("openvino", "batched", 10_000): 2e-6,
    ("onnxruntime", "batched", 1): 5e-6,
    ("onnxruntime", "batched", 100): 0.45e-6,
}
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
    run = files.write_run(folder, times, with_roofs=roofs, **settings)
    for path in run.glob("*.*.json"):
        with simulate.edited(path) as content:
            kernel = content["mlpbench"]["kernel"]
            content["mlpbench"]["kernel_info"] |= kernel_info(kernel, threads) | (infos or {}).get(kernel, {})
    return simulate.read(run)


def write_sweep(folder):
    """Write and read a sweep as large as one of the profile: two networks, one thread and two, every peer."""
    ours = ("numba-simd", "numba-simd-new", "numba-simd-parallel", "numba-simd-sparse")
    sizes, kernels = (1, 2, 8, 32, 100, 1000, 10_000), (*ours, *registry.peers())
    times = {(kernel, "per_sample", 100): (3 + n) * 1e-5 for n, kernel in enumerate(kernels)}
    times |= {
        (kernel, "batched", size): (3 + n) * 1e-5 / size**0.2 for n, kernel in enumerate(kernels) for size in sizes
    }
    settings = make_settings(["784-50-100-10", "784-1024-1024-10"], [1, 2], ["float32"])
    larger = {"784-50-100-10": 1, "784-1024-1024-10": 40}
    facts = {"noise": 0.02, "rounds": 4, "profile": "quick", "anatomy": files.anatomy()}
    sweep = simulate.write_sweep(folder, times, settings, lambda one: larger[one.spec] / one.threads, **facts)
    for setting in settings:
        (sweep / setting.label / "roofs.json").write_text(json.dumps(files.roofs()))
        for path in (sweep / setting.label).glob("*.*.json"):
            with simulate.edited(path) as content:
                block = content["mlpbench"]
                peer = block["kernel"] not in ours
                block["kernel_info"] |= kernel_info(block["kernel"], setting.threads) | {"peer": peer}
    return judge.read(sweep)
