"""The device kernels of this project as data: source text, options, launch geometry, how weights are packed.

What CuPy compiles and launches is what is said here, and so is what the tests compile with NVRTC or run on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeAlias

from mlpbench.kernels.cuda import packing
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.spec import Activation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlpbench.kernels.base import Arithmetic
    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import DType, ForwardSpec

Pack: TypeAlias = "Callable[[Params], NDArray[Any]]"

#: Up to so many rows for each multiprocessor, larger blocks would leave most of a card idle: those of a few rows, and
#: those of some. Estimated, to be set on a card: `thresholds` of the acceptance script times both sides of each.
FEW_ROWS, SOME_ROWS = 31, 124
#: Multiprocessors of a card that is not asked: an H100.
MULTIPROCESSORS = 132
#: What registers and shared memory hold: outputs of a layer, and layers with weights.
MAX_WIDTH, MAX_LAYERS = 128, 8
#: The most outputs of which one thread keeps a row in registers, in `bias_softmax`.
MAX_SOFTMAX = 64

#: Shared memory of which compute capability 8.6 or 8.9 holds two blocks: half of 100 KiB, of which each block costs 1.
TWO_BLOCKS = 49 * 1024
#: A kernel has so much shared memory without asking for it.
UNASKED_BYTES = 48 * 1024
#: The most sums that a thread keeps in registers, in the programs of `ffma.cu`.
MOST_SUMS = 164

#: The dialect of all sources. CuPy 14 compiles in it unasked, CuPy 13 in C++11.
DIALECT = "--std=c++17"

#: Threads of a block of `ffma.cu`, and inputs of a step: 32 rows come at once, so rows of a block are a multiple of 32.
_THREADS, _STEP = 128, 16

#: Products that a block of `bias_activation` replaces at most, four for each thread: whole rows, or a part of one.
_ITEMS = 1024

_REAL = {"float32": "float", "float64": "double"}
_TENSOR_CORES = {"3xtf32": "TF32_3", "tf32": "TF32", "fp16": "FP16"}


@dataclass(frozen=True)
class Program:
    """One device kernel. Its arguments are (x, packed weights, y, rows), or (a, b, rows) where it packs none.

    Arrays are C-contiguous, ``rows`` is an int64. Each block computes ``rows_per_block`` rows.
    """

    name: str
    source: str
    options: tuple[str, ...]
    #: Threads of a block.
    block: int
    rows_per_block: int
    #: Dynamic shared memory of a block, in bytes: above 48 KiB a kernel must be told before its first launch.
    shared_bytes: int = 0
    #: The least compute capability: 80 is 8.0.
    capability: int = 75
    #: The most rows that this program is meant for; None for any number.
    up_to: int | None = None
    #: Returns the weights and biases as the program reads them, one array.
    pack: Pack | None = None
    #: Blocks that share a row, where one has a part of it.
    blocks_per_row: int = 1

    def grid(self, rows: int) -> int:
        """Return how many blocks compute ``rows`` rows."""
        return -(-rows // self.rows_per_block) * self.blocks_per_row

    def kernel(self, cupy: Any) -> Any:
        """Return it as a `cupy.RawKernel`, which CuPy compiles, or finds in its cache, at the first call."""
        compiled = cupy.RawKernel(self.source, self.name, (DIALECT, *self.options))
        if self.shared_bytes > UNASKED_BYTES:
            compiled.max_dynamic_shared_size_bytes = self.shared_bytes
        return compiled


@cache
def _text(*names: str) -> str:
    """Return the source files ``names`` of this folder, one after the other."""
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)


def bias_softmax(n_out: int, dtype: DType) -> Program:
    """Return the program that replaces products (rows, n_out) by softmax(a + b), in place."""
    wide = n_out > MAX_SOFTMAX
    source = _text("bias_softmax_wide.cu" if wide else "bias_softmax.cu")
    options = (f"-DN={n_out}", f"-DREAL={_REAL[dtype]}")
    return Program("bias_softmax", source, options, block=128, rows_per_block=4 if wide else 128)


def bias_activation(n_out: int, dtype: DType, activation: Activation) -> Program:
    """Return the program that replaces products (rows, n_out) by the activation of a + b, in place."""
    rows, parts = max(1, _ITEMS // n_out), -(-n_out // _ITEMS)
    defines = {"N": n_out, "REAL": _REAL[dtype], "ROWS": rows, "PARTS": parts}
    defines |= {"ACTIVATION": _macro(activation), "SLOPE": activation.slope}
    options = tuple(f"-D{name}={value}" for name, value in defines.items())
    source = _text("bias_activation.cu")
    return Program("bias_activation", source, options, _ITEMS // 4, rows, blocks_per_row=parts)


def after_products(spec: ForwardSpec) -> list[Program]:
    """Return what follows the product of each layer: the bias, and the activation or the output of the network."""
    widths, dtype = spec.sizes[1:], spec.dtype
    each = zip(widths, [*spec.activations, Activation("identity")], strict=True)
    programs = [bias_activation(n_out, dtype, activation) for n_out, activation in each]
    return programs if spec.output == "identity" else [*programs[:-1], bias_softmax(spec.n_out, dtype)]


def _macro(activation: Activation) -> str:
    """Return what the sources call an activation."""
    return activation.name.upper().replace("-", "_")


def require_fit(spec: ForwardSpec) -> None:
    """Raise KernelUnavailable, with the reason, for a specification that the fused programs cannot express."""
    widest = max(spec.sizes[1:])
    if spec.dtype != "float32":
        raise KernelUnavailable(f"the fused kernels take float32 inputs, the specification has {spec.dtype}")
    if spec.n_layers > MAX_LAYERS:
        raise KernelUnavailable(f"{spec.n_layers} layers: a fused kernel holds {MAX_LAYERS} in registers")
    if widest > MAX_WIDTH:
        raise KernelUnavailable(f"a layer of {widest} outputs: a fused kernel holds {MAX_WIDTH} in registers")
    if spec.n_in >= 2**20:
        raise KernelUnavailable(f"{spec.n_in} inputs: a fused kernel counts packed weights in 32 bits, up to {2**20}")


def fused(
    spec: ForwardSpec, arithmetic: Arithmetic, *, pixels: bool = False, processors: int = MULTIPROCESSORS
) -> tuple[Program, ...]:
    """Return the programs that compute the whole network, from those for the fewest rows to the one for any number.

    ``processors``: the multiprocessors of the card, which blocks are to fill. With ``pixels`` inputs are bytes, which
    stand for the byte divided by 255; that goes with "fp32" alone. Raises KernelUnavailable as `require_fit` does.
    """
    require_fit(spec)
    if arithmetic == "fp32":
        few = [
            _ffma_few(spec, rows, threads, up_to, pixels=pixels)
            for rows, threads, up_to in ((1, 512, 1), (8, 256, FEW_ROWS * processors))
        ]
        some, many = (
            _ffma(spec, most, up_to, pixels=pixels) for most, up_to in ((4, SOME_ROWS * processors), (7, None))
        )
        return (*few, *([some] if some.rows_per_block < many.rows_per_block else []), many)
    if pixels:
        raise KernelUnavailable(f"inputs of bytes are computed in fp32, not in {arithmetic}")
    return _mma_few(spec, arithmetic, FEW_ROWS * processors), _mma(spec, arithmetic)


def _options(
    spec: ForwardSpec, layout: packing.Layout, *, pixels: bool = False, **numbers: int | str
) -> tuple[str, ...]:
    """Return what `network.cuh` and a program's own text get by -D."""
    defines = {
        "LAYERS": spec.n_layers,
        "SIZES": ",".join(map(str, spec.sizes)),
        "HIDDEN": "".join(f"{_macro(one)}," for one in spec.activations),
        "SLOPES": "".join(f"{one.slope!r}f," for one in spec.activations),
        "SOFTMAX": int(spec.output == "softmax"),
        "INPUT": "unsigned char" if pixels else "float",
        "INPUT_SCALE": "(1.0f/255.0f)" if pixels else "1.0f",
        "WEIGHTS_AT": ",".join(map(str, layout.weights_at)),
        "BIASES_AT": ",".join(map(str, layout.biases_at)),
        **numbers,
    }
    return tuple(f"-D{name}={value}" for name, value in defines.items())


