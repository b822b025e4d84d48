"""Every program on the CPU, fused, behind a product, or a peak: right for odd sizes, in any order of threads, clean."""

from functools import cache
from itertools import product

import numpy as np
import pytest
from on_cpu.programs import ORDERS, ROWS, VARIANTS, Launched, Network, Products, all_launched, off_by
from on_cpu.raw import SANITIZERS, CpuRawKernel, CpuRawModule, compiler, sanitized

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import check
from mlpbench.kernels.cuda import peak, programs, queue
from mlpbench.kernels.mlp_cupy import CupyKernel
from mlpbench.kernels.spec import HIDDEN, MNIST, ForwardSpec, read_hidden
from support import fake_cupy

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")]

#: MNIST, and networks whose sizes are odd, prime, one, or the largest that fit; each activation and output among them.
SPECS = [
    MNIST,
    ForwardSpec((1, 1), output="identity"),
    ForwardSpec((36, 17, 9, 5), "relu", "softmax"),
    ForwardSpec((81, 50, 10), "tanh", "identity"),  # one input more than whole turns of a loop over 8 or 16
    ForwardSpec((64, 128, 128, 128), "sigmoid", "softmax"),
    ForwardSpec((30, 127, 1, 33), "step,gelu", "softmax"),
    ForwardSpec((3,) + (2,) * 8, "silu", "identity"),
    ForwardSpec((7, 100, 51, 19, 11), "leaky-relu:0.2,identity,step", "identity"),
    ForwardSpec((16, 65, 31), "relu", "identity"),
]


#: Of a softmax, a thread keeps a row, or a warp shares it.
SOFTMAX = [Products(width, None, dtype) for width in (1, 2, 10, 65) for dtype in ("float32", "float64")]
_EACH = [one for name in (*HIDDEN, "leaky-relu:0.2") for one in read_hidden(name)]
#: A block has 1,024 rows of one output, or 20 of 50; a row of 1,025 has two blocks.
ACTIVATIONS = [
    Products(width, activation, dtype)
    for activation, width in zip(_EACH, (50, 1, 1025, 7, 50, 100, 33, 50, 10), strict=True)
    for dtype in ("float32", "float64")
]


@cache
def replaced() -> dict[Products, Launched]:
    """Return each program, compiled in one go."""
    found = {one: Launched(one, one.programs[0]) for one in (*SOFTMAX, *ACTIVATIONS)}
    CpuRawModule.together([one.kernel.module for one in found.values()])
    return found


def networks(*specs):
    """Return the cases of these networks: each in all variants."""
    return [Network(spec, *variant) for spec in specs for variant in VARIANTS]


def launched(case):
    """Return the programs of a case; those of a network, and those of all products, are compiled in one go."""
    if isinstance(case, Products):
        return (replaced()[case],)
    return all_launched(case.spec)[case.arithmetic, case.pixels]


def of_each(*cases):
    return pytest.mark.parametrize("case", cases, ids=str)


@of_each(*networks(*SPECS), *SOFTMAX, *ACTIVATIONS)
def test_outputs_are_right_and_the_same_in_every_order_of_threads(case):
    """Arrays end where nobody may read or write, outputs are NaN before, and shared memory is.

    Forward, all blocks run. In the other orders those of products do, and of a network the first block and the last
    one, each alone: the blocks between are full as the first one is, and no block depends on another
    (`test_blocks_do_not_depend_on_each_other`).
    """
    for one, rows in product(launched(case), ROWS):
        x = case.inputs(rows)
        y = one.outputs(x)
        assert off_by(y, *case.expected(x)) <= 1, (one.program.name, rows)
        grid = one.program.grid(rows)
        blocks = tuple(sorted({0, grid - 1})) if isinstance(case, Network) else None
        ran = one.rows_of(blocks or tuple(range(grid)), rows)
        for order in ORDERS[1:]:
            again = one.outputs(x, order, blocks)
            assert np.array_equal(again[ran], y[ran]), (one.program.name, rows, order)
            assert np.array_equal(again[~ran], case.before(x)[~ran], equal_nan=True), "a block writes its own rows"


@of_each(*networks(SPECS[2], SPECS[6]))
def test_blocks_do_not_depend_on_each_other(case):
    """All in reverse, and each alone in a random order of threads: the same bits as all in a row."""
    x = case.inputs(1000)
    for one in launched(case):
        y = one.outputs(x)
        assert np.array_equal(one.outputs(x, 1), y), one.program.name
        alone = tuple(reversed(range(one.program.grid(len(x)))))
        assert np.array_equal(one.outputs(x, 2, alone), y), one.program.name


@of_each(*networks(MNIST, SPECS[4]), SOFTMAX[4], ACTIVATIONS[0])
def test_addresses_beyond_what_32_bits_count(case):
    """Of inputs in MNIST, of outputs in the other network."""
    for one in launched(case):
        y, first, off = one.in_large()
        assert off <= 1
        wrapped = (first * case.spec.n_out) % 2**32 // case.spec.n_out
        assert not y[:1000].any(), "nothing is written at the start"
        assert wrapped == first or not y[wrapped : wrapped + 1000].any()


#: Softmax of large logits; and the text for cards below 8.0, which have no copies beside the arithmetic.
OTHERWISE = [(Network(SPECS[2], *variant, shift), 80) for variant in VARIANTS for shift in (-1000.0, 200.0)]
OTHERWISE += [(Network(MNIST), 75), (Network(SPECS[2], pixels=True), 75)]


