"""Hostile ONNX and safetensors files, whose libraries `.ci/run` installs, are read or refused in one line."""

import copy
import json

import numpy as np
import pytest
from hypothesis import strategies as st

from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.mlp_onnxruntime import build_model
from mlpbench.kernels.models import network
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support import hostile

pytestmark = pytest.mark.heavy

onnx = pytest.importorskip("onnx", reason="onnx cannot be imported")
safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors cannot be imported")

SPEC = ForwardSpec((4, 3, 3, 2), "gelu,leaky-relu:0.2")
TEXTS = ["", "x", "\x1b[31m\n", "../../etc/passwd", "/etc/passwd", "other", "loop", "9" * 5000, "1e9", "x" * 20_000]
KINDS = ["Relu", "Softmax", "Concat", "Flatten", "Reshape", "Transpose", "Constant", "Pow", "Add", "Gemm", "If"]
NUMBERS = [0, 1, 2, -1, 3, 7, 9, 10, 11, 16, 2**31 - 1, -(2**31)]
ATTRIBUTES = ["alpha", "beta", "axis", "transB", "value", "value_float", "approximate"]


def read(path):
    network._read.cache_clear()  # files of one size within a tick of the clock are one file to it
    if path.suffix == ".safetensors":
        network.read(path)
    else:
        network.spec_of(path)


def _attribute(node, at, value):
    node.attribute.append(onnx.helper.make_attribute(ATTRIBUTES[at % len(ATTRIBUTES)], value))


def _beside(tensor, at, text, number):
    tensor.data_location = 1
    tensor.external_data.add(key="location", value=text)
    tensor.external_data.add(key=["offset", "length", "location"][at % 3], value=TEXTS[number % len(TEXTS)])


def changes(node, tensor, name, at, text, number):
    """Return the fifteen things that may be done with a node, a tensor, the name of another, and what is drawn."""
    return (
        lambda: setattr(node, "op_type", KINDS[number % len(KINDS)]),
        lambda: node.input.append(name),
        lambda: node.input.insert(0, text),
        lambda: node.input.__delitem__(slice(number % 3, None)),
        lambda: node.output.__setitem__(slice(None), [name, text]),
        lambda: _attribute(node, at, number),
        lambda: _attribute(node, at, float(number)),
        lambda: _attribute(node, at, text),
        lambda: _attribute(node, at, tensor),
        lambda: setattr(tensor, "name", text),
        lambda: tensor.dims.__setitem__(slice(at % 2, None), [number]),
        lambda: setattr(tensor, "data_type", number),
        lambda: setattr(tensor, "raw_data", text.encode()),
        lambda: tensor.ClearField("raw_data"),
        lambda: _beside(tensor, at, text, number),
    )


def changed(model, drawn):
    """Return a model with changes: what, at which place, with which text and number."""
    graph = model.graph
    for what, at, text, number in drawn:
        names = [name for node in graph.node for name in (*node.input, *node.output)] or [""]
        node, tensor = graph.node[at % len(graph.node)], graph.initializer[at % len(graph.initializer)]
        changes(node, tensor, names[number % len(names)], at, text, number)[what]()
    return model.SerializeToString()


def test_onnx(tmp_path):
    model = onnx.ModelProto.FromString(build_model(SPEC, seeded(SPEC)))
    (tmp_path / "other").write_bytes(bytes(64))
    (tmp_path / "loop").symlink_to("loop")
    one = st.tuples(st.integers(0, 14), st.integers(0, 99), st.sampled_from(TEXTS), st.sampled_from(NUMBERS))
    drawn_from = st.one_of(st.lists(one, min_size=1, max_size=3), hostile.of_bytes())

    def change(drawn):
        if isinstance(drawn, list):
            return changed(copy.deepcopy(model), drawn)
        return model.SerializeToString() if drawn is None else hostile.with_bytes(model.SerializeToString(), drawn)

    hostile.hold(tmp_path / "net.onnx", read, drawn_from, change)


def test_safetensors(tmp_path):
    """Bytes of a file, and its header, which is JSON behind eight bytes of length."""
    arrays = {"0.weight": np.ones((3, 4), np.float32), "0.bias": np.ones(3, np.float32)}
    arrays |= {"10.weight": np.ones((2, 3), np.float32), "10.bias": np.ones(2, np.float16)}
    raw = safetensors.save(arrays, {"hidden": "relu"})
    start = 8 + int.from_bytes(raw[:8], "little")
    odd = [*hostile.ODD, json.dumps(f"{'9' * 5000}.weight"), '"0\\n.weight"', '"F16"', '"I64"', "[3, 4]", "[0, 48]"]
    drawn_from = st.one_of(hostile.of_json(odd), hostile.of_json(odd), hostile.of_bytes())

    def change(drawn):
        if not isinstance(drawn, list):
            return raw if drawn is None else hostile.with_bytes(raw, drawn)
        header = hostile.with_json(raw[8:start], drawn)
        return len(header).to_bytes(8, "little") + header + raw[start:]

    hostile.hold(tmp_path / "net.safetensors", read, drawn_from, change)


def of_another_type(graph):
    graph.node[0].attribute.append(onnx.helper.make_attribute("alpha", "text"))


def without_inputs(graph):
    del graph.node[-1].input[:]


@pytest.mark.parametrize(("change", "said"), [(of_another_type, "attribute alpha"), (without_inputs, "lacks an input")])
def test_parts_that_no_operator_of_onnx_has_are_named(tmp_path, change, said):
    model = onnx.ModelProto.FromString(build_model(SPEC, seeded(SPEC)))
    change(model.graph)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ParamsError, match=said):
        read(tmp_path / "net.onnx")
