"""A kernel that Numba compiles, but for its forward pass: its probe, its output buffer, the time to compile."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Kernel, Returns
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]


def numba_threads() -> int:
    """Return how many threads Numba has; ``NUMBA_NUM_THREADS`` sets it."""
    import numba

    return int(numba.get_num_threads())


class CompiledKernel(Kernel):
    """Results are in a buffer, which the next call uses again. A batch that is not the largest uses its first rows."""

    backend = "numba"
    distributions = ("numba",)
    returns: ClassVar[Returns] = "kept"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        from mlpbench.kernels.numba_jit import events

        events.listen()  # before the modules with compiled code, some of which compiles when they are imported
        self._largest = self._out = np.empty((1, spec.n_out), spec.np_dtype)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where Numba cannot be imported, in its own words, or does not compile."""
        try:
            import numba
        except ImportError as error:
            raise KernelUnavailable(f"Numba cannot be imported: {error}") from error
        if getattr(numba.config, "DISABLE_JIT", False):
            raise KernelUnavailable("NUMBA_DISABLE_JIT is set, so Numba does not compile")

    def _threads(self) -> int:
        return 1

    def _enlarge(self, rows: int) -> None:
        """Make an output buffer for so many rows."""
        self._largest = np.empty((rows, self.spec.n_out), self.spec.np_dtype)

    def _out_of(self, x: _Array) -> _Array:
        """Return the output buffer for ``x``."""
        if len(x) != len(self._out):
            if len(x) > len(self._largest):
                self._enlarge(len(x))
            self._out = self._largest[: len(x)]
        return self._out

    def compiled_s(self) -> float:
        """Return the seconds that Numba has compiled in this process."""
        from mlpbench.kernels.numba_jit import events

        return events.compiled_s()