def _ffma(spec: ForwardSpec, most_tm: int, up_to: int | None, *, pixels: bool) -> Program:
    """Return the program for many rows without tensor cores, at most ``most_tm`` of them to a thread."""
    whole = spec.n_layers > 1 and spec.n_out <= packing.MOST_EACH
    columns, tm, shared = _tile(spec, most_tm, whole=whole)
    layout, pack = packing.by_groups(spec, columns, _STEP, whole=whole)
    numbers = {"THREADS": _THREADS, "TM": tm, "CG": columns.groups, "BK": _STEP, "WHOLE": int(whole)}
    options = _options(spec, layout, pixels=pixels, **numbers)
    source = _text("machine.cuh", "network.cuh", "ffma.cu")
    rows = _THREADS // columns.groups * tm
    return Program("mlp_ffma", source, options, _THREADS, rows, shared, up_to=up_to, pack=pack)


def _tile(spec: ForwardSpec, most_tm: int, *, whole: bool) -> tuple[packing.Columns, int, int]:
    """Return what a thread of `ffma.cu` sums, as groups of columns and rows, and bytes of shared memory of a block.

    It is the tile with the fewest groups and the most rows that registers and shared memory leave room for: the larger
    it is, the more products are made of what is read.
    """
    for groups, tm in ((4, 7), (4, 6), (4, 4), (8, 6), (8, 4)):
        columns, rows = packing.Columns(groups), _THREADS // groups * tm
        # The two buffers of the first layer lie where activations lie later: odd layers, then even ones.
        buffers = 2 * (rows * (_STEP + 4) + _STEP * groups * columns.stride(spec.sizes[1]))
        widths = dict(enumerate(map(columns.padded, spec.sizes[1:]), start=1))
        if whole:
            del widths[spec.n_layers - 1]  # the last hidden layer stays in registers
        regions = [[packing.odd_quads(n) for layer, n in widths.items() if layer % 2 == odd] for odd in (1, 0)]
        shared = 4 * max(buffers, rows * sum(max(region, default=0) for region in regions))
        sums = tm * (max(map(columns.each, spec.sizes[1:])) + (spec.n_out if whole else 0))
        fits = sums <= MOST_SUMS and shared <= TWO_BLOCKS and columns.passes(spec.sizes[1]) == 1
        if fits and tm <= most_tm:
            break
    return columns, tm, shared


