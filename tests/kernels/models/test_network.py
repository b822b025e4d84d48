"""Networks in files: what exporters, which `.ci/run` installs, write is read as what it is, and all else is refused."""

import json
import os
import warnings
from contextlib import suppress
from itertools import product

import numpy as np
import pytest

from mlpbench.bench.data.workload import Options, Workload
from mlpbench.kernels import reference
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.mlp_numpy import NumpyKernel
from mlpbench.kernels.mlp_onnxruntime import build_model
from mlpbench.kernels.models import network, onnx_size
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import hostile
from support.contestants import EACH
from support.refusals import refusal

pytestmark = pytest.mark.heavy

onnx = pytest.importorskip("onnx", reason="onnx cannot be imported")
json_format = pytest.importorskip("google.protobuf.json_format", reason="onnx brings it")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors cannot be imported")


@pytest.fixture(autouse=True)
def nothing_kept():
    network._read.cache_clear()


def node(kind, inputs, output, **attributes):
    return onnx.helper.make_node(kind, inputs, [output], name=f"the {kind}", **attributes)


def model(nodes, arrays):
    value = onnx.helper.make_tensor_value_info
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = [value("x", 1, ["rows", 4])], [value("y", 1, None)]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "net", *ends, tensors))


def written(tmp_path, made, name="net.onnx"):
    path = tmp_path / name
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


ARRAYS = {
    "W1": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3),
    "b1": np.float32([0.1, 0.2, 0.3]),
    "W2": np.linspace(1, -1, 6, dtype=np.float32).reshape(3, 2),
    "b2": np.float32([0.5, -0.5]),
    "two": np.float32(2),
}
FIRST = [node("Gemm", ["x", "W1", "b1"], "a1")]
LAST = [node("Gemm", ["z1", "W2", "b2"], "y")]


@pytest.mark.parametrize("hidden", EACH)
def test_every_activation_comes_back(tmp_path, hidden):
    spec = ForwardSpec((5, 4, 4, 3), f"{hidden},relu", "identity" if hidden == "relu" else "softmax")
    params = seeded(spec)
    path = written(tmp_path, build_model(spec, params))
    assert network.spec_of(path) == spec
    assert load_params(path, spec).sha256() == params.sha256()


