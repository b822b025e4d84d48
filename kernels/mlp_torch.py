"""PyTorch: eager with NumPy arrays or with its own tensors, and compiled; tensors also on a CUDA device.

The settings, and why:

* Functions, not modules: calling an `nn.Sequential` costs twice the time of the same functions on one row (20 against
  10 us on Zen 5, PyTorch 2.13). Activations work in place. Weights lie as `nn.Linear` keeps them, (n_out, n_in).
* Under `torch.inference_mode`, entered in each call: users would hold it around their loop, which saves another 0.5 us,
  but it is a state of the thread that a kernel must not leave behind.
* PyTorch reads ``OMP_NUM_THREADS`` and ``MKL_NUM_THREADS`` itself, when it loads.
* float32 products stay float32: ``torch.get_float32_matmul_precision()`` is "highest" unless somebody changes it, and
  `describe` shows it.
* TorchScript (`torch.jit`) is deprecated and was no faster.
* On a CUDA device everything runs on the current stream, as it does where nobody names one. The compiled kernel replays
  CUDA graphs, which the mode "reduce-overhead" captures for each batch size.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, ClassVar

from numpy.typing import NDArray

from mlpbench.kernels.base import Facts, Kernel, Returns, require
from mlpbench.kernels.cuda import card
from mlpbench.kernels.cuda.device import require_own_products, words
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.instructions import instructions
from mlpbench.kernels.params import Params
from mlpbench.kernels.spec import ForwardSpec

_Array = NDArray[Any]
#: torch.Tensor: PyTorch may be missing.
_Tensor = Any

EXTRA = "torch"


class TorchKernel(Kernel):
    """Eager PyTorch, NumPy arrays in and out; both share memory with the tensors."""

    backend = "torch"
    distributions = ("torch",)
    #: Where the weights are, and tensors go.
    _place: ClassVar[str] = "cpu"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._torch = torch = require("torch", EXTRA)
        self._mode = torch.inference_mode()
        self._linear, self._addmv = torch.nn.functional.linear, torch.addmv
        functions = torch.nn.functional
        hidden: dict[str, Callable[[_Tensor], _Tensor]] = {
            "sigmoid": torch.sigmoid_,
            "relu": torch.relu_,
            "step": lambda a: a.gt_(0),
            "tanh": torch.tanh_,
            "gelu": functions.gelu,
            "silu": partial(functions.silu, inplace=True),
            "identity": lambda a: a,
        }
        output: dict[str, Callable[[_Tensor], _Tensor]] = {
            "softmax": partial(torch.softmax, dim=-1),
            "identity": lambda a: a,
        }
        leaky = functions.leaky_relu_
        activations = [
            *(hidden.get(one.name, partial(leaky, negative_slope=one.slope)) for one in spec.activations),
            output[spec.output],
        ]
        with self._mode:
            weights = [torch.from_numpy(W.T.copy()).to(self._place) for W in self.params.weights]
            biases = [torch.from_numpy(b.copy()).to(self._place) for b in self.params.biases]
        self._layers = list(zip(weights, biases, activations, strict=True))

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where PyTorch cannot be imported."""
        require("torch", EXTRA)

    def _tensor(self, x: _Array) -> _Tensor:
        """Return ``x`` as a tensor. PyTorch has no read-only tensors, and warns: read-only arrays are copied."""
        return self._torch.from_numpy(x if x.flags.writeable else x.copy())

    def forward(self, x: _Array) -> _Array:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        with self._mode:
            z = self._tensor(x)
            for W, b, activation in self._layers:
                z = activation(self._linear(z, W, b))
            y: _Array = z.numpy()
        return y

    def forward_one(self, x: _Array) -> _Array:
        """Return the output of one sample: (n_in,) to (n_out,). A matrix times a vector has a shorter way."""
        with self._mode:
            z = self._tensor(x)
            for W, b, activation in self._layers:
                z = activation(self._addmv(b, W, z))
            y: _Array = z.numpy()
        return y

    def describe(self) -> Facts:
        """Return PyTorch's threads and what its products run on."""
        torch = self._torch
        return Facts.of(
            threads=torch.get_num_threads(),
            cpu_capability=torch.backends.cpu.get_cpu_capability(),
            mkl=torch.backends.mkl.is_available(),
            onednn=torch.backends.mkldnn.is_available(),
            openmp=torch.backends.openmp.is_available(),
            float32_matmul_precision=torch.get_float32_matmul_precision(),
        )


class TorchBf16Kernel(TorchKernel):
    """`TorchKernel` with weights and activations in bfloat16; inputs and outputs stay float32."""

    arithmetic = "bf16"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        with self._mode:
            self._layers = [(W.bfloat16(), b.bfloat16(), activation) for W, b, activation in self._layers]
        *hidden, (W, b, output) = self._layers
        self._layers = [*hidden, (W, b, lambda a: output(a.float()))]

    @classmethod
    def supports(cls, spec: ForwardSpec) -> None:
        """Raise KernelUnavailable for float64, which bfloat16 is no arithmetic for."""
        if spec.dtype != "float32":
            raise KernelUnavailable(f"bfloat16 stands for float32, and the specification is {spec.dtype}")

    def _tensor(self, x: _Array) -> _Tensor:
        return super()._tensor(x).bfloat16()

    def describe(self) -> Facts:
        """Return what `TorchKernel.describe` returns, and the instructions for products of bfloat16."""
        return super().describe().also(arithmetic="bf16", instructions=instructions("avx512bf16", "amx-bf16", "bf16"))


