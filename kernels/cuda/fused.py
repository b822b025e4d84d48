"""The whole network in one device kernel: in float32, on tensor cores, of bytes, and as CUDA graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.cuda import programs
from mlpbench.kernels.cuda.device import properties, require_capability
from mlpbench.kernels.cuda.kernel import StreamKernel
from mlpbench.kernels.cuda.queue import captured
from mlpbench.kernels.errors import KernelUnavailable

if TYPE_CHECKING:
    from mlpbench.kernels.base import Arithmetic, Facts
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

#: So many inputs are made bytes at once: what is in between stays in the cache.
_AT_ONCE = 2**16


class _Ready:
    """A program with its weights on the device. CuPy compiles it, or finds it in its cache, at the first call."""

    def __init__(self, cupy: Any, program: programs.Program, weights: Any) -> None:
        self.program = program
        self.weights = weights
        self.kernel = program.kernel(cupy)


class _Launch(NamedTuple):
    """All of a launch but its inputs: for a batch size it is always the same."""

    kernel: Any
    grid: tuple[int]
    block: tuple[int]
    weights: Any
    y: Any
    rows: np.int64
    shared_bytes: int

    def __call__(self, x: Any) -> Any:
        """Give the launch for the inputs ``x`` to the current stream, and return the outputs."""
        self.kernel(self.grid, self.block, (x, self.weights, self.y, self.rows), shared_mem=self.shared_bytes)
        return self.y


class CupyFusedKernel(StreamKernel):
    """In float32, without tensor cores.

    Which program computes a batch depends on its rows. Weights are packed and moved once, when a program is first
    needed. The output buffer grows to the largest batch seen.
    """

    arithmetic: ClassVar[Arithmetic] = "fp32"
    capturable = True
    #: Whether inputs are bytes.
    pixels: ClassVar[bool] = False

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        device = properties()
        processors, most = int(device["multiProcessorCount"]), int(device["sharedMemPerBlockOptin"])
        self._programs = programs.fused(spec, self.arithmetic, pixels=self.pixels, processors=processors)
        for program in self._programs:
            require_capability(program.capability, f"{program.name} and its arithmetic")
            if program.shared_bytes > most:
                needed = f"{program.shared_bytes} bytes of shared memory for {spec.label()}"
                raise KernelUnavailable(f"{program.name} needs {needed}, a block of this device has {most}")
        self._ready: dict[programs.Program, _Ready] = {}
        self._launches: dict[int, _Launch] = {}
        self._most_rows = 0
        self._grow(1)
        with self._stream:
            self._one = self._launch(1, self._cupy.empty((spec.n_out,), np.float32))

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64, and for layers that are too wide or too many."""
        programs.fused(spec, cls.arithmetic, pixels=cls.pixels)

    def _grow(self, rows: int) -> None:
        """Make the output buffer that large; launches into the one before are forgotten."""
        self._launches.clear()
        self._most_rows = rows
        with self._stream:
            self._outputs = self._cupy.empty((rows, self.spec.n_out), np.float32)

    def _launch(self, rows: int, y: Any) -> _Launch:
        """Return the launch for a batch size, into ``y``."""
        program = next(one for one in self._programs if one.up_to is None or rows <= one.up_to)
        ready = self._ready.get(program)
        if ready is None:
            assert program.pack is not None  # noqa: S101 - fused programs have weights
            ready = _Ready(self._cupy, program, self._moved(program.pack(self.params)))
            self._ready[program] = ready
        grid = (program.grid(rows),)
        return _Launch(ready.kernel, grid, (program.block,), ready.weights, y, np.int64(rows), program.shared_bytes)

    def _moved(self, array: _Array) -> Any:
        """Return an array on the device as it is, once it is there."""
        return StreamKernel.from_host(self, array)

    def _launch_for(self, rows: int) -> _Launch:
        launch = self._launches.get(rows)
        if launch is None:
            if rows > self._most_rows:
                self._grow(rows)
            launch = self._launches[rows] = self._launch(rows, self._outputs[:rows])
        return launch

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out), before the GPU is done; see `synchronize`."""
        with self._stream:
            return self._launch_for(len(x))(x)

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,), before the GPU is done."""
        with self._stream:
            return self._one(x)

    def describe(self) -> Facts:
        """Return what `StreamKernel` tells, what products are computed in, and what one input takes."""
        input_dtype = "uint8" if self.pixels else "float32"
        return (
            super()
            .describe()
            .also(
                compute_type=self.arithmetic,
                arithmetic=self.arithmetic,
                input_dtype=input_dtype,
            )
        )


class CupyFused3xTf32Kernel(CupyFusedKernel):
    """On tensor cores, each product from three of TF32: as exact as float32. An infinite input makes NaN."""

    arithmetic = "3xtf32"


