"""Numba kernels with explicit vectors: register tiles instead of loops that LLVM may or may not vectorise."""

import sys
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.instructions import instructions
from mlpbench.kernels.numba_jit.kernel import CompiledKernel, numba_threads
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: The work of each thread, in floating-point operations, from which on threads pay: docs/evidence/simd-kernels.md.
FLOP_PER_THREAD = 600_000
#: The bytes of a layer's weights, for each thread but one, that the busiest thread need not read. From so many on it
#: pays to divide the layer's columns: to read them takes about as long as to start and join the threads.
BYTES_PER_THREAD = 192 * 1024
#: The tiles of rows for each thread from which on a batch is divided by rows where columns could be divided too.
TILES_PER_THREAD = 2
#: Inputs whose products of bytes add up to less than 2**31.
MOST_INPUTS = (2**31 - 1) // (255 * 127)


class NumbaSimdKernel(CompiledKernel):
    """A register-tiled forward pass for any specification, compiled once per machine.

    `kernels.numba_simd` holds the trick. Its package `codegen` writes LLVM code: `shape` (what the processor offers),
    `vector` (vectors of LLVM), `quads` (vectors of bytes), `scalar` (integers, loops, branches), `tile` (the loops in
    which time is spent), `turned` (rows in the lanes behind the first layer), `sparse` (the list of inputs that are not
    zero), `layers` (all that is done to a block of rows), `machine` (the code compiled and kept). Its package `passes`
    computes with that code: `packing` (what depends on the specification), `network` (the forward pass), `far` (the
    forward pass for weights beyond the second-level cache), `columns` and `shares` (layers divided among threads),
    `program` (all that is compiled together), `calls` (what Numba compiles: arrays of Python and threads).

    The result is in a buffer that the next call uses again. The buffer is as large as the largest batch seen, and a
    smaller batch uses its first rows.
    """

    #: Whether the first layer skips inputs that are zero.
    skips_zeros: ClassVar[bool] = False
    #: The smallest batch whose rows are divided among threads: none.
    _parallel_rows = sys.maxsize

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_simd.codegen import layers
        from mlpbench.kernels.numba_simd.codegen.shape import host_shape
        from mlpbench.kernels.numba_simd.passes import calls, packing, program

        self._shape = replace(host_shape(spec.np_dtype.itemsize), int8=self.arithmetic == "int8")
        self._n_threads = self._threads()
        self._network = packing.build(
            spec, self.params, self._shape, layers.codes(spec), self._n_threads, skip_zeros=self.skips_zeros
        )
        self._address = self._network.address
        wide = not packing.turns(spec) if self._shape.int8 else spec.weight_bytes() >= packing.FAR_BYTES
        self._far = wide and not self.skips_zeros
        self._program = program.compiled(spec.dtype, layers.others(spec.activations), self._shape, is_far=self._far)
        self._network.run_with(self._program.addresses)
        self._serial = calls.compiled(spec.dtype, "serial")
        self._one = calls.compiled(spec.dtype, "single")
        #: `_few` computes batches of fewer than `_parallel_rows`, and `_parallel` all others.
        self._few = self._parallel = self._serial
        self._write_to_largest()

    def _write_to_largest(self) -> None:
        self._network.write_to(self._largest)
        self._row = self._largest[0]

    def _enlarge(self, rows: int) -> None:
        super()._enlarge(rows)
        self._write_to_largest()

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        out: _Array = self._out
        if len(x) != len(out):
            out = self._out_of(x)
        (self._few if len(x) < self._parallel_rows else self._parallel)(x, self._address)
        return out

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        self._one(x, self._address)
        row: _Array = self._row
        return row

    def describe(self) -> Facts:
        """Return the threads, the instructions used, the register tile, how each layer is divided into tiles."""
        return Facts.of(
            threads=self._n_threads,
            isa=self._shape.isa,
            fma=self._shape.fma,
            lanes=self._shape.lanes,
            tile=self._shape.label,
            layer_tiles=" | ".join(self._network.splits),
            skips_work=self.skips_zeros,
            compiled_before=self._program.compiled_before and bool(self._serial.stats.cache_hits),
        )


