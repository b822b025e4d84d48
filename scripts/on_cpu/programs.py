"""Programs of `kernels.cuda.programs` on the CPU: launched as on a device, and held against the reference."""

import ctypes
import mmap
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import prod
from types import SimpleNamespace

import numpy as np

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import probe_inputs
from mlpbench.kernels.cuda import programs as cuda
from mlpbench.kernels.params import Params
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import Activation, ForwardSpec
from on_cpu.raw import CpuRawKernel, CpuRawModule, Launching, sanitized

#: Arithmetic, and whether inputs are bytes.
VARIANTS = [("fp32", False), ("fp32", True), ("3xtf32", False), ("tf32", False), ("fp16", False)]
#: Around the ends of a fragment, a tile and a block.
ROWS = (1, 2, 15, 16, 17, 127, 128, 129, 1000)
#: Forward, reverse, a random one, and one warp always ahead of the others. In two of them copies arrive at once.
ORDERS = range(4)
#: Units in the last place of 1, or of the result where that is larger, that what follows a product may be off by: the
#: device's erf and tanh have as many, and a few operations follow.
ULPS = 4
PAGE = mmap.PAGESIZE
#: Kernels load 16 bytes at once: CuPy's pool aligns arrays to more.
ALIGNED = 16
#: Linux's MAP_NORESERVE, which Python names from 3.13 on.
NO_RESERVE = 0x4000