@pytest.mark.parametrize(("network", "capability"), OTHERWISE, ids=str)
def test_large_logits_and_older_cards(network, capability):
    x = network.inputs(129)
    for program in network.programs:
        y = Launched(network, program, capability=capability).outputs(x)
        assert off_by(y, *network.expected(x)) <= 1, program.name


#: Of both, hidden layers end within a tile: columns that fill it up must not make NaN of what is infinite.
STRANGE = [ForwardSpec((36, 17, 9, 5), "relu"), ForwardSpec((36, 50, 10), "sigmoid", "identity")]


@pytest.mark.parametrize("spec", STRANGE, ids=str)
@pytest.mark.parametrize("arithmetic", ["fp32", "3xtf32", "tf32", "fp16"])
def test_a_row_with_what_is_no_finite_number_spoils_no_other_and_nan_stays_nan(spec, arithmetic):
    network = Network(spec, arithmetic)
    for program in network.programs:
        strange, finite = Launched(network, program).strange()
        others = np.setdiff1d(np.arange(len(finite)), (3, 7, 20))
        assert np.array_equal(strange[others], finite[others]), program.name
        assert np.isnan(strange[7]).all(), program.name
        # Three products of an infinity are no number, and of relu one remains: see `CupyFused3xTf32Kernel`.
        if spec.output == "identity" and arithmetic != "3xtf32":
            assert np.isfinite(strange[[3, 20]]).all(), program.name


#: Small, because a sanitizer looks at each access; its columns end within a tile, and two rows more within a block. The
#: inputs of the other one come in several chunks.
WATCHED = [SPECS[2], ForwardSpec((200, 17, 5), "relu", "softmax")]


@of_each(*networks(*WATCHED), *SOFTMAX, *ACTIVATIONS[::2])
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_sanitizers_find_nothing(case, sanitizer):
    """One thread of the system for each thread of a block: no race, no access beyond an array, nothing undefined.

    Arrays and shared memory have their exact size.
    """
    for one in launched(case):
        assert one.found_by(sanitizer, one.program.rows_per_block + 2) == "", one.program.name


@pytest.mark.parametrize("products", ACTIVATIONS, ids=str)
def test_what_is_no_finite_number(products):
    """NaN stays NaN, but for a step; the ends are those of the formula."""
    one = replaced()[products]
    x = np.repeat(np.array([[np.nan], [np.inf], [-1e30], [1e30]], products.dtype), products.width, axis=1)
    nan, *ends = one.outputs(x)
    assert (nan == 0 if products.activation.name == "step" else np.isnan(nan)).all()
    assert np.allclose(ends, reference.hidden(products.activation)(x[1:]), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    "spec",
    [
        MNIST,
        ForwardSpec((20, 17, 9, 130), "tanh,silu", "identity", "float64"),
        ForwardSpec((33, 50, 40, 30, 20, 21, 22, 23, 24, 65), ",".join(map(str, _EACH[:8]))),
    ],
    ids=str,
)
def test_the_kernel_that_they_make_with_products_of_numpy(monkeypatch, spec):
    """What lies in buffers before is NaN."""
    cupy = fake_cupy.install(monkeypatch)
    cupy.RawKernel = fake_cupy.computing(CpuRawKernel)
    cupy.empty = lambda shape, dtype: np.full(shape, np.nan, dtype).view(fake_cupy.DeviceArray)
    names = [one.name for one in programs.after_products(spec)]
    assert names.count("bias_activation") == spec.n_layers - (spec.output == "softmax")
    assert check(CupyKernel, spec).max_error_ratio < 1


# What keeps the time: as many operations are done as are counted, and a hold ends

TURNS, CHAINS = 3, peak.CHAINS
#: What one thread adds up when every product is one: to the numbers of its chains, one a step, or the inner length.
STEPS = TURNS * peak.STEPS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_so_many_operations_are_done_as_are_counted(dtype):
    module = CpuRawModule(code=peak.source(dtype))
    begins = sum(range(CHAINS))
    for one in peak.peaks(dtype):
        out = np.full(2 * peak.THREADS, np.nan, dtype)
        module.get_function(one.entry)((2,), (peak.THREADS,), one.arguments(out, TURNS))
        if one.entry == "multiply_adds":
            assert (out == begins + CHAINS * STEPS).all()
            assert one.flop * TURNS == 2 * CHAINS * STEPS
        else:
            inner = {"tf32": 8, "fp16": 16}[one.arithmetic]
            assert (out == 4 * (begins + CHAINS * STEPS * inner)).all(), "four sums of a tile are one thread's"
            assert one.flop * TURNS == 2 * 4 * CHAINS * STEPS * inner
    module.get_function(peak.NOTHING)((1,), (1,), ())


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sanitizers_find_nothing_in_peaks(dtype, sanitizer):
    """In one warp, whose threads write next to each other."""
    module = CpuRawModule(code=peak.source(dtype))
    for one in peak.peaks(dtype):
        out = np.full(32, np.nan, dtype)
        kernel = module.get_function(one.entry)
        assert sanitized(kernel, sanitizer, (1,), (32,), one.arguments(out, 1)) == ""
        assert not np.isnan(out).any()


def test_the_spinning_kernel_ends_when_it_is_told_and_by_itself_and_says_so():
    spin = CpuRawKernel(queue.SOURCE, "hold")
    for flag, most_ns, after in (([1, 0], 10**12, [1, 0]), ([0, 0], 10**6, [0, 1])):
        flags = np.array(flag, np.int32)
        spin((1,), (1,), (flags, np.int64(most_ns)))
        assert flags.tolist() == after, "flag[1] is raised where nobody raised flag[0] in time"