def _ffma_few(spec: ForwardSpec, rows: int, threads: int, up_to: int, *, pixels: bool) -> Program:
    """Return the program for few rows without tensor cores, ``rows`` of them in a block."""
    layout, pack = packing.by_lanes(spec)
    widest = max(packing.lane_stride(n) for n in spec.sizes[1:])
    shared = 4 * rows * (threads // 32 * widest + max(spec.sizes[1:]))
    unroll = 4 if rows == 1 else 1  # of one row there is little to add, and much to wait for
    options = _options(spec, layout, pixels=pixels, THREADS=threads, ROWS=rows, UNROLL=unroll)
    source = _text("machine.cuh", "network.cuh", "ffma_few.cu")
    return Program("mlp_ffma_few", source, options, threads, rows, shared, up_to=up_to, pack=pack)


def _mma(spec: ForwardSpec, arithmetic: Arithmetic) -> Program:
    """Return the program for many rows on tensor cores."""
    threads, chunk = 256, 4
    mt = 2 if max(spec.sizes[1:]) <= 104 and spec.sizes[1] <= 64 else 1  # more sums do not fit in registers
    layout, pack = packing.by_fragments(spec, halves=arithmetic == "fp16", rounded=arithmetic == "tf32")
    shared = 2 * chunk * -(-spec.sizes[1] // 8) * 32 * (8 if arithmetic == "fp16" else 16)
    options = _options(spec, layout, ARITHMETIC=_TENSOR_CORES[arithmetic], THREADS=threads, MT=mt, CHUNK=chunk)
    source = _text("machine.cuh", "network.cuh", "mma.cuh", "mma.cu")
    return Program("mlp_mma", source, options, threads, threads // 32 * mt * 16, shared, capability=80, pack=pack)


def _mma_few(spec: ForwardSpec, arithmetic: Arithmetic, up_to: int) -> Program:
    """Return the program for few rows on tensor cores."""
    threads = 256
    layout, pack = packing.by_fragments(spec, halves=arithmetic == "fp16", rounded=arithmetic == "tf32")
    tiles = [-(-n // 8) for n in spec.sizes[1:]]
    shared = (2 * max(tiles) + threads // 32 * tiles[0]) * 32 * 16
    options = _options(spec, layout, ARITHMETIC=_TENSOR_CORES[arithmetic], THREADS=threads)
    source = _text("machine.cuh", "network.cuh", "mma.cuh", "mma_few.cu")
    return Program("mlp_mma_few", source, options, threads, 16, shared, 80, up_to, pack)