class CupyFusedTf32Kernel(CupyFusedKernel):
    """On tensor cores in TF32: operands of 11 significant bits, sums in float32."""

    arithmetic = "tf32"


class CupyFusedFp16Kernel(CupyFusedKernel):
    """On tensor cores in float16: operands of 11 significant bits up to 65504, sums in float32."""

    arithmetic = "fp16"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        largest = max(float(np.abs(W).max()) for W in params.weights)
        if largest > float(np.finfo(np.float16).max):
            raise KernelUnavailable(f"a weight of {largest:g}: float16 ends at 65504")
        super().__init__(spec, params)


class CupyFusedU8Kernel(CupyFusedKernel):
    """Inputs are bytes in memory and on the way there; each stands for byte / 255, as in a file of pixels."""

    pixels = True

    def nearest(self, x: _Array) -> _Array:
        """Return the nearest multiples of 1/255 between 0 and 1."""
        return _floats(_bytes(x))

    def from_host(self, x: _Array) -> Any:
        """Return inputs (..., n_in) on the device as bytes. Raises KernelUnavailable where they stand for none."""
        return self._moved(_bytes(x, checked=True))

    def overwrite(self, there: Any, x: _Array) -> None:
        """Write inputs over others as the nearest bytes: what `nearest` has made needs no check."""
        super().overwrite(there, _bytes(x))

    def to_host(self, y: Any) -> _Array:
        """Return outputs as they are, and inputs as the floats that they stand for."""
        array = super().to_host(y)
        return _floats(array) if array.dtype == np.uint8 else array


def _bytes(x: _Array, *, checked: bool = False) -> _Array:
    """Return the byte nearest to 255 x; raise KernelUnavailable where that is ``checked`` and an x is no byte / 255."""
    rounded = np.empty(x.shape, np.uint8)
    flat, bytes_ = x.reshape(-1), rounded.reshape(-1)
    for start in range(0, flat.size, _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        near = np.rint(np.float32(255) * np.fmin(np.fmax(flat[some], 0), 1))  # NaN is 0
        bytes_[some] = near
        if checked and not np.array_equal(near / np.float32(255), flat[some]):
            raise KernelUnavailable("the inputs are not bytes divided by 255, and this kernel takes nothing else")
    return rounded


def _floats(found: _Array) -> _Array:
    """Return what bytes stand for, as everybody computes it from a file of pixels."""
    floats: _Array = np.divide(found, np.float32(255), dtype=np.float32)
    return floats


class _Replayed(CupyFusedKernel):
    """A batch size is captured once as a CUDA graph, between its own buffers, and replayed.

    A graph reads its inputs where they were when it was captured. So a call copies them there first, on the device.
    """

    capturable = False

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        self._graphs: dict[tuple[int, ...], tuple[Any, Any, Any]] = {}
        super().__init__(spec, params)

    def _grow(self, rows: int) -> None:
        self._graphs.clear()
        super()._grow(rows)
        with self._stream:
            self._inputs = self._cupy.empty((rows, self.spec.n_in), np.uint8 if self.pixels else np.float32)

    def _captured(self, x: Any) -> tuple[Any, Any, Any]:
        """Return inputs, outputs and graph for inputs of this shape, captured after a call that loads the code."""
        launch = self._launch_for(len(x)) if x.ndim == 2 else self._one
        inputs = self._inputs[: len(x)] if x.ndim == 2 else self._inputs[0]
        with self._stream:
            launch(inputs)
        self._stream.synchronize()
        return inputs, launch.y, captured(self._stream, lambda: launch(inputs))

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch or of one sample, before the GPU is done; see `synchronize`."""
        kept = self._graphs.get(x.shape)
        if kept is None:
            found = self._captured(x)
            kept = self._graphs[x.shape] = found
        inputs, y, graph = kept
        runtime = self._cupy.cuda.runtime
        runtime.memcpyAsync(inputs.data.ptr, x.data.ptr, x.nbytes, runtime.memcpyDeviceToDevice, self._stream.ptr)
        graph.launch(self._stream)
        return y

    forward_one = forward


class CupyFusedGraphKernel(_Replayed):
    """`CupyFusedKernel`, replayed."""


class CupyFused3xTf32GraphKernel(_Replayed, CupyFused3xTf32Kernel):
    """`CupyFused3xTf32Kernel`, replayed."""


class CupyFusedTf32GraphKernel(_Replayed, CupyFusedTf32Kernel):
    """`CupyFusedTf32Kernel`, replayed."""


class CupyFusedFp16GraphKernel(_Replayed, CupyFusedFp16Kernel):
    """`CupyFusedFp16Kernel`, replayed."""


class CupyFusedU8GraphKernel(_Replayed, CupyFusedU8Kernel):
    """`CupyFusedU8Kernel`, replayed."""