class TorchTensorKernel(TorchKernel):
    """Eager PyTorch on tensors, into tensors that are kept for each number of rows."""

    returns: ClassVar[Returns] = "kept"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        self._addmm = self._torch.addmm
        self._batches: dict[int, list[tuple[_Tensor, ...]]] = {}
        self._one = self._into()

    def _into(self, *rows: int) -> list[tuple[_Tensor, ...]]:
        """Return (W, b, output, activation) of each layer, with new output tensors of shape (*rows, n_out)."""
        torch, steps = self._torch, []
        with self._mode:
            for number, (W, b, activation) in enumerate(self._layers, start=1):
                out = torch.empty((*rows, len(b)), dtype=b.dtype, device=self._place)
                if number == self.spec.n_layers and self.spec.output == "softmax":
                    activation = partial(torch.softmax, dim=-1, out=torch.empty_like(out))  # noqa: PLW2901
                steps.append((W.t() if rows else W, b, out, activation))
        return steps

    def from_host(self, x: _Array) -> _Tensor:
        """Return a NumPy array as a tensor."""
        with self._mode:
            return self._tensor(x)

    def to_host(self, y: _Tensor) -> _Array:
        """Return a tensor as a NumPy array."""
        array: _Array = y.numpy()
        return array

    def forward(self, x: _Tensor) -> _Tensor:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        steps = self._batches.get(len(x))
        if steps is None:
            steps = self._batches[len(x)] = self._into(len(x))
        with self._mode:
            for W, b, out, activation in steps:
                x = activation(self._addmm(b, x, W, out=out))
        return x

    def forward_one(self, x: _Tensor) -> _Tensor:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        with self._mode:
            for W, b, out, activation in self._one:
                x = activation(self._addmv(b, W, x, out=out))
        return x


