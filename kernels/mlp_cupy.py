"""The CuPy kernels on cuBLAS: products, and device kernels for what stands between them, on a stream of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlpbench.kernels.cuda import programs
from mlpbench.kernels.cuda.device import multiply_in, require_capability
from mlpbench.kernels.cuda.forward import Network
from mlpbench.kernels.cuda.kernel import StreamKernel
from mlpbench.kernels.errors import KernelUnavailable

if TYPE_CHECKING:
    from mlpbench.kernels.base import Arithmetic, Facts
    from mlpbench.kernels.cuda.forward import Activate
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec


class CupyKernel(StreamKernel):
    """`kernels.cuda.forward` on the current GPU: a product and a device kernel for each layer."""

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        # Before each call: another kernel of the process may have set it since.
        self._multiply_in = multiply_in(self._computed_in())
        self._multiply_in()
        weights, biases = ([self.from_host(a) for a in arrays] for arrays in (self.params.weights, self.params.biases))
        with self._stream:
            activate = [self._launching(program) for program in programs.after_products(spec)]
            self._network = Network(self._cupy, activate, spec, weights, biases)

    def _computed_in(self) -> str:
        return self.spec.dtype

    def _launching(self, program: programs.Program) -> Activate:
        """Return f(a, b) that has a program replace the products ``a``: one device kernel."""
        kernel = program.kernel(self._cupy)

        def launch(a: Any, b: Any) -> None:
            rows = len(a)
            kernel((program.grid(rows),), (program.block,), (a, b, np.int64(rows)))

        return launch

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
