"""One kernel over any namespace of the array API standard: ``array-api:torch``, ``array-api:jax.numpy`` and others.

https://data-apis.org/array-api: the formulas below use nothing that is not in it. array-api-compat makes the namespaces
of NumPy, PyTorch, CuPy and Dask follow the standard; others are taken as they are.

The standard knows no wait: a library may compute later, or never unless it is asked. So each library that does says
here how its results are waited for, inside the clock. Of a library that is not listed, results are brought to NumPy
inside the clock: no time can be too short.
"""

import os
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, require
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import Activation, ForwardSpec

EXTRA = "array-api"
#: What people type, and what the kernel is called in results: a name cannot have a colon.
_TYPED = re.compile(r"array-api[:-]([A-Za-z_][A-Za-z0-9_.]{0,80})", re.ASCII)
#: Functions of the standard that the formulas need.
_NEEDED = ("exp", "tanh", "maximum", "where", "max", "sum", "matmul")


class Library(NamedTuple):
    """What is known of a library beyond the standard.

    ``distributions``: its names on the package index. ``wait(xp, y)``: return once y is computed. ``finish(y)``: what
    ``forward`` returns in place of y. ``to_host(y)``: y as an array of NumPy.
    """

    distributions: tuple[str, ...]
    compat: bool = False
    device: str = "cpu"
    wait: Callable[[Any, Any], Any] | None = None
    finish: Callable[[Any], Any] | None = None
    to_host: Callable[[Any], NDArray[Any]] = np.asarray


#: A library that nobody has looked at: its results are brought to NumPy in the clock.
UNKNOWN = Library((), finish=np.asarray)
#: Dask computes nothing before it is asked: ``persist`` computes, and returns an array whose parts are there.
LIBRARIES = {
    "numpy": Library(("numpy",), compat=True),
    "torch": Library(("torch",), compat=True),
    "array_api_strict": Library(("array-api-strict",)),
    "jax.numpy": Library(("jax",), wait=lambda _, y: y.block_until_ready()),
    "cupy": Library(
        ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
        compat=True,
        device="cuda",
        wait=lambda xp, _: xp.cuda.get_current_stream().synchronize(),
        to_host=lambda y: y.get(),
    ),
    "mlx.core": Library(("mlx",), wait=lambda xp, y: xp.eval(y)),
    "dask.array": Library(("dask",), compat=True, finish=lambda y: y.persist()),
}


def namespace_of(text: str) -> str | None:
    """Return the namespace that ``array-api:torch``, or its name ``array-api-torch``, means; None for other names."""
    match = _TYPED.fullmatch(text)
    return match[1] if match else None


def name_of(text: str) -> str:
    """Return the kernel's name for ``array-api:torch``. Raises UnknownKernel for what is no namespace."""
    namespace = namespace_of(text)
    if namespace is None:
        raise UnknownKernel(f"{text[:80]}: write array-api: and a namespace, such as {', '.join(list(LIBRARIES)[:4])}")
    return f"{EXTRA}-{namespace}"


def _in(namespace: str) -> Any:
    """Import a namespace, and return it. Raises KernelUnavailable with the library's own words."""
    if namespace == "jax.numpy":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    known = LIBRARIES.get(namespace, UNKNOWN)
    try:
        library = import_module(namespace)
    except ImportError as error:
        how = f"; pip install {known.distributions[0]} brings it" if known.distributions else ""
        raise KernelUnavailable(f"{namespace} cannot be imported: {error}{how}") from error
    if not known.compat:
        return library
    require("array_api_compat", EXTRA)
    return import_module(f"array_api_compat.{namespace}")


def _maker(xp: Any) -> Any:
    """Return what makes an array of a namespace; MLX calls it otherwise than the standard."""
    return getattr(xp, "asarray", None) or xp.array


