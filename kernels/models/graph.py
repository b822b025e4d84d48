"""A fully connected network in an ONNX model, whoever exported it: PyTorch, scikit-learn, or a hand.

The graph is followed backwards from an output: an activation, a linear layer (Gemm, or MatMul and Add), an activation,
and so on to the input. What stands between two linear layers is elementwise, and exporters write it in many ways: so it
is computed for some numbers, and compared with every activation that there is.
"""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels import reference
from mlpbench.kernels.base import require
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.files import open_ordinary
from mlpbench.kernels.models import onnx_size, tensors
from mlpbench.kernels.params import Network, Params
from mlpbench.kernels.spec import Activation

_Array = NDArray[Any]

#: Numbers for which activations are compared, and how near they must be.
POINTS = np.linspace(-9, 9, 145)
NEAR = 2e-6
#: Operators that change no number of a batch of rows.
_NOTHING = {"Identity", "Cast", "Dropout", "Flatten", "Reshape", "ZipMap"}
#: A chain of so many operators between two layers, or behind a constant, is no activation.
_DEEPEST = 40

#: The type of each attribute, by its number in ONNX: a float, a whole number, bytes, a tensor.
_TYPES = {"alpha": 1, "beta": 1, "value_float": 1, "axis": 2, "transA": 2, "transB": 2, "approximate": 3, "value": 4}
#: Inputs that operators have at least, as far as they are looked at by their place.
_INPUTS = {"Softmax": 1, "Sigmoid": 1, "Sub": 2, "MatMul": 2, "Gemm": 2}


def _attribute(node: Any, name: str, default: Any) -> Any:
    for one in node.attribute:
        if one.name == name:
            if one.type != _TYPES[name]:
                raise ParamsError(f"node {ascii(node.name)[:60]} has an attribute {name} of another type than ONNX's")
            return {1: one.f, 2: one.i, 3: one.s, 4: one.t}[one.type]
    return default


def _gelu(node: Any, a: _Array) -> _Array:
    if _attribute(node, "approximate", b"none") in (b"none", b""):
        return reference.gelu(a)
    approximate: _Array = 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))
    return approximate


def _erf(a: _Array) -> _Array:
    from scipy.special import erf

    return np.asarray(erf(a))


#: What an elementwise operator does with its node and the values of its inputs.
_ELEMENTWISE: dict[str, Callable[..., _Array]] = {
    "Relu": lambda _, a: reference.relu(a),
    "Sigmoid": lambda _, a: reference.sigmoid(a),
    "Tanh": lambda _, a: np.tanh(a),
    "LeakyRelu": lambda node, a: reference.leaky_relu(a, _attribute(node, "alpha", 0.01)),
    "Gelu": _gelu,
    "Swish": lambda node, a: a * reference.sigmoid(_attribute(node, "alpha", 1.0) * a),
    "Erf": lambda _, a: _erf(a),
    "Exp": lambda _, a: np.exp(a),
    "Neg": lambda _, a: -a,
    "Sqrt": lambda _, a: np.sqrt(a),
    "Pow": lambda _, a, b: np.power(a, b),
    "Add": lambda _, a, b: a + b,
    "Sub": lambda _, a, b: a - b,
    "Mul": lambda _, a, b: a * b,
    "Div": lambda _, a, b: a / b,
    "Max": lambda _, a, b: np.maximum(a, b),
    "Min": lambda _, a, b: np.minimum(a, b),
    "Greater": lambda _, a, b: np.greater(a, b).astype(np.float64),
}


def read(path: Path) -> Network:
    """Read a model. Raises ParamsError with the node and operator that is no part of a fully connected network."""
    onnx = require("onnx", "models")
    with open_ordinary(path) as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        onnx_size.require_small(content)
        model = onnx.ModelProto()
        try:
            model.ParseFromString(content[:])
        except Exception as error:  # the library's own DecodeError, which moves between its versions
            if type(error).__name__ not in ("DecodeError", "RuntimeWarning", "ValueError"):
                raise
            raise ParamsError("damaged, or no ONNX model") from None
    with np.errstate(all="ignore"):  # what is not finite in the end is refused
        return _Graph(model.graph, path.parent).network()


class _Linear(NamedTuple):
    """A linear layer, and the tensor that goes into it."""

    W: _Array
    b: _Array
    source: str


