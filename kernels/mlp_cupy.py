"""The CuPy kernels on cuBLAS: the book's lines, and products with device kernels for what stands between them."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mlpbench.kernels.base import Arithmetic, Facts
from mlpbench.kernels.cuda import programs
from mlpbench.kernels.cuda.device import multiply_in, require_capability
from mlpbench.kernels.cuda.forward import Compute, Network
from mlpbench.kernels.cuda.kernel import StreamKernel
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import Activation, ForwardSpec


class CupyKernel(StreamKernel):
    """`kernels.cuda.forward` on the current GPU: a product and a device kernel for each layer."""

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        # Before each call: another kernel of the process may have set it since.
        self._multiply_in = multiply_in(self._computed_in())
        self._multiply_in()
        weights, biases = ([self.from_host(a) for a in arrays] for arrays in (self.params.weights, self.params.biases))
        with self._stream:
            self._prepare(weights, biases)

    def _prepare(self, weights: list[Any], biases: list[Any]) -> None:
        computes = [self._layer(program) for program in programs.after_products(self.spec)]
        self._network = Network(self._cupy.empty, computes, self.spec, weights, biases)

    def _computed_in(self) -> str:
        return self.spec.dtype

    def _layer(self, program: programs.Program) -> Compute:
        """Return what computes a layer: its product, and the device kernel of a program in place of that."""
        kernel = program.kernel(self._cupy)

        def compute(x: Any, W: Any, b: Any, out: Any) -> None:
            rows = len(x)
            self._cupy.matmul(x, W, out=out)
            kernel((program.grid(rows),), (program.block,), (out, b, np.int64(rows)))

        return compute

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out), before the GPU is done; see `synchronize`."""
        self._multiply_in()
        with self._stream:
            return self._network(x)

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,), before the GPU is done."""
        self._multiply_in()
        with self._stream:
            return self._network.one(x)

    def describe(self) -> Facts:
        """Return what `StreamKernel` tells, when products are computed as this kernel has them computed."""
        self._multiply_in()
        return super().describe()


class CupyTf32Kernel(CupyKernel):
    """The same with products on tensor cores, which read 11 significant bits of each operand."""

    arithmetic: ClassVar[Arithmetic] = "tf32"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        require_capability(80, "products in TF32")

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64: TF32 is a way to compute float32."""
        if spec.dtype != "float32":
            raise KernelUnavailable(f"products in TF32 take float32, the specification has {spec.dtype}")

    def _computed_in(self) -> str:
        return "tf32"


class CupyPlainKernel(CupyKernel):
    """The book's ``predict`` with ``cp`` for ``np``, as `NumpyKernel` is with ``np``: every step makes a new array."""

    returns = "new"

    def _prepare(self, weights: list[Any], biases: list[Any]) -> None:
        functions = [_book(self._cupy, one) for one in (*self.spec.activations, Activation(self.spec.output))]
        self._layers = list(zip(weights, biases, functions, strict=True))

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, (batch, n_in) to (batch, n_out), before the GPU is done; see `synchronize`."""
        self._multiply_in()
        z = x
        with self._stream:
            for W, b, activation in self._layers:
                z = activation(z @ W + b)
        return z

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,). ``@`` takes a vector as it takes a matrix."""
        return self.forward(x)


def _book(cp: Any, of: Activation) -> Callable[[Any], Any]:
    """Return what follows the sums of a layer, in the lines of `mlp_numpy`. Only softmax and gelu take two of them."""

    def softmax(a: Any) -> Any:
        e = cp.exp(a - a.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def gelu(a: Any) -> Any:
        from cupyx.scipy.special import erf

        return a * (1 + erf(a * 0.5**0.5)) * 0.5

    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda a: 1 / (1 + cp.exp(-a)),
        "relu": lambda a: cp.maximum(0, a),
        "step": lambda a: (a > 0).astype(a.dtype),
        "tanh": cp.tanh,
        "gelu": gelu,
        "silu": lambda a: a / (1 + cp.exp(-a)),
        "leaky-relu": lambda a: cp.maximum(a, of.slope * a),
        "identity": lambda a: a,
        "softmax": softmax,
    }
    return functions[of.name]
