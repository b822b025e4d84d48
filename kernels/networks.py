"""Networks that others publish, by name: what `--spec` takes in place of sizes, and where each is written down."""

from mlpbench.kernels.errors import SpecError

#: Sizes and activations, as `ForwardSpec.parse` reads them.
NETWORKS = {
    # MLPerf Tiny, anomaly detection: mlcommons/tiny, benchmark/training/anomaly_detection/keras_model.py, on 5 frames
    # of 128 bands. Each batch norm is folded into the layer before it, as the benchmark's own converter does.
    "mlperf-tiny-ad": "640-128-128-128-128-8-128-128-128-128-640:relu/identity",
    # The bottom MLP of MLPerf's recommendation model: facebookresearch/dlrm, --arch-mlp-bot in its run_and_time.sh.
    # DLRM has a relu behind the last layer too, which is left out here.
    "dlrm-bottom": "13-512-256-128:relu/identity",
    # NPBench's mlp in its size S: spcl/npbench, bench_info/mlp.json, with relu and softmax as in its mlp_numpy.py.
    "npbench-mlp": "3-30000-2000-2000:relu/softmax",
    # Tabular data (HIGGS): P. Baldi, P. Sadowski and D. Whiteson, "Searching for exotic particles in high-energy
    # physics with deep learning", Nature Communications 5 (2014). A softmax of two outputs is its one sigmoid.
    "higgs": "28-300-300-300-300-2:tanh/softmax",
    # A policy: what PPO of stable-baselines3 (common/policies.py, MlpPolicy) makes for Gymnasium's HalfCheetah, which
    # has 17 observations and 6 actions.
    "half-cheetah": "17-64-64-6:tanh/identity",
}


def find(name: str) -> str:
    """Return the sizes and activations of a network by its name. Raises SpecError, which names those that there are."""
    if name not in NETWORKS:
        raise SpecError(f"unknown network {name[:40]!r}: name {', '.join(NETWORKS)}, or sizes such as 784-50-100-10")
    return NETWORKS[name]
