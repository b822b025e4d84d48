"""ONNX Runtime: a model made from the specification, run with NumPy arrays or with arrays bound beforehand.

The settings, and why:

* One `Gemm` for each layer, as exporters write a linear layer; weights are constants, which ONNX Runtime packs once and
  fuses with the activation behind them. All graph optimizations are on: that is its default.
* ``intra_op_num_threads`` is what the process was given (`kernels.base.threads_given`). It does not read
  ``OMP_NUM_THREADS``, and with its own default of 0 it would take every core and pin its threads.
* One operator follows the other, so there is one inter-op thread. Idle threads spin, which is its default and the
  fastest; other kernels do not suffer, since each has its own process.
* Without its telemetry, which newer versions have: it sends events to a server and writes an identifier below the home
  directory, unless ``ORT_DISABLE_TELEMETRY`` is set before the library loads. It is set here.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, require, threads_given
from mlpbench.kernels.cuda import card
from mlpbench.kernels.cuda.device import require_own_products
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.instructions import instructions
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

EXTRA = "onnxruntime"
#: The newest opset that every ONNX Runtime since 1.14 (2023) reads; nothing here has changed since.
OPSET, IR_VERSION = 18, 8
#: A model is one protobuf message, and those end at 2 GiB; the rest of the model is small.
MAX_BYTES = 2**31 - 2**20


def _onnxruntime() -> Any:
    """Import ONNX Runtime, which then sends nothing to anybody."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return require("onnxruntime", EXTRA)


def build_model(spec: ForwardSpec, params: Params) -> bytes:
    """Return the network as an ONNX model, serialized: input ``x`` (rows, n_in), output ``y`` (rows, n_out)."""
    onnx = require("onnx", EXTRA)
    node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array
    number = onnx.helper.np_dtype_to_tensor_dtype(spec.np_dtype)
    activations = {
        "sigmoid": lambda a, z: [node("Sigmoid", [a], [z])],
        "relu": lambda a, z: [node("Relu", [a], [z])],
        "step": lambda a, z: [node("Greater", [a, "zero"], [f"{a}>0"]), node("Cast", [f"{a}>0"], [z], to=number)],
        "tanh": lambda a, z: [node("Tanh", [a], [z])],
        # What PyTorch's exporter writes for opsets without Gelu. ONNX Runtime makes one operator of it.
        "gelu": lambda a, z: [
            node("Div", [a, "root 2"], [f"{a}/"]),
            node("Erf", [f"{a}/"], [f"{a}erf"]),
            node("Add", [f"{a}erf", "one"], [f"{a}+"]),
            node("Mul", [a, f"{a}+"], [f"{a}*"]),
            node("Mul", [f"{a}*", "half"], [z]),
        ],
        "silu": lambda a, z: [node("Sigmoid", [a], [f"{a}s"]), node("Mul", [a, f"{a}s"], [z])],
        "softmax": lambda a, z: [node("Softmax", [a], [z], axis=-1)],
        "identity": lambda a, z: [node("Identity", [a], [z])],
    }
    numbers = {"zero": 0.0, "one": 1.0, "half": 0.5, "root 2": 2**0.5}
    nodes, constants, z = [], [], "x"
    for layer, (W, b) in enumerate(zip(params.weights, params.biases, strict=True), start=1):
        constants += [constant(W, f"W{layer}"), constant(b, f"b{layer}")]
        nodes.append(node("Gemm", [z, f"W{layer}", f"b{layer}"], [f"a{layer}"]))
        last = layer == spec.n_layers
        z = "y" if last else f"z{layer}"
        a, (name, slope) = f"a{layer}", (spec.output, 0.0) if last else spec.activations[layer - 1]
        if name != "leaky-relu":
            nodes += activations[name](a, z)
        elif spec.dtype == "float32":
            nodes.append(node("LeakyRelu", [a], [z], alpha=slope))
        else:  # the attribute is a float32
            numbers[f"slope{layer}"] = slope
            nodes += [node("Mul", [a, f"slope{layer}"], [f"{a}*"]), node("Max", [a, f"{a}*"], [z])]
    read = {name for one in nodes for name in one.input}  # ONNX Runtime warns of constants that nothing reads
    constants += [constant(np.full(1, value, spec.np_dtype), name) for name, value in numbers.items() if name in read]
    x, y = (
        onnx.helper.make_tensor_value_info(name, number, ["rows", n])
        for name, n in (("x", spec.n_in), ("y", spec.n_out))
    )
    graph = onnx.helper.make_graph(nodes, "mlp", [x], [y], constants)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    serialized: bytes = model.SerializeToString()
    return serialized


