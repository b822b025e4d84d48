"""JAX: one jitted function, called with NumPy arrays or with JAX's own, on the CPU or on a CUDA device.

The settings, and why:

* The weights are closed over, so that XLA sees constants and lays them out as it likes: passed as arguments they cost
  2 us more in every call (15 against 13 us for one row, Zen 5, JAX 0.10).
* XLA compiles for each shape, in the first call: outside the clock.
* XLA's CPU client reads no thread variable but ``NPROC``, when the first computation makes it; it is set here to what
  the process was given. A client that is there already keeps its threads; `describe` counts those that there are.
* JAX is asked for one backend by ``JAX_PLATFORMS``, unless that is set: the kernels on the CPU are about the CPU, and
  JAX would take the memory of a GPU that it finds. One process has one backend.
* On a GPU, JAX takes three quarters of its memory when it starts, unless a variable forbids it. XLA puts what it
  launches into CUDA graphs by itself.
* float64 needs x64 mode, which is on around these kernels' calls alone. Switched on for the process it would change
  what everybody else computes.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, require, threads_given
from mlpbench.kernels.cuda import card
from mlpbench.kernels.cuda.device import require_own_products, words
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]

EXTRA = "jax"
_INSTALL = "on a machine with an NVIDIA GPU, pip install -e '.[jax-cuda13]' or, for CUDA 12, '.[jax-cuda12]' brings it"


def _jax(platform: str) -> Any:
    """Import JAX with the settings that it reads before its first computation."""
    os.environ.setdefault("JAX_PLATFORMS", platform)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ["NPROC"] = str(threads_given())
    return require("jax", EXTRA)


def _pool_threads() -> int | None:
    """Return how many threads XLA's pool has, from their names; None where the system does not tell."""
    names = [path.read_text(encoding="utf-8") for path in Path("/proc/self/task").glob("*/comm")]
    return sum("XLAEigen" in name for name in names) or None


class JaxKernel(Kernel):
    """A jitted function, NumPy arrays in and out. Making a NumPy array of the result waits for it."""

    backend = "jax"
    distributions = ("jax",)
    #: What JAX calls the backend where it is asked for, and what it answers to.
    _platform: ClassVar[tuple[str, str]] = ("cpu", "cpu")

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._jax = jax = _jax(self._platform[0])
        numpy = jax.numpy
        hidden = {
            "sigmoid": jax.nn.sigmoid,
            "relu": jax.nn.relu,
            "step": lambda a: (a > 0).astype(a.dtype),
            "tanh": numpy.tanh,
            "gelu": partial(jax.nn.gelu, approximate=False),
            "silu": jax.nn.silu,
            "identity": lambda a: a,
        }
        output = {"softmax": jax.nn.softmax, "identity": lambda a: a}
        leaky = jax.nn.leaky_relu
        activations = [
            *(hidden.get(one.name, partial(leaky, negative_slope=one.slope)) for one in spec.activations),
            output[spec.output],
        ]
        layers = list(zip(self.params.weights, self.params.biases, activations, strict=True))

        def network(z: Any) -> Any:
            for W, b, activation in layers:
                z = activation(numpy.dot(z, W, precision="highest") + b)
            return z

        jitted = jax.jit(network)
        self._predict = jitted if spec.dtype == "float32" else self._in_x64(jitted)

    def _in_x64(self, function: Any) -> Any:
        def call(*args: Any) -> Any:
            with self._jax.enable_x64(True):
                return function(*args)

        return call

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where JAX cannot be imported, or computes elsewhere than this kernel does."""
        wanted, answers = cls._platform
        jax = _jax(wanted)
        try:
            platform = jax.default_backend()
        except RuntimeError as error:  # no platform of those that it was asked for
            raise KernelUnavailable(f"JAX does not start: {words(error)}") from error
        except AssertionError as error:  # how JAX says that it has no plugin for what JAX_PLATFORMS names
            raise KernelUnavailable(f"JAX has no plugin for {wanted}: {_INSTALL}") from error
        if platform != answers:
            raise KernelUnavailable(f"JAX computes on {platform}: set JAX_PLATFORMS={wanted}")

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        return np.asarray(self._predict(x))

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). JAX compiles the function for vectors too."""
        return self.forward(x)

    def describe(self) -> Facts:
        """Return the threads of XLA's pool, and XLA's version."""
        return Facts.of(
            threads=_pool_threads(),
            platform=self._jax.default_backend(),
            jaxlib=str(require("jaxlib", EXTRA).__version__),
            x64=self.spec.dtype == "float64",
        )


class JaxArrayKernel(JaxKernel):
    """`JaxKernel` on JAX's own arrays. A call returns before its result is there, and the harness waits for it."""

    def from_host(self, x: _Array) -> Any:
        """Return a NumPy array as JAX's, of the same dtype."""
        put = self._jax.device_put
        return put(x) if self.spec.dtype == "float32" else self._in_x64(put)(x)

    def to_host(self, y: Any) -> _Array:
        """Return one of JAX's arrays as a NumPy array."""
        return np.asarray(y)

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, (batch, n_in) to (batch, n_out), which may still be computed."""
        return self._predict(x)

    def synchronize(self, y: Any) -> None:
        """Return once ``y`` has been computed."""
        y.block_until_ready()


class JaxCudaKernel(JaxArrayKernel):
    """`JaxArrayKernel` on a CUDA device. Products of float32 are in float32: the precision is "highest"."""

    device = "cuda"
    _platform = ("cuda", "gpu")

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        require_own_products(spec.dtype)
        super().__init__(spec, params)

    def describe(self) -> Facts:
        """Return the device, XLA's version, and what products are computed in."""
        device = self._jax.devices()[0]
        return Facts.of(
            device_name=device.device_kind,
            compute_capability=str(getattr(device, "compute_capability", "")).replace(".", "") or None,
            jaxlib=str(require("jaxlib", EXTRA).__version__),
            arithmetic="fp64" if self.spec.dtype == "float64" else "fp32",
            overrides=card.overrides(),
        )
