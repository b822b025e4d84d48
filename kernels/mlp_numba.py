"""Numba kernels: compiled loops on one thread, or on several threads that divide the rows among them."""

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts
from mlpbench.kernels.numba_jit.kernel import CompiledKernel, numba_threads
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: The work of each thread, in floating-point operations, from which on threads pay. To start and join two threads takes
#: 1.2 to 2.7 us (measured), in which one core computes 300,000 operations at 250 GFLOP/s: with less work, threads lose.
FLOP_PER_THREAD = 500_000

#: A vector load that crosses a cache line counts as two.
_CACHE_LINE_BYTES = 64
#: Rows of activations are whole cache lines, in float32 too.
_COLUMNS = 16


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Return an array of zeros that starts with a cache line."""
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.zeros(n_bytes + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    return memory[skip : skip + n_bytes].view(dtype).reshape(shape)


class NumbaKernel(CompiledKernel):
    """Loops that Numba compiles, once per machine, for any specification; `kernels.numba_jit.loops` explains them.

    The result is in a buffer that the next call uses again. The buffer is as large as the largest batch seen, and a
    smaller batch uses its first rows.
    """

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_jit import loops

        names = [*(activation.name for activation in spec.activations), spec.output]
        layers = [(*layer, loops.ACTIVATIONS.index(name)) for layer, name in zip(spec.layers, names, strict=True)]
        slopes = [*(activation.slope for activation in spec.activations), 0.0]
        arrays = [*(W.T.ravel() for W in self.params.weights), *self.params.biases]
        weights = np.concatenate(arrays, out=aligned((sum(map(len, arrays)),), spec.np_dtype))
        self._network = weights, np.array(layers, np.int64), np.array(slopes, spec.np_dtype)
        self._buffers = self._buffers_of(1)
        self._serial = loops.compiled(spec.dtype)
        self._single = np.empty((1, spec.n_out), spec.np_dtype)

    def _buffers_of(self, threads: int) -> _Array:
        """Return room for the activations of a block of rows of each thread."""
        from mlpbench.kernels.numba_jit.loops import BLOCK_ROWS

        columns = -(-max(self.spec.sizes[1:]) // _COLUMNS) * _COLUMNS
        return aligned((threads, 2, BLOCK_ROWS, columns), self.spec.np_dtype)

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        out = self._out_of(x)
        self._serial(x, *self._network, self._buffers, out)
        return out

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        self._serial(x[None], *self._network, self._buffers, self._single)
        row: _Array = self._single[0]
        return row

    def describe(self) -> Facts:
        """Return the threads, and what LLVM compiled for."""
        from numba.core.registry import cpu_target

        return Facts.of(
            threads=1,
            cpu_target=cpu_target.target_context.codegen().magic_tuple()[1],
            fastmath="contract reassoc",
            compiled_before=bool(self._serial.stats.cache_hits),
        )


class NumbaParallelKernel(NumbaKernel):
    """`NumbaKernel` with the rows of a batch divided among Numba's threads.

    The kernel uses as many threads as Numba has when the kernel is made (``NUMBA_NUM_THREADS``). It divides a batch
    that has `FLOP_PER_THREAD` for each of them, and computes a smaller one on one thread.
    """

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_jit import loops

        threads = self._threads()
        #: The smallest batch that is divided.
        self._parallel_rows = self._smallest_divided() if threads > 1 else sys.maxsize
        self._buffers_of_threads = self._buffers_of(threads)
        self._parallel = loops.compiled(spec.dtype, parallel=True)
        # The first parallel call starts the threads: here, and not in a clock.
        x = np.zeros((1, spec.n_in), spec.np_dtype)
        self._parallel(x, *self._network, self._buffers_of_threads, self._single)

    def _threads(self) -> int:
        return numba_threads()

    def _smallest_divided(self) -> int:
        return -(-self._threads() * FLOP_PER_THREAD // self.spec.flop(1))

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        if len(x) < self._parallel_rows:
            return super().forward(x)
        out = self._out_of(x)
        self._parallel(x, *self._network, self._buffers_of_threads, out)
        return out

    def describe(self) -> Facts:
        """Return the threads and their library, the batch size below which one thread works, what LLVM compiled for."""
        import numba

        serial = super().describe()
        return serial.also(
            threads=len(self._buffers_of_threads),
            threading_layer=str(numba.threading_layer()),  # type: ignore[attr-defined,unused-ignore]
            serial_below_rows=self._parallel_rows if len(self._buffers_of_threads) > 1 else None,
            compiled_before=bool(serial.others["compiled_before"]) and bool(self._parallel.stats.cache_hits),
        )
