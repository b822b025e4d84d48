"""OpenVINO on the CPU: a model made from the specification and compiled for each batch size.

The settings, and why:

* ``INFERENCE_PRECISION_HINT`` f32: on processors with bfloat16 units OpenVINO would otherwise compute in bfloat16, as
  `OpenVinoBf16Kernel` does.
* ``PERFORMANCE_HINT`` LATENCY, one stream: one request at a time gets all threads, ``INFERENCE_NUM_THREADS`` of them.
* Compiled for each number of rows, in 10 to 20 ms of the first call: with the rows left open one row takes 4 us more
  (Zen 5, OpenVINO 2026.4).
* Inputs and outputs are tensors that share the memory of NumPy arrays, and a request is kept for each number of rows.
  Calling the compiled model takes 7 us more.
* Without its telemetry: OpenVINO's import would fork a process that tells a server on the internet about it, and would
  write into the home directory. The package that does so is hidden from it, and it takes the stub that it has for that.
"""

import sys
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, require, threads_given
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.instructions import instructions
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

EXTRA = "openvino"


def _openvino() -> Any:
    """Import OpenVINO, but not its telemetry."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes its import fail
    return require("openvino", EXTRA)


class OpenVinoKernel(Kernel):
    """A compiled model and a request for each batch size; NumPy arrays in and out, without a copy."""

    backend = "openvino"
    distributions = ("openvino",)
    returns = "kept"
    _precision: ClassVar[str] = "f32"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._library = _openvino()
        self._tensor = self._library.Tensor
        self._core = self._library.Core()
        #: The request for each number of rows, and its output.
        self._requests: dict[int, tuple[Any, _Array]] = {}
        self._compiled = self._prepare(1)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where OpenVINO cannot be imported, or has no CPU."""
        devices = _openvino().Core().available_devices
        if "CPU" not in devices:
            raise KernelUnavailable(f"OpenVINO has no CPU here, only {', '.join(devices) or 'nothing'}")

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64, which OpenVINO would silently compute in float32."""
        if spec.dtype != "float32":
            raise KernelUnavailable(f"OpenVINO computes in float32 on the CPU, and the specification is {spec.dtype}")

    def _compile(self, rows: int) -> Any:
        ops = require("openvino.opset13", EXTRA)
        z = x = ops.parameter([rows, self.spec.n_in], self.spec.np_dtype, name="x")
        activations = {
            "sigmoid": ops.sigmoid,
            "relu": ops.relu,
            "step": lambda a: ops.convert(ops.greater(a, self.spec.np_dtype.type(0)), "f32"),
            "tanh": ops.tanh,
            "gelu": lambda a: ops.gelu(a, "erf"),
            "silu": ops.swish,
            "identity": lambda a: a,
        }

        leaky = [partial(ops.prelu, slope=self.spec.np_dtype.type(one.slope)) for one in self.spec.activations]
        functions = [activations.get(one.name, own) for one, own in zip(self.spec.activations, leaky, strict=True)]
        functions.append((lambda a: ops.softmax(a, -1)) if self.spec.output == "softmax" else activations["identity"])
        for W, b, function in zip(self.params.weights, self.params.biases, functions, strict=True):
            product = ops.matmul(z, ops.constant(W), transpose_a=False, transpose_b=False)
            z = function(ops.add(product, ops.constant(b)))
        settings = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads_given()),
        }
        return self._core.compile_model(self._library.Model([z], [x], "mlp"), "CPU", settings)

    def _prepare(self, rows: int) -> Any:
        """Compile for batches of ``rows`` and make a request for them; return the compiled model."""
        # OpenVINO 2026.4 cannot compile a layer of one input and one output for a fixed number of rows on one thread.
        compiled = self._compile(-1 if (1, 1) in self.spec.layers else rows)
        request = compiled.create_infer_request()
        y = np.empty((rows, self.spec.n_out), self.spec.np_dtype)
        request.set_output_tensor(self._tensor(y, shared_memory=True))
        self._requests[rows] = request, y
        return compiled

    def nearest(self, x: _Array) -> _Array:
        """Return finite inputs: OpenVINO 2026.4 answers 0 where softmax is NaN."""
        return np.nan_to_num(x)

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        if len(x) not in self._requests:
            self._prepare(len(x))
        request, y = self._requests[len(x)]
        x = x if x.flags.writeable else x.copy()  # a tensor cannot be read-only
        request.set_input_tensor(self._tensor(x, shared_memory=True))
        request.infer()
        return y

    def describe(self) -> Facts:
        """Return what the compiled model says of itself."""
        value = self._compiled.get_property
        return Facts.of(
            threads=int(value("INFERENCE_NUM_THREADS")),
            streams=int(value("NUM_STREAMS")),
            precision=value("INFERENCE_PRECISION_HINT").get_type_name(),
            performance_hint=str(value("PERFORMANCE_HINT")).rpartition(".")[2],
            build=str(self._library.get_version()),
        )


class OpenVinoBf16Kernel(OpenVinoKernel):
    """`OpenVinoKernel` with products of bfloat16; inputs and outputs stay float32."""

    arithmetic = "bf16"
    _precision = "bf16"

    def describe(self) -> Facts:
        """Return what `OpenVinoKernel.describe` returns, and the instructions for products of bfloat16."""
        return super().describe().also(arithmetic="bf16", instructions=instructions("avx512bf16", "amx-bf16", "bf16"))