def test_what_pytorch_exports(tmp_path):
    torch = pytest.importorskip("torch", reason="torch cannot be imported")
    pytest.importorskip("onnxscript", reason="torch exports with onnxscript")
    nn = torch.nn
    layers = [nn.Flatten(), nn.Linear(20, 9), nn.GELU(), nn.Dropout(0.5), nn.Linear(9, 8), nn.SiLU(), nn.Linear(8, 7)]
    layers += [nn.LeakyReLU(0.2), nn.Linear(7, 6, bias=False), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(dim=-1)]
    net = nn.Sequential(*layers).eval()
    x = torch.rand(5, 20)
    expected = net(x).detach().numpy()
    hidden = "gelu,silu,leaky-relu:0.2,tanh"
    with warnings.catch_warnings(action="ignore"):  # PyTorch uses what it has declared deprecated
        for name, how in (("old", {"dynamo": False, "opset_version": 18}), ("new", {"dynamo": True})):
            torch.onnx.export(net, (x,), str(tmp_path / f"{name}.onnx"), **how)
    state = {key: value.numpy() for key, value in net.state_dict().items()}
    safetensors.save_file(state, tmp_path / "net.safetensors")
    for name in ("old.onnx", "new.onnx", "net.safetensors"):
        spec = ForwardSpec((20, 9, 8, 7, 6, 3), hidden)
        if name.endswith(".onnx"):
            assert network.spec_of(tmp_path / name) == spec
        kernel = NumpyKernel(spec, load_params(tmp_path / name, spec))
        np.testing.assert_allclose(kernel.forward(x.numpy()), expected, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_what_scikit_learn_exports(tmp_path, classes):
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx cannot be imported")
    neural = pytest.importorskip("sklearn.neural_network", reason="sklearn cannot be imported")
    x = np.random.default_rng(0).random((60, 20)).astype(np.float32)
    with warnings.catch_warnings(action="ignore"):  # it need not converge
        classifier = neural.MLPClassifier((9, 7), activation="tanh", max_iter=20).fit(x, np.arange(60) % classes)
    for zipped in (True, False):
        path = written(tmp_path, skl2onnx.to_onnx(classifier, x[:1], options={"zipmap": zipped}), f"{zipped}.onnx")
        spec = network.spec_of(path)
        assert (spec.sizes, spec.hidden, spec.output) == ((20, 9, 7, classes), "tanh", "softmax")
        found = reference.forward(spec, load_params(path, spec), x)
        np.testing.assert_allclose(found, classifier.predict_proba(x), atol=1e-5)


def test_products_and_sums_in_other_forms(tmp_path):
    """Alpha, beta, transposed weights, a product without a bias, and what changes nothing."""
    first = [node("Identity", ["x"], "i"), node("MatMul", ["i", "W1"], "p"), node("Add", ["b1", "p"], "a1")]
    first += [node("Dropout", ["a1"], "d"), node("Mul", ["d", "s"], "z1"), node("Sigmoid", ["d"], "s")]
    arrays = ARRAYS | {"W2": ARRAYS["W2"].T.copy()}
    last = [node("Gemm", ["z1", "W2", "b2"], "y", transB=1, alpha=2.0, beta=3.0)]
    path = written(tmp_path, model([*first, *last], arrays))
    spec = network.spec_of(path)
    assert (spec.hidden, spec.output) == ("silu", "identity")
    params = load_params(path, spec)
    np.testing.assert_array_equal(params.weights[1], 2 * ARRAYS["W2"])
    np.testing.assert_array_equal(params.biases[1], 3 * ARRAYS["b2"])


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([*FIRST, node("Conv", ["a1", "W1"], "z1"), *LAST], r"node 'the Conv' \(Conv\) is no part"),
        ([*FIRST, node("Mul", ["a1", "two"], "z1"), *LAST], r"\(Mul\) computes no activation"),
        ([*FIRST, node("Add", ["a1", "x"], "z1"), *LAST], r"\(Add\) joins two layers"),
        ([*FIRST, node("Add", ["a1", "b1"], "z1"), *LAST], "neither weight nor bias of a layer: 'b1'"),
        ([*FIRST, node("Gelu", ["a1"], "z1", approximate="tanh"), *LAST], r"\(Gelu\) computes no activation"),
        ([*FIRST, node("Relu", ["a1"], "y")], r"\(Relu\) ends the network"),
        ([*FIRST, node("Softmax", ["a1"], "y", axis=0)], r"takes another axis"),
        ([node("Relu", ["x"], "r"), node("Gemm", ["r", "W1", "b1"], "y")], r"\(Relu\) stands before the first layer"),
        ([node("Gemm", ["x", "W1", "b1"], "y", transA=1)], "takes its input transposed"),
        ([node("Gemm", ["x", "x"], "y")], "multiplies by no matrix of weights"),
        ([node("Gemm", ["x", "W1", "b2"], "y")], r"adds an array of shape \(2,\) to 3 columns"),
        ([node("Relu", ["y"], "y")], "is behind|depend|no part|nothing"),
        ([node("Add", ["y", "b1"], "y")], "is no part of a fully connected network"),
        ([*FIRST, node("Add", ["a1", "two", "two"], "z1"), *LAST], "has 3 inputs"),
        ([node("Gemm", ["y", "W1", "b1"], "y")], "does not depend on an input"),
        ([], "nothing makes 'y'"),
        ([*FIRST, node("LeakyRelu", ["a1"], "z1", alpha="text"), *LAST], "attribute alpha"),
        ([node("Gemm", [], "y")], "lacks an input"),
    ],
)
def test_what_is_no_fully_connected_network_is_named(tmp_path, nodes, words):
    path = written(tmp_path, model(nodes, ARRAYS))
    refusal(ParamsError, f"^model {path}: .*({words})", network.spec_of, path)