class _Graph:
    def __init__(self, graph: Any, folder: Path) -> None:
        self._folder = folder
        for node in graph.node:
            if len(node.input) < _INPUTS.get(node.op_type, 0):
                raise ParamsError(f"node {ascii(node.name)[:60]} ({node.op_type}) lacks an input")
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._arrays: dict[str, _Array | None] = {}
        self._inputs = {one.name for one in graph.input} - self._stored.keys()
        self._outputs = [one.name for one in graph.output]

    def network(self) -> Network:
        """Return the network that leads to an output. Others may be labels, which no network is needed for."""
        trouble = ParamsError("its graph has no output")
        for name in self._outputs[:10]:
            try:
                return self._network(name)
            except ParamsError as error:
                trouble = error
        raise trouble

    def _network(self, name: str) -> Network:
        tensor, output, pair = self._end(name)
        layers: list[tuple[_Linear, Activation]] = []
        seen: set[str] = set()
        while True:
            base, values = self._values(tensor, {}, 0)
            if base is None or base in seen:
                raise ParamsError(f"the output {ascii(name)[:40]} does not depend on an input")
            seen.add(base)
            made_of = self._activation(tensor, values)
            if base in self._inputs:
                break
            layers.append((self._linear(base), made_of))
            tensor = layers[-1][0].source
        if not layers or made_of != Activation("identity"):
            raise self._refused(tensor, "stands before the first layer")
        if layers[0][1] != Activation("identity"):
            raise self._refused(self._skipped(name), "ends the network: it may end in Softmax, or in a linear layer")
        layers.reverse()
        weights, biases = [one.W for one, _ in layers], [one.b for one, _ in layers]
        if pair:  # softmax of 0 and a is 1 - sigmoid(a) and sigmoid(a)
            weights[-1] = np.hstack([np.zeros_like(weights[-1]), weights[-1]])
            biases[-1] = np.append(np.zeros_like(biases[-1]), biases[-1])
        hidden = ",".join(str(activation) for _, activation in layers[:-1]) or None
        return Network(Params(tuple(weights), tuple(biases)), hidden, output)

    def _end(self, name: str) -> tuple[str, str, bool]:
        """Return the tensor below the output's own function, that function, and whether it is a pair of classes."""
        tensor = self._skipped(name)
        node = self._makers.get(tensor)
        if node is None or node.op_type not in ("Softmax", "Concat"):
            return tensor, "identity", False
        if node.op_type == "Softmax":
            if _attribute(node, "axis", -1) not in (-1, 1):
                raise self._refused(tensor, "takes another axis than that of the classes")
            return node.input[0], "softmax", False
        # scikit-learn's classifier of two classes: 1 - p beside p, with p = sigmoid(a).
        p = self._makers.get(self._skipped(node.input[-1])) if len(node.input) == 2 else None
        q = self._makers.get(self._skipped(node.input[0])) if p is not None else None
        if p is None or p.op_type != "Sigmoid" or q is None or q.op_type != "Sub":
            raise self._refused(tensor, "is no part of a fully connected network")
        if self._skipped(q.input[1]) != self._skipped(node.input[1]) or self._number(q.input[0]) != 1.0:
            raise self._refused(tensor, "is no part of a fully connected network")
        return p.input[0], "softmax", True

    def _refused(self, tensor: str, why: str) -> ParamsError:
        node = self._makers.get(tensor)
        if node is None:
            return ParamsError(f"{ascii(tensor)[:60]} {why}")
        return ParamsError(f"node {ascii(node.name)[:60]} ({ascii(node.op_type)[1:-1][:40]}) {why}")

    def _skipped(self, tensor: str) -> str:
        """Return what a tensor is, below operators that change nothing."""
        for _ in range(_DEEPEST):
            node = self._makers.get(tensor)
            if node is None or node.op_type not in _NOTHING or not node.input or tensor != node.output[0]:
                return tensor
            shape = self._constant(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
            if node.op_type == "Reshape" and (shape is None or shape.size != 2):
                raise self._refused(tensor, "makes no rows of a batch")
            if node.op_type == "Flatten" and _attribute(node, "axis", 1) != 1:
                raise self._refused(tensor, "makes no rows of a batch")
            tensor = node.input[0]
        raise self._refused(tensor, "is behind too many operators")

    def _constant(self, name: str, depth: int = 0) -> _Array | None:
        """Return a tensor that depends on no input, or None."""
        if name not in self._arrays:
            self._arrays[name] = self._computed(name, depth)
        return self._arrays[name]

    def _computed(self, name: str, depth: int) -> _Array | None:
        if name in self._stored:
            return tensors.array(self._stored[name], self._folder)
        node = self._makers.get(name)
        if node is None or depth > _DEEPEST:
            return None
        if node.op_type == "Constant":
            if (value := _attribute(node, "value", None)) is not None:
                return tensors.array(value, self._folder)
            number = _attribute(node, "value_float", None)
            return None if number is None else np.array(number)
        if node.op_type not in ("Identity", "Cast", "Transpose") or not node.input:
            return None
        below = self._constant(node.input[0], depth + 1)
        return below.T if below is not None and node.op_type == "Transpose" and below.ndim == 2 else below

    def _number(self, name: str) -> float | None:
        """Return a constant of one item, or None."""
        found = self._constant(name)
        return float(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    def _bias(self, node: Any) -> tuple[str, _Array] | None:
        """Return what an Add adds to a product, and the product; None where it does something else."""
        if node.op_type != "Add" or len(node.input) != 2:
            return None
        for product, other in (node.input, tuple(node.input)[::-1]):
            maker = self._makers.get(self._skipped(product))
            b = self._constant(other)
            if b is not None and maker is not None and maker.op_type == "MatMul":
                return product, b
        return None

    def _values(self, tensor: str, known: dict[str, Any], depth: int) -> tuple[str | None, Any]:
        """Return the tensor below elementwise operators, and what they make of `POINTS`; a number has no tensor."""
        if tensor in known:
            return known[tensor]  # type: ignore[no-any-return]
        if (number := self._number(tensor)) is not None:
            return None, number
        tensor = self._skipped(tensor)
        node = self._makers.get(tensor)
        if node is None and tensor not in self._inputs:
            what = "nothing makes" if self._constant(tensor) is None else "neither weight nor bias of a layer:"
            raise ParamsError(f"{what} {ascii(tensor)[:60]}")
        if node is None or node.op_type in ("Gemm", "MatMul") or self._bias(node) is not None:
            return tensor, POINTS
        if node.op_type not in _ELEMENTWISE or depth > _DEEPEST:
            raise self._refused(tensor, "is no part of a fully connected network")
        inputs = [self._values(name, known, depth + 1) for name in node.input]
        bases = {base for base, _ in inputs if base is not None}
        if len(bases) != 1:
            raise self._refused(tensor, "joins two layers, or adds a vector where no product is")
        try:
            with np.errstate(all="ignore"):
                made = _ELEMENTWISE[node.op_type](node, *(values for _, values in inputs))
        except TypeError:
            raise self._refused(tensor, f"has {len(inputs)} inputs") from None
        known[tensor] = bases.pop(), made
        return known[tensor]  # type: ignore[no-any-return]

    def _activation(self, tensor: str, values: _Array) -> Activation:
        """Return the activation that makes these values of `POINTS`."""
        for name, function in (("identity", reference.identity), *reference.HIDDEN.items()):
            if np.allclose(values, function(POINTS), rtol=NEAR, atol=NEAR):
                return Activation(name)
        # The shortest number that is the float32 in the file: 0.2 where it has 0.200000003.
        slope = float(str(np.float32(-np.interp(-1, POINTS, values))))
        if 0 <= slope <= 1 and np.allclose(values, reference.leaky_relu(POINTS, slope), rtol=NEAR, atol=NEAR):
            return Activation("leaky-relu", slope)
        raise self._refused(self._skipped(tensor), "computes no activation that mlpbench knows")

    def _linear(self, tensor: str) -> _Linear:
        node = self._makers[tensor]
        bias = self._bias(node)
        if bias is not None:
            product, b = bias
            node = self._makers[self._skipped(product)]
        W = self._constant(node.input[1]) if len(node.input) > 1 else None
        if W is None or W.ndim != 2 or 0 in W.shape or W.dtype.kind != "f":
            raise self._refused(tensor, "multiplies by no matrix of weights")
        if node.op_type == "Gemm":
            if _attribute(node, "transA", 0):
                raise self._refused(tensor, "takes its input transposed")
            W = (W.T if _attribute(node, "transB", 0) else W) * W.dtype.type(_attribute(node, "alpha", 1.0))
            given = self._constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1, W.dtype)
            if given is None:
                raise self._refused(tensor, "adds what is no constant")
            b = given * W.dtype.type(_attribute(node, "beta", 1.0))
        elif bias is None:
            b = np.zeros(1, W.dtype)
        if b.dtype.kind != "f" or b.size not in (1, W.shape[1]) or b.shape[-1:] != (b.size,) * (b.ndim > 0):
            raise self._refused(tensor, f"adds an array of shape {b.shape} to {W.shape[1]} columns")
        b = np.broadcast_to(b.reshape(-1), (W.shape[1],))
        return _Linear(np.ascontiguousarray(W), np.ascontiguousarray(b), node.input[0])
