"""What all kernels of CuPy share: one stream, transfers, the wait, the probe, and what they say of the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlpbench.kernels.base import Facts, Kernel, Returns
from mlpbench.kernels.cuda import events
from mlpbench.kernels.cuda.device import device_facts, words
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import hand_worked
from mlpbench.kernels.spec import ForwardSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlpbench.kernels.params import Params


_INSTALL = "on a machine with an NVIDIA GPU, pip install -e '.[cuda13]' or, for a CUDA 12 driver, '.[cuda12]'"
#: What to do where CuPy cannot write what it compiles: a home that is read-only, as on clusters and in containers.
_CACHE = "set CUPY_CACHE_DIR to a folder that can be written"
#: What to do about an error of CUDA, by its number (``cudaError_t``).
_ADVICE: dict[int | None, str] = {
    2: "`nvidia-smi` shows who has its memory; --device takes another card",
    35: "it needs a newer driver, or the extra for this one (docs/gpu.md)",
    46: "another process has the card (exclusive mode, `nvidia-smi`): wait for it, or take another with --device",
    100: "`nvidia-smi -L` lists the cards, and --device and CUDA_VISIBLE_DEVICES choose among them",
    209: "a card older than 7.5 needs pip install -e '.[cuda12]'",
}

#: What the probe computes: all that CuPy compiles for a kernel, once.
_SMALL = ForwardSpec((2, 3, 2, 2))


def _said(error: BaseException) -> str:
    """Return the words of an error, and what to do about it where that is known."""
    number = 2 if isinstance(error, MemoryError) else getattr(error, "status", None)
    is_file = isinstance(error, OSError) and error.filename is not None
    return "; ".join(filter(None, (words(error), _CACHE if is_file else _ADVICE.get(number))))


class StreamKernel(Kernel):
    """A kernel on the current GPU.

    Everything, transfers included, runs on one non-blocking stream: the kernel does not wait for work of others on the
    default stream, nor they for the kernel. Results are in buffers that the next call uses again.
    """

    backend = "cupy"
    device = "cuda"
    distributions = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
    returns: ClassVar[Returns] = "kept"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        import cupy

        events.listen()  # before anything is computed, which compiles
        self._cupy = cupy
        self._pool_bytes = 0
        self._stream = cupy.cuda.Stream(non_blocking=True)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where CuPy is not installed, finds no GPU, or cannot compute on it, and why.

        ``cupy.cuda.is_available()`` would hide the reason; libraries that are missing show at their first use only.
        """
        try:
            import cupy
        except ModuleNotFoundError as error:
            if error.name != "cupy":
                raise KernelUnavailable(f"CuPy cannot be imported: {words(error)}") from error
            raise KernelUnavailable(f"CuPy is not installed ({words(error)}): {_INSTALL}") from error
        except (ImportError, OSError) as error:  # OSError: an import of CuPy makes the folder of its cache
            raise KernelUnavailable(f"CuPy cannot be imported: {_said(error)}") from error
        try:
            devices = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise KernelUnavailable(f"no CUDA device: {_said(error)}") from error
        if not devices:
            raise KernelUnavailable("no CUDA device: the driver counts 0 of them")
        try:
            kernel = cls(_SMALL, hand_worked().astype(_SMALL.dtype))
            kernel.to_host(kernel.forward(kernel.from_host(np.zeros((2, 2), np.float32))))
        except (ImportError, OSError, RuntimeError, MemoryError, cupy.cuda.compiler.CompileException) as error:
            # ImportError, RuntimeError: how CuPy says that cuBLAS or NVRTC is missing; CUDA's errors are RuntimeErrors.
            raise KernelUnavailable(f"CuPy finds a CUDA device but cannot compute on it: {_said(error)}") from error

    def from_host(self, x: NDArray[Any]) -> Any:
        """Return a NumPy array on the device, once it is there."""
        with self._stream:
            y = self._cupy.asarray(x)
        self._stream.synchronize()
        return y

    def overwrite(self, there: Any, x: NDArray[Any]) -> None:
        """Write a NumPy array over one of the device, which takes no second one, on the stream that is waited for."""
        there.set(x, self._stream)

    def to_host(self, y: Any) -> NDArray[Any]:
        """Return an array of the device as a NumPy array, once the stream has done all that it was given."""
        with self._stream:
            array: NDArray[Any] = self._cupy.asnumpy(y)
        self._stream.synchronize()
        return array

    def synchronize(self, y: Any) -> None:  # noqa: ARG002 - one stream computes all
        """Wait for the stream: then ``y`` is computed, and all that was begun before it."""
        self._stream.synchronize()

    def stream(self) -> int:
        """Return the stream that everything runs on."""
        pointer: int = self._stream.ptr
        return pointer

    def l2_bytes(self) -> int:
        """Return the bytes of the device's L2 cache."""
        device: int = self._cupy.cuda.Device().id
        return int(self._cupy.cuda.runtime.getDeviceProperties(device).get("l2CacheSize", 0))

    def compiled_s(self) -> float | None:
        """Return the seconds that NVRTC has compiled in this process."""
        return events.compiled_s()

    def describe(self) -> Facts:
        """Return the card, driver and libraries, what cuBLAS computes in, and the most that the memory pool held.

        CuPy's pool gives memory back to the driver only where the memory of the device runs out. So the pool tells the
        most that it held, until then; the kernel keeps the largest value that it was told.
        """
        self._pool_bytes = max(self._pool_bytes, self._cupy.get_default_memory_pool().total_bytes())
        return Facts.of(**device_facts(self.spec.dtype), stream="non-blocking", pool_bytes=self._pool_bytes)