def external(tmp_path, location, length=48, nodes=()):
    made = model(nodes or [node("Gemm", ["x", "W1", "b1"], "y")], ARRAYS)
    tensor, content = made.graph.initializer[0], made.graph.initializer[0].raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", str(length)), ("offset", "0")):
        tensor.external_data.add(key=key, value=value)
    return written(tmp_path, made), content


def test_values_in_a_file_beside_the_model(tmp_path):
    (tmp_path / "net").mkdir()
    path, content = external(tmp_path / "net", "values.bin")
    (tmp_path / "net" / "values.bin").write_bytes(content)
    np.testing.assert_array_equal(load_params(path, network.spec_of(path)).weights[0], ARRAYS["W1"])
    (tmp_path / "outside.bin").write_bytes(content)
    (tmp_path / "net" / "link.bin").symlink_to(tmp_path / "outside.bin")
    outside = ("../outside.bin", str(tmp_path / "outside.bin"), "link.bin", "/etc/passwd", "")
    wrong = [(location, 48, "lies outside the model's folder") for location in outside]
    wrong += [
        ("nothing.bin", 48, "not there"),
        ("values.bin", 10**15, "has no 48 bytes"),
        (".", 48, "not there|has no"),
        ("values.bin", "x" * 5000, "cannot be read"),
        ("x" * 5000, 48, "cannot be read"),
    ]
    for location, length, words in wrong:
        path, _ = external(tmp_path / "net", location, length)
        network._read.cache_clear()
        assert len(refusal(ParamsError, words, network.read, path)) < hostile.LONGEST


def test_a_shape_that_no_weights_have_is_refused(tmp_path):
    made = model([node("Gemm", ["x", "W1", "b1"], "y")], ARRAYS)
    for dims in ([2**40, 2**40], [-1, 3], [1] * 5):
        made.graph.initializer[0].dims[:] = dims
        network._read.cache_clear()
        refusal(ParamsError, "has the shape", network.read, written(tmp_path, made))


def test_a_state_needs_activations_and_nothing_but_linear_layers(tmp_path):
    arrays = {"fc10.weight": np.ones((2, 3), np.float32), "fc9.weight": np.ones((3, 4), np.float16)}
    path = tmp_path / "net.safetensors"
    safetensors.save_file(arrays, path)
    refusal(ParamsError, "name them, such as --spec 4-3-2:relu/identity", network.spec_of, path)
    assert load_params(path, ForwardSpec((4, 3, 2), "relu", "identity")).sizes == (4, 3, 2)
    for extra, words in (
        ({"bn.running_mean": np.ones(3)}, "running_mean' is neither weight nor bias"),
        ({"conv.weight": np.ones((1, 2, 3))}, "no weight of two dimensions"),
        ({"fc11.weight": np.ones((2, 7))}, "do not fit behind each other"),
        ({"fc9.bias": np.ones(3, np.int64)}, "holds I64"),
    ):
        safetensors.save_file({**arrays, **extra}, path)
        network._read.cache_clear()
        refusal(ParamsError, words, network.read, path)
    path.write_bytes((2**40).to_bytes(8, "little"))
    refusal(ParamsError, "its header would have", network.read, path)
    for file, size in product((path, tmp_path / "net.onnx"), (0, network.MAX_BYTES, 2**40)):
        file.touch()
        os.truncate(file, size)  # holes: it takes no room
        refusal(ParamsError, f"it has {size} bytes: a network has up to", network.read, file)