def _import_compiler() -> None:
    """Import what PyTorch's compiler imports first. PyTorch 2.13 there uses what it has itself declared deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script_method` is deprecated", DeprecationWarning)
        require("torch.utils.mkldnn", EXTRA)


def _network(torch: Any, spec: ForwardSpec, params: Params) -> Any:
    """Return the network as an `nn.Module`, for the compiler."""

    class Step(torch.nn.Module):  # type: ignore[misc,name-defined,unused-ignore]
        def forward(self, a: _Tensor) -> _Tensor:
            return (a > 0).to(a.dtype)

    kinds = {
        "sigmoid": torch.nn.Sigmoid,
        "relu": torch.nn.ReLU,
        "step": Step,
        "tanh": torch.nn.Tanh,
        "gelu": torch.nn.GELU,
        "silu": torch.nn.SiLU,
        "softmax": partial(torch.nn.Softmax, dim=-1),
        "identity": torch.nn.Identity,
    }
    leaky = torch.nn.LeakyReLU
    layers = [kinds.get(one.name, partial(leaky, one.slope)) for one in spec.activations] + [kinds[spec.output]]
    modules = []
    for W, b, make in zip(params.weights, params.biases, layers, strict=True):
        linear = torch.nn.Linear(*W.shape, device="meta")  # without weights
        linear.weight = torch.nn.Parameter(torch.from_numpy(W.T.copy()), requires_grad=False)
        linear.bias = torch.nn.Parameter(torch.from_numpy(b.copy()), requires_grad=False)
        modules += [linear, make()]
    return torch.nn.Sequential(*modules).eval()


def _compiled(torch: Any, module: Any, **how: Any) -> Any:
    """Return a compiled function with its own code: PyTorch keeps what it compiled by code, eight times and no more."""
    _import_compiler()

    def network(x: _Tensor) -> _Tensor:
        return module(x)

    own = FunctionType(network.__code__.replace(), network.__globals__, None, None, network.__closure__)
    return torch.compile(own, fullgraph=True, dynamic=True, **how)


class TorchCompileKernel(TorchTensorKernel):
    """`torch.compile` on tensors, in the settings for inference on the CPU.

    ``freezing`` makes constants of the weights. ``dynamic``: one compilation serves every batch size but 1, which has
    its own; without it a sweep would compile for each of them, and from the ninth on PyTorch would give up and run
    uncompiled, without a word. ``fullgraph`` makes such a surrender an error. On Zen 5 with PyTorch 2.13, none of
    ``cpp_wrapper``, ``max_autotune`` and fixed shapes was faster beyond the noise.
    """

    returns: ClassVar[Returns] = "new"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        module = _network(self._torch, spec, self.params)
        self._compiled = _compiled(self._torch, module, options={"freezing": True})

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where PyTorch, or the C++ compiler that it generates code for, does not work."""
        super().probe()
        compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            raise KernelUnavailable(f"torch.compile needs a C++ compiler: {compiler} is not installed")
        header = f"-I{sysconfig.get_path('include')}"
        words = [compiler, "-fsyntax-only", header, "-x", "c++", "-"]
        ran = subprocess.run(words, input="#include <Python.h>\n", capture_output=True, text=True, check=False)
        if ran.returncode:
            said = next((line for line in ran.stderr.splitlines() if "error" in line), f"status {ran.returncode}")
            raise KernelUnavailable(f"torch.compile needs a C++ compiler and Python's headers: {said.strip()}")
        _import_compiler()
        try:
            require("torch", EXTRA).compile(lambda x: x)  # compiles nothing yet, but knows its Python versions
        except RuntimeError as error:
            raise KernelUnavailable(f"torch.compile: {error}") from error

    def forward(self, x: _Tensor) -> _Tensor:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out)."""
        with self._mode:
            return self._compiled(x)

    def forward_one(self, x: _Tensor) -> _Tensor:
        """Return the output of one sample: (n_in,) to (n_out,)."""
        with self._mode:
            return self._compiled(x[None])[0]

    def describe(self) -> Facts:
        """Return what `TorchKernel.describe` returns, and how the network was compiled."""
        return super().describe().also(compiler="inductor", freezing=True, dynamic=True)


class TorchCudaKernel(TorchTensorKernel):
    """Eager PyTorch on a CUDA device: `TorchTensorKernel` with its tensors there. float32 stays float32."""

    device = "cuda"
    _place = "cuda"

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        require_own_products(spec.dtype)
        # Somebody may have asked for TF32, by TORCH_ALLOW_TF32_CUBLAS_OVERRIDE too.
        require("torch", EXTRA).set_float32_matmul_precision("highest")
        super().__init__(spec, params)

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where PyTorch cannot be imported, or has no CUDA device, in its own words."""
        torch = require("torch", EXTRA)
        try:
            torch.ones(1, device=cls._place)
        except (AssertionError, RuntimeError) as error:  # AssertionError: a build without CUDA
            raise KernelUnavailable(f"PyTorch has no CUDA device: {words(error)}") from error

    def from_host(self, x: _Array) -> _Tensor:
        """Return a NumPy array as a tensor on the device, once it is there."""
        with self._mode:
            return self._tensor(x).to(self._place)

    def to_host(self, y: _Tensor) -> _Array:
        """Return a tensor of the device as a NumPy array, once it is computed."""
        array: _Array = y.cpu().numpy()
        return array

    def synchronize(self, y: _Tensor) -> None:  # noqa: ARG002 - one stream computes all
        """Wait for the current stream."""
        self._torch.cuda.current_stream().synchronize()

    def stream(self) -> int:
        """Return the current stream."""
        pointer: int = self._torch.cuda.current_stream().cuda_stream
        return pointer

    def l2_bytes(self) -> int:
        """Return the bytes of the device's L2 cache."""
        return int(self._torch.cuda.get_device_properties(self._place).L2_cache_size)

    def describe(self) -> Facts:
        """Return the device, CUDA's version, what products are computed in, and the most memory that was held."""
        torch = self._torch
        device = torch.cuda.get_device_properties(self._place)
        return Facts.of(
            device_name=device.name,
            device_uuid=card.as_nvml(device.name, device.uuid),
            compute_capability=f"{device.major}{device.minor}",
            cuda_runtime=torch.version.cuda,
            float32_matmul_precision=torch.get_float32_matmul_precision(),
            arithmetic="fp64" if self.spec.dtype == "float64" else "fp32",
            overrides=card.overrides(),
            pool_bytes=torch.cuda.max_memory_reserved(),
        )


class TorchCudaCompileKernel(TorchCudaKernel):
    """`torch.compile` on a CUDA device, in the mode that captures CUDA graphs: they write to the same memory again."""

    def __init__(self, spec: ForwardSpec, params: Params) -> None:
        super().__init__(spec, params)
        module = _network(self._torch, spec, self.params).to(self._place)
        self._compiled = _compiled(self._torch, module, mode="reduce-overhead")

    @classmethod
    def probe(cls) -> None:
        """Raise KernelUnavailable where there is no CUDA device, or no Triton, which the compiler writes for."""
        super().probe()
        require("triton", EXTRA)

    def forward(self, x: _Tensor) -> _Tensor:
        """Return the outputs of a batch: (batch, n_in) to (batch, n_out). Valid until the next call."""
        self._torch.compiler.cudagraph_mark_step_begin()  # the result before is not needed any more
        with self._mode:
            return self._compiled(x)

    def forward_one(self, x: _Tensor) -> _Tensor:
        """Return the output of one sample: (n_in,) to (n_out,). Valid until the next call."""
        return self.forward(x[None])[0]

    def describe(self) -> Facts:
        """Return what `TorchCudaKernel.describe` returns, and how the network was compiled."""
        return super().describe().also(compiler="inductor", cuda_graphs=True, dynamic=True)
