"""Numba kernels: compiled loops on one thread, or on several threads that divide the rows among them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.numba_jit.kernel import CompiledKernel, numba_threads
from mlpbench.kernels.numba_jit.target import PANEL, TILE_ROWS, host

if TYPE_CHECKING:
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec


_Array = NDArray[Any]

#: The work of each thread, in floating-point operations, from which on threads pay. To start and join two threads takes
#: 1.2 to 2.7 us (measured), in which one core computes 300,000 operations at 250 GFLOP/s: with less work, threads lose.
FLOP_PER_THREAD = 500_000

#: A vector load that crosses a cache line counts as two.
_CACHE_LINE_BYTES = 64


def aligned_zeros(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    """Return an array of zeros that starts with a cache line."""
    n_bytes = math.prod(shape) * dtype.itemsize
    memory = np.zeros(n_bytes + _CACHE_LINE_BYTES, np.uint8)
    skip = -memory.ctypes.data % _CACHE_LINE_BYTES
    return memory[skip : skip + n_bytes].view(dtype).reshape(shape)


def padded(n: int) -> int:
    """Return ``n`` columns rounded up to whole panels."""
    return -(-n // PANEL) * PANEL


def pack(spec: ForwardSpec, params: Params) -> _Array:
    """Return all weights as (rows, `PANEL`): layer by layer and panel by panel, the bias above its columns of W."""
    rows = sum((1 + n_in) * padded(n_out) // PANEL for n_in, n_out in spec.layers)
    packed = aligned_zeros((rows, PANEL), spec.np_dtype)
    row = 0
    for W, b in zip(params.weights, params.biases, strict=True):
        for left in range(0, len(b), PANEL):
            columns = slice(left, left + PANEL)
            n = len(b[columns])
            packed[row, :n] = b[columns]
            packed[row + 1 : row + 1 + len(W), :n] = W[:, columns]
            row += 1 + len(W)
    return packed


class NumbaKernel(CompiledKernel):
    """Loops that Numba compiles, once per machine, for any specification; `kernels.numba_jit.loops` explains them.

    The result is in a buffer that the next call uses again. The buffer is as large as the largest batch seen, and a
    smaller batch uses its first rows.
    """

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_jit import loops

        codes = [*(loops.CODES[one.name] for one in spec.activations), loops.CODES[spec.output]]
        slopes = [*(round(one.slope * 2**loops.SLOPE_BITS) for one in spec.activations), 0]
        self._layers = np.column_stack([spec.layers, codes, slopes]).astype(np.int64)
        self._more = max(codes) > loops.SOFTMAX
        self._weights = pack(spec, self.params)
        shape = (self._threads(), 2, loops.BLOCK_ROWS, padded(max(spec.sizes[1:])))
        self._buffers = aligned_zeros(shape, spec.np_dtype)
        self._serial = loops.compiled(spec.dtype, more=self._more)
        self._single = np.empty((1, spec.n_out), spec.np_dtype)

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        out = self._out_of(x)
        self._serial(x, self._weights, self._layers, self._buffers, out)
        return out

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        self._serial(x[None], self._weights, self._layers, self._buffers, self._single)
        row: _Array = self._single[0]
        return row

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """Return the threads, and what LLVM compiled for."""
        target = host()
        return {
            "threads": 1,
            "cpu_target": target.cpu,
            "vector_bytes": target.vector_bytes,
            "tile": f"{TILE_ROWS}x{target.tile_columns(self.spec.np_dtype.itemsize)}",
            "fastmath": "contract",
            "compiled_before": bool(self._serial.stats.cache_hits),
        }


class NumbaParallelKernel(NumbaKernel):
    """`NumbaKernel` with the rows of a batch divided among Numba's threads.

    The kernel uses as many threads as Numba has when the kernel is made (``NUMBA_NUM_THREADS``). It divides a batch
    that has `FLOP_PER_THREAD` for each of them, and computes a smaller one on one thread.
    """

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_jit import loops

        threads = len(self._buffers)
        #: The smallest batch that is divided.
        self._parallel_rows = -(-threads * FLOP_PER_THREAD // spec.flop(1))
        self._parallel = loops.parallel(spec.dtype)
        self._address = loops.address(self._serial)
        # The first parallel call starts the threads: here, and not in a clock.
        x = np.zeros((1, spec.n_in), spec.np_dtype)
        self._parallel(x, self._weights, self._layers, self._buffers, self._single, self._address)

    def _threads(self) -> int:
        return numba_threads()

    def _divides(self, rows: int) -> bool:
        return rows >= self._parallel_rows and len(self._buffers) > 1

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        if not self._divides(len(x)):
            return super().forward(x)
        out = self._out_of(x)
        self._parallel(x, self._weights, self._layers, self._buffers, out, self._address)
        return out

    def describe(self) -> dict[str, str | int | float | bool | None]:
        """Return the threads and their library, the batch size below which one thread works, what LLVM compiled for."""
        import numba

        serial = super().describe()
        return {
            **serial,
            "threads": len(self._buffers),
            "threading_layer": str(numba.threading_layer()),  # type: ignore[attr-defined,unused-ignore]
            "serial_below_rows": self._parallel_rows if len(self._buffers) > 1 else None,
            "compiled_before": serial["compiled_before"] and bool(self._parallel.stats.cache_hits),
        }