class OnnxRuntimeKernel(Kernel):
    """`InferenceSession.run`: a NumPy array in, a new NumPy array out."""

    backend = "onnxruntime"
    distributions = ("onnxruntime", "onnxruntime-gpu")
    #: What computes, and its options.
    _provider: ClassVar[tuple[str, dict[str, str]]] = ("CPUExecutionProvider", {})

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._library = _onnxruntime()
        options = self._library.SessionOptions()
        options.intra_op_num_threads = threads_given()
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "0" if self.device == "cpu" else "1")
        self._session = self._library.InferenceSession(self._model(), options, providers=[self._provider])

    def _model(self) -> bytes:
        return build_model(self.spec, self.params)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where ONNX Runtime, or the helper that writes its models, cannot be imported."""
        _onnxruntime()
        require("onnx", EXTRA)

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for more weights than a model file can hold, and for gelu in float64."""
        if spec.weight_bytes() > MAX_BYTES:
            raise KernelUnavailable(f"{spec.weight_bytes()} bytes of weights: an ONNX model holds {MAX_BYTES}")
        if spec.dtype == "float64" and "gelu" in {one.name for one in spec.activations}:
            raise KernelUnavailable("ONNX Runtime has no float64 Erf, which gelu needs")

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        y: _Array = self._session.run(["y"], {"x": x})[0]
        return y

    def describe(self) -> Facts:
        """Return the session's threads and provider, and what wrote the model."""
        options = self._session.get_session_options()
        return Facts.of(
            threads=options.intra_op_num_threads,
            provider=", ".join(self._session.get_providers()),
            graph_optimization=options.graph_optimization_level.name,
            onnx=str(require("onnx", EXTRA).__version__),
            opset=OPSET,
            build=str(self._library.get_build_info()),
        )