class NumbaSimdNewKernel(NumbaSimdKernel):
    """`NumbaSimdKernel` with a new array for each result, as libraries return it.

    The array is a copy of the kept buffer. To hand the address of a new array to compiled code takes longer than to
    copy a few rows, and to copy many rows is little beside computing them.
    """

    returns = "new"

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        return super().forward(x).copy()

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,)."""
        return super().forward_one(x).copy()


class NumbaSimdParallelKernel(NumbaSimdKernel):
    """`NumbaSimdKernel` on as many threads as Numba has when the kernel is made (``NUMBA_NUM_THREADS``).

    The threads divide the rows of a batch that has `FLOP_PER_THREAD` for each of them. In a network that exceeds the
    second-level cache they divide rows from `TILES_PER_THREAD` on; in smaller batches, and for a single row, they
    divide the columns of layers that have `BYTES_PER_THREAD` (`kernels.numba_simd.passes.columns`). One thread
    computes whatever is too small for both.
    """

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_simd.passes import calls

        self._parallel = calls.compiled(spec.dtype, "parallel")
        # The first parallel call starts the threads: here, and not in a clock.
        self._parallel(np.zeros((1, spec.n_in), spec.np_dtype), self._address)
        if self._n_threads > 1:
            self._parallel_rows = self._smallest_divided()
            if self._far:
                self._divide_columns()

    def _threads(self) -> int:
        return numba_threads()

    def _smallest_divided(self) -> int:
        return -(-self._n_threads * FLOP_PER_THREAD // self.spec.flop(1))

    def _divide_columns(self) -> None:
        """Divide the columns of large layers, if there are any, in batches with too few rows to divide."""
        from mlpbench.kernels.numba_simd.passes import calls, packing, shares

        plan, least = self._network.plan, self._least_bytes() // self.spec.np_dtype.itemsize
        self._shares = shares.shares(plan, self.spec.n_layers, self._n_threads, least)
        plan[packing.SHARES] = self._shares.ctypes.data
        if self._shares[:, shares.DIVIDED].any():
            few = self._few = calls.compiled(self.spec.dtype, "columns")
            self._one = lambda x, network: few(x[None], network)
            tiles = TILES_PER_THREAD * self._n_threads
            self._parallel_rows = max(self._parallel_rows, tiles * self._shape.rows)

    def _least_bytes(self) -> int:
        return BYTES_PER_THREAD

    def describe(self) -> Facts:
        """Return also the threads' library, and below which batch sizes one thread works and columns are divided."""
        import numba

        by_columns = self._few is not self._serial
        return (
            super()
            .describe()
            .also(
                threading_layer=str(numba.threading_layer()),  # type: ignore[attr-defined,unused-ignore]
                serial_below_rows=1 if by_columns else self._parallel_rows if self._n_threads > 1 else None,
                columns_below_rows=self._parallel_rows if by_columns else None,
            )
        )


class NumbaSimdSparseKernel(NumbaSimdKernel):
    """`NumbaSimdKernel` whose first layer skips inputs that are zero in a group of rows: less work, not faster work.

    The result is right for any input. Where few inputs are zero it takes a little longer;
    docs/evidence/simd-kernels.md says from which density on. An input that is NaN or infinite is not zero and
    counts. A *weight* that is NaN or infinite is left out together with the zero it would be multiplied by, where the
    formula has NaN.
    """

    skips_zeros = True

    def describe(self) -> Facts:
        """Return also how many rows skip together."""
        return super().describe().also(group_rows=self._shape.group)


class NumbaSimdInt8Kernel(NumbaSimdKernel):
    """`NumbaSimdKernel` with products of bytes, in the first layer alone where the others are narrow.

    Every call makes bytes of its rows, each with a step of its own. Activations are those of float32.
    """

    arithmetic = "int8"
    _SETS = ("avx512vnni", "avxvnni")

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable as `NumbaSimdKernel` does, and where the processor cannot multiply bytes."""
        super().probe()
        from mlpbench.kernels.numba_simd.codegen.shape import host_shape

        if not host_shape(4).vnni:
            raise KernelUnavailable(f"no instructions that multiply bytes here: {instructions(*cls._SETS)}")

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64, and for more inputs than can be added up."""
        if spec.dtype != "float32":
            raise KernelUnavailable(f"bytes stand for float32, and the specification is {spec.dtype}")
        if max(spec.sizes[:-1]) > MOST_INPUTS:
            raise KernelUnavailable(
                f"{max(spec.sizes[:-1])} products of bytes may exceed 32 bits: {MOST_INPUTS} never do"
            )

    def describe(self) -> Facts:
        """Return also what products are of, and the instructions for them."""
        return super().describe().also(arithmetic="int8", instructions=instructions(*self._SETS))