def test_a_model_names_the_network_unless_a_specification_does(tmp_path):
    spec = ForwardSpec((784, 20, 10), "tanh")
    path = written(tmp_path, build_model(spec, seeded(spec)))
    for text in (None, "784-20-10:tanh"):
        workload = Workload(Options(spec=text, model=str(path)))
        assert (workload.spec, workload.facts()[2][0]) == (spec, "net.onnx")
    assert workload.dataset.name == "digits"
    assert workload.accuracy(NumpyKernel(workload.spec, workload.params))["reason"] is None
    for text, words in (
        ("784-20-10:relu", "it is tanh/softmax, and not relu/softmax"),
        ("784-10", "the network is 784-20-10, the specification is 784-10"),
    ):
        refusal(ParamsError, words, Workload(Options(spec=text, model=str(path))).facts)


def test_many_small_parts_are_refused_before_a_library_reads_them(tmp_path):
    many = onnx.GraphProto(node=[onnx.NodeProto()] * (onnx_size.MAX_FIELDS + 1))
    for graph in (many, onnx.GraphProto(name="x" * 2**23)):
        network._read.cache_clear()
        path = written(tmp_path, onnx.ModelProto(graph=graph))
        refusal(ParamsError, "far too many parts", network.read, path)


# Hostile files

#: What members of a model become: words of ONNX, and paths.
WORDS = ["Relu", "Softmax", "Reshape", "Transpose", "Constant", "Pow", "If", "alpha", "axis", "transB", "value"]
WORDS += ["x", "a1", "W1", "b1", "y", "../../etc/passwd", "loop", "1e9", "16", "-1", "7", "AAAA", "x" * 5000, "offset"]
NODES = [
    '["a1"]',
    '["x", "W1", "b1"]',
    '{"name": "alpha", "s": "AAAA", "type": "STRING"}',
    '{"name": "axis", "i": "7"}',
]


def read(path):
    network._read.cache_clear()  # files of one size within a tick of the clock are one file to it
    (network.read if path.suffix == ".safetensors" else network.spec_of)(path)


def test_a_changed_onnx_file_is_read_or_refused(tmp_path):
    """Its bytes, and members of what protobuf writes as JSON; one of its tensors lies beside it."""
    nodes = [node("MatMul", ["x", "W1"], "p"), node("Add", ["p", "b1"], "a1")]
    nodes += [node("LeakyRelu", ["a1"], "z1", alpha=0.2), node("Gemm", ["z1", "W2", "b2"], "a2")]
    path, content = external(tmp_path, "other", nodes=[*nodes, node("Softmax", ["a2"], "y", axis=1)])
    (tmp_path / "other").write_bytes(content)
    (tmp_path / "loop").symlink_to("loop")
    as_json = json_format.MessageToJson(onnx.ModelProto.FromString(path.read_bytes())).encode()

    def of_json(drawn):
        text, model = hostile.with_json(as_json, drawn), onnx.ModelProto()
        with suppress(json_format.ParseError):  # as far as it is protobuf's
            json_format.Parse(text, model, ignore_unknown_fields=True)
        return model.SerializeToString()

    odd = [*map(json.dumps, WORDS), *NODES]
    hostile.hold(path, path.read_bytes(), read, of_json=of_json, odd=odd)


def test_a_changed_safetensors_file_is_read_or_refused(tmp_path):
    """Bytes of a file, and its header, which is JSON behind eight bytes of length."""
    arrays = {"0.weight": np.ones((3, 4), np.float32), "0.bias": np.ones(3, np.float32)}
    arrays |= {"10.weight": np.ones((2, 3), np.float32), "10.bias": np.ones(2, np.float16)}
    raw = safetensors.save(arrays, {"hidden": "relu"})
    start = 8 + int.from_bytes(raw[:8], "little")

    def of_json(drawn):
        header = hostile.with_json(raw[8:start], drawn)
        return len(header).to_bytes(8, "little") + header + raw[start:]

    odd = [*hostile.ODD, json.dumps(f"{'9' * 5000}.weight"), '"0\\n.weight"', '"F16"', '"I64"', "[3, 4]", "[0, 48]"]
    hostile.hold(tmp_path / "net.safetensors", raw, read, of_json=of_json, odd=odd)