class ArrayApiKernel(Kernel):
    """The formulas in the functions of one namespace. Results are arrays of the library."""

    namespace: ClassVar[str]

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self.xp = _in(self.namespace)
        self._library = LIBRARIES.get(self.namespace, UNKNOWN)
        self._dtype = getattr(self.xp, spec.dtype)
        weights, biases = (list(map(self.from_host, each)) for each in (self.params.weights, self.params.biases))
        each = (*spec.activations, Activation(spec.output))
        functions = [activation(self.xp, one, lambda a: self.from_host(np.asarray(a, spec.np_dtype))) for one in each]
        self._layers = list(zip(weights, biases, functions, strict=True))

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where the library is missing, cannot compute here, or lacks parts of the standard."""
        xp = _in(cls.namespace)
        lacking = [name for name in _NEEDED if not hasattr(xp, name)]
        if lacking:
            raise KernelUnavailable(f"{cls.namespace} has no {', '.join(lacking)}: it is no array API namespace")
        try:
            xp.sum(_maker(xp)([1.0]))
        except RuntimeError as error:  # it is installed, and its device is not there
            why = " ".join(str(error).split())[:200]
            raise KernelUnavailable(f"{cls.namespace} cannot compute here: {type(error).__name__}: {why}") from error

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for what the standard, or the library, does not have."""
        if "gelu" in {one.name for one in spec.activations}:
            raise KernelUnavailable("gelu needs erf, which the array API standard does not have")
        xp = _in(cls.namespace)
        if not hasattr(xp, spec.dtype):
            raise KernelUnavailable(f"{cls.namespace} has no {spec.dtype}")
        if spec.dtype == "float64" and cls.namespace == "jax.numpy" and not import_module("jax").config.jax_enable_x64:
            raise KernelUnavailable("JAX computes float64 where JAX_ENABLE_X64=1 is set, and it is not")

    def forward(self, x: Any) -> Any:
        """Return the outputs of a batch, (batch, n_in) to (batch, n_out), which may still be computed."""
        z, matmul = x, self.xp.matmul
        for W, b, function in self._layers:
            z = function(matmul(z, W) + b)
        return z if self._library.finish is None else self._library.finish(z)

    def forward_one(self, x: Any) -> Any:
        """Return the output of one sample: (n_in,) to (n_out,). The standard multiplies vectors too."""
        return self.forward(x)

    def from_host(self, x: NDArray[Any]) -> Any:
        """Return a NumPy array as the library's. Read-only arrays are copied: not all libraries have such."""
        return _maker(self.xp)(x if x.flags.writeable else x.copy(), dtype=self._dtype)

    def to_host(self, y: Any) -> NDArray[Any]:
        """Return one of the library's arrays as a NumPy array."""
        return self._library.to_host(y)

    def describe(self) -> Facts:
        """Return the namespace, the version of the standard that it names, and how its results are waited for."""
        waits = self._library.wait is not None or self._library.finish is not None
        return Facts.of(
            namespace=self.namespace,
            standard=getattr(self.xp, "__array_api_version__", None),
            waits="for each result" if waits else "eager",
        )


def activation(xp: Any, of: Activation, number: Callable[[float], Any]) -> Callable[[Any], Any]:
    """Return the function of a hidden layer, or softmax; ``number(value)`` makes an array of no dimensions."""

    def softmax(a: Any) -> Any:
        e = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    zero, one, slope = number(0.0), number(1.0), number(of.slope)
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": lambda a: one / (one + xp.exp(-a)),
        "relu": lambda a: xp.maximum(a, zero),
        "step": lambda a: xp.where(a > zero, one, zero),
        "tanh": xp.tanh,
        "silu": lambda a: a / (one + xp.exp(-a)),
        "leaky-relu": lambda a: xp.maximum(a, slope * a),
        "identity": lambda a: a,
        "softmax": softmax,
    }
    return functions[of.name]


@cache
def kernel_class(namespace: str) -> type[Kernel]:
    """Return the class of the kernel for a namespace."""
    library = LIBRARIES.get(namespace, UNKNOWN)
    root = namespace.partition(".")[0]
    facts: dict[str, Any] = {
        "__module__": __name__,
        "namespace": namespace,
        "backend": root,
        "device": library.device,
        "distributions": library.distributions or (root.replace("_", "-"),),
    }
    if (wait := library.wait) is not None:  # it returns before its result is there
        facts["synchronize"] = lambda kernel, y: wait(kernel.xp, y)
    return type("ArrayApiKernel", (ArrayApiKernel,), facts)