def guarded(array: np.ndarray) -> np.ndarray:
    """Return a copy between two pages that nobody may touch; what alignment leaves behind its end is 0xff."""
    room = -(-array.nbytes // ALIGNED) * ALIGNED
    inner = max(-(-room // PAGE), 1) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    whole = np.frombuffer(memory, np.uint8)
    whole[PAGE : PAGE + inner] = 0xFF
    at = PAGE + inner - room
    copy = whole[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    for start in (0, PAGE + inner):
        address = ctypes.c_void_p(whole.ctypes.data + start)
        assert ctypes.CDLL(None).mprotect(address, ctypes.c_size_t(PAGE), 0) == 0
    return copy


def reserved(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Return an array of zeros that takes memory only where it is touched, however large it is."""
    size = prod(shape) * np.dtype(dtype).itemsize
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    return np.frombuffer(mmap.mmap(-1, size, flags=flags), dtype).reshape(shape)


@dataclass(frozen=True)
class Network:
    """A specification with weights, in an arithmetic: inputs for any number of rows, and what may come of them."""

    spec: ForwardSpec
    arithmetic: str = "fp32"
    pixels: bool = False
    #: What is added to the biases of the outputs, whose products are 60 times as large: softmax of large logits.
    shift: float | None = None

    @cached_property
    def programs(self) -> tuple[cuda.Program, ...]:
        return cuda.fused(self.spec, self.arithmetic, pixels=self.pixels)

    @cached_property
    def params(self):
        params = seeded(self.spec)
        if self.shift is None:
            return params
        (*weights, last), (*biases, bias) = params.weights, params.biases
        return Params((*weights, 60 * last), (*biases, bias + np.float32(self.shift)))

    def packed(self, program: cuda.Program) -> np.ndarray:
        return program.pack(self.params)

    def inputs(self, rows: int) -> np.ndarray:
        x = probe_inputs(self.spec, rows, 0)
        return np.round(255 * x).astype(np.uint8) if self.pixels else x

    def before(self, x: np.ndarray) -> np.ndarray:
        """Return what lies where the outputs will be."""
        return np.full((len(x), self.spec.n_out), np.nan, np.float32)

    def arguments(self, x: np.ndarray, packed: np.ndarray, y: np.ndarray, rows: int) -> tuple:
        return x, packed, y, np.int64(rows)

    def expected(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right outputs, how far each may be off, and which rows can be judged."""
        x = x.astype(np.float64) / (255 if self.pixels else 1)
        steps = reference.trace(self.spec, self.params, x)
        return steps[-1][1], *reference.bound(self.spec, self.params, x, steps, self.arithmetic)


@dataclass(frozen=True)
class Products:
    """Products and a bias of one layer, which results replace: of an activation, or of softmax where it is None."""

    width: int
    activation: Activation | None = None
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.activation or 'softmax'} {self.width} {self.dtype}"

    @property
    def spec(self) -> ForwardSpec:
        return ForwardSpec((self.width, self.width), dtype=self.dtype)

    @property
    def programs(self) -> tuple[cuda.Program, ...]:
        if self.activation is None:
            return (cuda.bias_softmax(self.width, self.dtype),)
        return (cuda.bias_activation(self.width, self.dtype, self.activation),)

    @cached_property
    def params(self) -> SimpleNamespace:
        return SimpleNamespace(bias=np.random.default_rng(self.width).normal(size=self.width).astype(self.dtype))

    def packed(self, _program: cuda.Program) -> np.ndarray:
        return self.params.bias

    def inputs(self, rows: int) -> np.ndarray:
        """Return products: of both signs, small and large, and in one column such that the sum with the bias is 0."""
        x = np.random.default_rng(rows).normal(scale=3, size=(rows, self.width)).astype(self.dtype)
        x[rows // 2] *= 40
        x[:, -1] = -self.params.bias[-1]
        return x

    def before(self, x: np.ndarray) -> np.ndarray:
        return np.array(x)

    def arguments(self, _x: np.ndarray, packed: np.ndarray, y: np.ndarray, rows: int) -> tuple:
        return y, packed, np.int64(rows)

    def expected(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        function = reference.softmax if self.activation is None else reference.hidden(self.activation)
        right = function(x + self.params.bias)
        return right, ULPS * np.finfo(self.dtype).eps * np.maximum(1, np.abs(right)), np.ones(right.shape, bool)


@dataclass
class Launched:
    """A program of a network, or of products, compiled; ``edit``, old and new text, makes a mutant of it."""

    network: Network | Products
    program: cuda.Program
    edit: tuple[str, str] | None = None
    #: Of the device that the source is told to be compiled for.
    capability: int = 80

    def __post_init__(self) -> None:
        if self.edit:
            old, new = self.edit
            source = self.program.source
            assert source.count(old) == 1, f"{self.program.name} has {old!r} {source.count(old)} times"
            self.program = replace(self.program, source=source.replace(old, new))
        module = CpuRawModule(code=self.program.source, options=self.program.options, capability=self.capability)
        self.kernel = CpuRawKernel(module, self.program.name)
        self.kernel.max_dynamic_shared_size_bytes = self.program.shared_bytes
        self.weights = self.network.packed(self.program)
        self.packed = guarded(self.weights)

    def _launch(self, x: np.ndarray, y: np.ndarray, rows: int) -> tuple:
        return (self.program.grid(rows),), (self.program.block,), self.network.arguments(x, self.packed, y, rows)

    def _run(self, x: np.ndarray, y: np.ndarray, rows: int, launching: Launching) -> None:
        self.kernel.module.launching = launching
        self.kernel(*self._launch(x, y, rows), shared_mem=self.program.shared_bytes)

    def outputs(self, x: np.ndarray, order: int = 0, blocks: tuple[int, ...] | None = None) -> np.ndarray:
        """Return the outputs of some rows, poisoned before; ``blocks`` run one by one, or all in one launch."""
        held = guarded(x)
        y = guarded(self.network.before(x))
        for one in (None,) if blocks is None else blocks:
            self._run(held, y, len(x), Launching(order, None if one is None else (one, one + 1)))
        assert held.tobytes() == x.tobytes(), "the inputs were changed"
        assert np.array_equal(self.packed, self.weights), "the weights were changed"
        return np.array(y)

    def rows_of(self, blocks: tuple[int, ...], rows: int) -> np.ndarray:
        """Return which of the rows some blocks compute."""
        return np.isin(np.arange(rows) // self.program.rows_per_block, blocks)

    def in_large(self) -> tuple[np.ndarray, int, float]:
        """Run the last block of arrays that 32 bits cannot count; return outputs, its first row, and its `off_by`."""
        spec = self.network.spec
        rows = 2**31 // max(spec.n_in, spec.n_out) + 1000
        grid = self.program.grid(rows)
        first = (grid - 1) * self.program.rows_per_block
        inputs = self.network.inputs(rows - first)
        x, y = reserved((rows, spec.n_in), inputs.dtype), reserved((rows, spec.n_out), np.float32)
        x[first:], y[first:] = inputs, self.network.before(inputs)
        self._run(x, y, rows, Launching(blocks=(grid - 1, grid)))
        return y, first, off_by(y[first:], *self.network.expected(inputs))

    def strange(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the outputs of rows of which some hold an infinity and some NaN, and what they are of finite rows."""
        x = self.network.inputs(40)
        odd = x.copy()
        odd[3, 0], odd[20, -1], odd[7, 0] = np.inf, -np.inf, np.nan
        return self.outputs(odd), self.outputs(x)

    def found_by(self, sanitizer: str, rows: int) -> str:
        """Return what a sanitizer finds in a launch, "" for nothing."""
        x = self.network.inputs(rows)
        launch = self._launch(x, self.network.before(x), rows)
        return sanitized(self.kernel, sanitizer, *launch, shared_mem=self.program.shared_bytes)


@cache
def all_launched(spec: ForwardSpec) -> dict[tuple[str, bool], tuple[Launched, ...]]:
    """Return the programs of a network in each variant, compiled in one go."""
    networks = {variant: Network(spec, *variant) for variant in VARIANTS}
    found = {variant: tuple(Launched(one, program) for program in one.programs) for variant, one in networks.items()}
    CpuRawModule.together([one.kernel.module for each in found.values() for one in each])
    return found


def off_by(got: np.ndarray, right: np.ndarray, allowed: np.ndarray, decidable: np.ndarray) -> float:
    """Return the largest error as a share of what is allowed; infinity where it is no number."""
    ratio = np.abs(got.astype(np.float64) - right)[decidable] / allowed[decidable]
    return float(np.where(np.isnan(ratio), np.inf, ratio).max(initial=0))
