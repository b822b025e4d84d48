"""Numba on a GPU: what ``@cuda.jit`` makes of loops, plain, and through tiles in shared memory.

mlpbench run numpy cupy docs/examples/numba_cuda.py:NumbaCuda docs/examples/numba_cuda.py:NumbaCudaTiled

Beside a driver it needs numba-cuda: ``pip install 'numba-cuda[cu12]'``, or ``[cu13]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numba import cuda
from numba.cuda.cudadrv import error as numba_errors
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel
from mlpbench.kernels.cuda.device import words
from mlpbench.kernels.cuda.forward import Network
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.spec import Activation, ForwardSpec

#: What Numba raises beside ImportError and RuntimeError; its simulator has neither.
ERRORS = tuple(getattr(numba_errors, name) for name in ("CudaDriverError", "NvvmError") if hasattr(numba_errors, name))
#: Rows and columns of a block, and inputs that a tiled block brings to shared memory at once.
TILE = 16
#: Rows of a block of softmax.
ROWS = 128
cuda.config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # one row is one block, and no mistake


@cache
def layer(of: Activation, dtype: str, *, tiled: bool) -> Any:
    """Return f(x, W, b, y), in which each thread writes one y of x W + b, activated. NaN stays NaN, but for a step."""
    real = np.dtype(dtype).type
    zero, half, one, root, slope = map(real, (0, 0.5, 1, 0.5**0.5, of.slope))
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda a: one / (one + math.exp(-a)),
        "relu": lambda a: zero if a < zero else a,  # noqa: FURB136 - on a device, max may lose a NaN
        "step": lambda a: one if a > zero else zero,
        "tanh": lambda a: math.tanh(a),  # noqa: PLW0108 - it is compiled, and has to be a function of Python
        "gelu": lambda a: half * a * (one + math.erf(a * root)),
        "silu": lambda a: a / (one + math.exp(-a)),
        "leaky-relu": lambda a: slope * a if a < zero else a,
        "identity": lambda a: a,
    }
    activation = cuda.jit(device=True)(functions[of.name])

    @cuda.jit
    def plain(x: Any, W: Any, b: Any, y: Any) -> None:
        row = cuda.blockIdx.x * TILE + cuda.threadIdx.y
        column = cuda.blockIdx.y * TILE + cuda.threadIdx.x
        if row < y.shape[0] and column < y.shape[1]:
            a = b[column]
            for k in range(x.shape[1]):
                a += x[row, k] * W[k, column]
            y[row, column] = activation(a)

    @cuda.jit
    def in_tiles(x: Any, W: Any, b: Any, y: Any) -> None:
        i, j = cuda.threadIdx.y, cuda.threadIdx.x
        row, column = cuda.blockIdx.x * TILE + i, cuda.blockIdx.y * TILE + j
        inputs = cuda.shared.array((TILE, TILE), real)
        weights = cuda.shared.array((TILE, TILE), real)
        is_row, is_column, n, a = row < y.shape[0], column < y.shape[1], x.shape[1], zero
        for first in range(0, n, TILE):
            inputs[i, j] = x[row, first + j] if is_row and first + j < n else zero
            weights[i, j] = W[first + i, column] if is_column and first + i < n else zero
            cuda.syncthreads()  # the tiles are there
            for k in range(TILE):
                a += inputs[i, k] * weights[k, j]
            cuda.syncthreads()  # nobody reads them any more
        if is_row and is_column:
            y[row, column] = activation(a + b[column])

    return in_tiles if tiled else plain


@cache
def softmax(dtype: str) -> Any:
    """Return f(y), which replaces each row of y by its softmax. A thread has a row."""
    zero = np.dtype(dtype).type(0)

    @cuda.jit
    def in_place(y: Any) -> None:
        row = cuda.blockIdx.x * ROWS + cuda.threadIdx.x
        if row < y.shape[0]:
            most, total = y[row, 0], zero
            for j in range(1, y.shape[1]):
                most = max(most, y[row, j])
            for j in range(y.shape[1]):
                y[row, j] = math.exp(y[row, j] - most)
                total += y[row, j]
            for j in range(y.shape[1]):
                y[row, j] /= total

    return in_place


class NumbaCuda(Kernel):
    """A launch for each layer and one for softmax, on a stream of its own. Each thread has one output."""

    backend = "numba"
    device = "cuda"
    distributions = ("numba-cuda", "numba")
    returns = "kept"
    #: Whether inputs and weights go through shared memory.
    tiled: ClassVar[bool] = False

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._stream = cuda.stream()
        weights, biases = ([self.from_host(a) for a in arrays] for arrays in (self.params.weights, self.params.biases))
        self._network = Network(self._empty, [self._layer(at) for at in range(spec.n_layers)], spec, weights, biases)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where Numba has no CUDA device, or cannot compile for it, in its own words."""
        spec = ForwardSpec((2, 3, 2, 2))
        try:
            kernel = cls(spec, hand_worked().astype(spec.dtype))
            kernel.to_host(kernel.forward(kernel.from_host(np.zeros((2, 2), np.float32))))
        except (ImportError, OSError, RuntimeError, *ERRORS) as error:  # ImportError: no driver
            raise KernelUnavailable(f"Numba cannot compute on a CUDA device: {words(error)}") from error

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        return cuda.device_array(shape, dtype, stream=self._stream)

    def _layer(self, at: int) -> Callable[..., None]:
        """Return what computes a layer; it is compiled at its first call."""
        spec, stream = self.spec, self._stream
        compute = layer((*spec.activations, Activation("identity"))[at], spec.dtype, tiled=self.tiled)
        is_softmax = at == spec.n_layers - 1 and spec.output == "softmax"
        normalise = softmax(spec.dtype) if is_softmax else None

        def launch(x: Any, W: Any, b: Any, out: Any) -> None:
            rows, n_out = out.shape
            compute[(-(-rows // TILE), -(-n_out // TILE)), (TILE, TILE), stream](x, W, b, out)
            if normalise is not None:
                normalise[-(-rows // ROWS), ROWS, stream](out)

        return launch

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, (batch, n_in) to (batch, n_out), before the GPU is done; see `synchronize`."""
        return self._network(x)

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample, (n_in,) to (n_out,), before the GPU is done."""
        return self._network.one(x)

    def from_host(self, x: NDArray[Any]) -> Any:
        """Return a NumPy array on the device, once it is there."""
        there = cuda.to_device(x, stream=self._stream)
        self._stream.synchronize()
        return there

    def overwrite(self, there: Any, x: NDArray[Any]) -> None:
        """Write a NumPy array over one of the device."""
        there.copy_to_device(x, stream=self._stream)
        self._stream.synchronize()

    def to_host(self, y: Any) -> NDArray[Any]:
        """Return an array of the device as a NumPy array, once the stream has done all that it was given."""
        array: NDArray[Any] = y.copy_to_host(stream=self._stream)
        self._stream.synchronize()
        return array

    def synchronize(self, y: Any) -> None:  # noqa: ARG002 - one stream computes all
        """Wait for the stream."""
        self._stream.synchronize()

    def stream(self) -> int:
        """Return the stream that everything runs on."""
        return int(self._stream)

    def l2_bytes(self) -> int:
        """Return the bytes of the device's L2 cache; 0 where Numba does not tell."""
        return int(getattr(cuda.get_current_device(), "L2_CACHE_SIZE", 0))

    def describe(self) -> Facts:
        """Return the card as Numba sees it, and which of its two CUDA targets compiles."""
        device = cuda.get_current_device()
        name, (major, minor) = device.name, device.compute_capability
        return Facts.of(
            device_name=name.decode() if isinstance(name, bytes) else name,
            device_uuid=device.uuid,
            compute_capability=f"{major}{minor}",
            cuda_target=cuda.implementation,
            arithmetic="fp64" if self.spec.dtype == "float64" else "fp32",
        )


class NumbaCudaTiled(NumbaCuda):
    """The same, where a block brings tiles of inputs and weights to shared memory, and its threads share them."""

    tiled = True