class OnnxRuntimeInt8Kernel(OnnxRuntimeKernel):
    """`quantize_dynamic`, whose products are of bytes: weights are made bytes once, inputs of a layer in every call.

    All rows of a batch have one scale, so inputs are finite: one that is not would take the other rows along.
    """

    arithmetic = "int8"

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64, and for more weights than a model file can hold."""
        super().supports(spec)
        if spec.dtype != "float32":
            raise KernelUnavailable(f"dynamic quantisation is of float32, and the specification is {spec.dtype}")

    def _model(self) -> bytes:
        library = require("onnxruntime.quantization", EXTRA)
        with TemporaryDirectory() as folder:
            plain, prepared, small = (Path(folder, f"{name}.onnx") for name in ("plain", "prepared", "int8"))
            plain.write_bytes(super()._model())
            library.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            library.quantize_dynamic(prepared, small, per_channel=True)
            return small.read_bytes()

    def nearest(self, x: _Array) -> _Array:
        """Return finite inputs."""
        return np.nan_to_num(x)

    def describe(self) -> Facts:
        """Return what `OnnxRuntimeKernel.describe` returns, and the instructions for products of bytes."""
        return super().describe().also(arithmetic="int8", instructions=instructions("avx512vnni", "avxvnni", "dotprod"))


@dataclass(frozen=True)
class Bound:
    """An input bound to the session together with the buffer of its output."""

    binding: Any
    x: _Array
    #: (rows, n_out), or (n_out,) for one row.
    y: _Array
    #: What ONNX Runtime points into: kept alive.
    values: tuple[Any, Any]


class OnnxRuntimeBoundKernel(OnnxRuntimeKernel):
    """IO binding: inputs and outputs are bound beforehand, and a call only runs the model.

    A kernel's own kind of array is here an input that is bound, once, in `from_host`: outside the clock, as transfers
    are for every kernel. That is ONNX Runtime at its fastest. Binding again in every call costs 0.7 us more, copying
    into one bound input 0.4 us at one row and a quarter more time at 10,000 (Zen 5, ONNX Runtime 1.32). Inputs of
    the same number of rows share an output buffer: a result is valid until the next call.
    """

    returns = "kept"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._outputs: dict[int, _Array] = {}

    def from_host(self, x: _Array) -> Bound:
        """Return an input, (batch, n_in) or (n_in,), bound with the output buffer for as many rows."""
        rows = x.reshape(-1, self.spec.n_in)
        if len(rows) not in self._outputs:
            self._outputs[len(rows)] = np.empty((len(rows), self.spec.n_out), self.spec.np_dtype)
        out = self._outputs[len(rows)]
        wrap = self._library.OrtValue.ortvalue_from_numpy  # shares the memory
        values = wrap(rows), wrap(out)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("x", values[0])
        binding.bind_ortvalue_output("y", values[1])
        return Bound(binding, x, out if x.ndim == 2 else out[0], values)

    def to_host(self, y: Bound | _Array) -> _Array:
        """Return an output, which is a NumPy array already, or the array behind a bound input."""
        return y.x if isinstance(y, Bound) else y

    def forward(self, x: Any) -> _Array:
        """Return the outputs of a `Bound` batch or sample. Valid until the next call."""
        self._session.run_with_iobinding(x.binding)
        y: _Array = x.y
        return y

    forward_one = forward


@dataclass(frozen=True)
class Placed:
    """Rows in the memory of a device, or one row, bound to the session together with where their outputs go.

    ``value`` holds ``first`` rows before them. Slices and rows of them are bound when they are taken.
    """

    kernel: OnnxRuntimeCudaKernel
    value: Any
    first: int
    #: (rows, n), or (n,) for one row.
    shape: tuple[int, ...]
    binding: Any = None
    y: Any = None

    def __getitem__(self, key: int | slice) -> Placed:
        rows = range(self.shape[0])[key]
        if isinstance(rows, range):
            return self.kernel.placed(self.value, self.first + rows.start, (len(rows), self.shape[1]))
        return self.kernel.placed(self.value, self.first + rows, self.shape[1:])


class OnnxRuntimeCudaKernel(OnnxRuntimeKernel):
    """IO binding on a CUDA device: inputs and outputs are in its memory, and a call returns when it is done.

    TF32 is off. A node that the device cannot compute is an error, and is not given to the CPU. Without CUDA graphs:
    ONNX Runtime captures one for fixed inputs only.
    """

    device = "cuda"
    returns = "kept"
    _provider = ("CUDAExecutionProvider", {"use_tf32": "0"})
    _place: ClassVar[str] = "cuda"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        require_own_products(spec.dtype)
        super().__init__(spec, params)
        self._outputs: dict[tuple[int, ...], Placed] = {}
        if self._session.get_providers()[0] != self._provider[0]:
            raise KernelUnavailable(f"ONNX Runtime took {self._session.get_providers()[0]} for {self._provider[0]}")

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where ONNX Runtime cannot be imported, or was built without CUDA."""
        super().probe()
        library = _onnxruntime()
        if hasattr(library, "preload_dlls"):  # else what pip installs of CUDA is not found
            with redirect_stdout(sys.stderr):  # where it says what it did not find
                library.preload_dlls()
        has = library.get_available_providers()
        if cls._provider[0] not in has:
            how = "pip install -e '.[onnxruntime-cuda]' brings one that does, in the place of onnxruntime"
            raise KernelUnavailable(f"this ONNX Runtime computes with {', '.join(has)}, not on a CUDA device: {how}")

    def _empty(self, *shape: int) -> Any:
        make = self._library.OrtValue.ortvalue_from_shape_and_type
        return make(shape, self.spec.np_dtype, self._place, 0)

    def placed(self, value: Any, first: int, shape: tuple[int, ...]) -> Placed:
        """Return rows of a value in the device's memory, bound to the outputs for as many rows."""
        rows = shape[0] if len(shape) == 2 else 1
        key = (*shape[:-1], self.spec.n_out)
        if key not in self._outputs:
            self._outputs[key] = Placed(self, self._empty(rows, self.spec.n_out), 0, key)
        y = self._outputs[key]
        binding = self._session.io_binding()
        for bind, name, whole, before, n in (
            (binding.bind_input, "x", value, first, self.spec.n_in),
            (binding.bind_output, "y", y.value, 0, self.spec.n_out),
        ):
            address = whole.data_ptr() + before * n * self.spec.np_dtype.itemsize
            bind(name, self._place, 0, self.spec.np_dtype.type, [rows, n], address)
        return Placed(self, value, first, shape, binding, y)

    def from_host(self, x: _Array) -> Placed:
        """Return inputs, (batch, n_in) or (n_in,), in the device's memory."""
        rows = np.ascontiguousarray(x.reshape(-1, self.spec.n_in))
        value = self._empty(*rows.shape)
        value.update_inplace(rows)
        return self.placed(value, 0, x.shape)

    def to_host(self, y: Placed) -> _Array:
        """Return inputs or outputs as a NumPy array."""
        rows = y.shape[0] if len(y.shape) == 2 else 1
        array: _Array = y.value.numpy()[y.first : y.first + rows].reshape(y.shape)
        return array

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch or of a sample. Valid until the next call."""
        self._session.run_with_iobinding(x.binding)
        return x.y

    forward_one = forward

    def describe(self) -> Facts:
        """Return what `OnnxRuntimeKernel.describe` returns, and what products are computed in."""
        arithmetic = "fp64" if self.spec.dtype == "float64" else "fp32"
        return super().describe().also(arithmetic=arithmetic, overrides=card.overrides())
