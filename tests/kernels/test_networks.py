from mlpbench.kernels.networks import NETWORKS
from mlpbench.kernels.spec import ForwardSpec

#: Weights without biases, by hand from the sources, and the last activation.
KNOWN = {
    "mlperf-tiny-ad": (2 * 640 * 128 + 6 * 128 * 128 + 2 * 128 * 8, "identity"),
    "dlrm-bottom": (13 * 512 + 512 * 256 + 256 * 128, "identity"),
    "npbench-mlp": (3 * 30_000 + 30_000 * 2_000 + 2_000 * 2_000, "softmax"),
    "higgs": (28 * 300 + 3 * 300 * 300 + 300 * 2, "softmax"),
    "half-cheetah": (17 * 64 + 64 * 64 + 64 * 6, "identity"),
}


def test_each_name_is_the_network_that_its_source_has():
    specs = {name: ForwardSpec.parse(name, hidden="step", output="softmax") for name in NETWORKS}
    assert {name: (spec.n_weights, spec.output) for name, spec in specs.items()} == KNOWN
    assert {spec.hidden for spec in specs.values()} == {"relu", "tanh"}, "the name says the activations"
