"""Every fused program on the CPU: right for odd networks and numbers of rows, in any order of threads, and clean."""

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.cuda import programs
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.on_cpu.guarded import guarded, reserved
from support.on_cpu.programs import ORDERS, VARIANTS, Launched, Network, off_by
from support.on_cpu.raw import CpuRawKernel, Launching, compiler

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")]

#: Around the ends of a fragment, a tile and a block.
ROWS = (1, 2, 15, 16, 17, 127, 128, 129, 1000)
#: MNIST, and networks whose sizes are odd, prime, one, or the largest that fit; each activation and output among them.
SPECS = [
    MNIST,
    ForwardSpec((1, 1), output="identity"),
    ForwardSpec((30, 17, 9, 5), "relu", "softmax"),
    ForwardSpec((785, 50, 10), "tanh", "identity"),
    ForwardSpec((64, 128, 128, 128), "sigmoid", "softmax"),
    ForwardSpec((36, 127, 1, 33), "step,gelu", "softmax"),
    ForwardSpec((3,) + (2,) * 8, "silu", "identity"),
    ForwardSpec((7, 100, 51, 19, 11), "leaky-relu:0.2,identity,step", "identity"),
    ForwardSpec((16, 65, 31), "relu", "identity"),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
def test_outputs_are_right_and_the_same_in_every_order_of_threads(spec, arithmetic, pixels):
    """Arrays end where nobody may read or write, outputs are NaN before, and shared memory is."""
    network = Network(spec, arithmetic, pixels)
    in_orders = {1, 17, 129}  # rows that end within a fragment, a tile and a block
    for program in network.programs:
        launched = Launched(network, program)
        for rows in ROWS:
            if rows > 17 and program.up_to == 1:
                continue
            x = network.inputs(rows)
            y = launched.outputs(x)
            assert off_by(y, *network.expected(x)) <= 1, (program.name, rows)
            for order in ORDERS[1:] if rows in in_orders else ():
                assert np.array_equal(launched.outputs(x, order), y), (program.name, rows, order)


@pytest.mark.parametrize(("n_out", "dtype"), [(1, "float32"), (2, "float64"), (10, "float32"), (65, "float64")])
def test_bias_and_softmax_for_any_rows_and_orders(n_out, dtype):
    program = programs.bias_softmax(n_out, dtype)
    kernel = CpuRawKernel(program.source, program.name, program.options)
    numbers = np.random.default_rng(0)
    b = guarded(numbers.normal(size=n_out).astype(dtype))
    for rows in ROWS:
        a = numbers.normal(size=(rows, n_out)).astype(dtype)
        for order in ORDERS:
            kernel.launching.order = order
            y = guarded(a)
            kernel((program.grid(rows),), (program.block,), (y, b, np.int64(rows)))
            assert np.abs(y - reference.softmax(a + b.astype(float))).max() < {"float32": 3e-7, "float64": 1e-15}[dtype]


@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
@pytest.mark.parametrize("spec", [MNIST, ForwardSpec((4, 128), output="identity")], ids=str)
def test_addresses_beyond_what_32_bits_count(spec, arithmetic, pixels):
    """In arrays that are reserved and not touched: of inputs in MNIST, of outputs in the other network."""
    network = Network(spec, arithmetic, pixels)
    rows = 2**31 // max(spec.n_in, spec.n_out) + 1000
    x = reserved((rows, spec.n_in), np.uint8 if pixels else np.float32)
    y = reserved((rows, spec.n_out), np.float32)
    for program in network.programs:
        first = (program.grid(rows) - 1) * program.rows_per_block
        x[first:] = network.inputs(rows - first)
        y[first:] = np.nan
        Launched(network, program).in_large(x, y, rows)
        assert off_by(y[first:], *network.expected(x[first:])) <= 1
        wrapped = (first * spec.n_out) % 2**32 // spec.n_out
        assert not y[:1000].any(), "nothing is written at the start"
        assert wrapped == first or not y[wrapped : wrapped + 1000].any()


def test_bias_and_softmax_beyond_what_32_bits_count():
    program = programs.bias_softmax(10, "float32")
    kernel = CpuRawKernel(program.source, program.name, program.options)
    rows = 2**31 // 10 + 1000
    grid = program.grid(rows)
    first = (grid - 1) * program.rows_per_block
    a, b = reserved((rows, 10), np.float32), np.zeros(10, np.float32)
    kernel.module.launching = Launching(blocks=(grid - 1, grid))
    kernel((grid,), (program.block,), (a, b, np.int64(rows)))
    assert np.allclose(a[first:], 0.1)
    assert not a[:1000].any()


#: Small, because a sanitizer looks at each access; 17 columns end within a tile, two rows more within a block.
WATCHED = ForwardSpec((36, 17, 11, 5))


@pytest.mark.parametrize("sanitizer", ["thread", "address"])
@pytest.mark.parametrize(("arithmetic", "pixels"), [("fp32", False), ("3xtf32", False), ("fp16", False)])
def test_sanitizers_find_nothing(arithmetic, pixels, sanitizer):
    """One thread of the system for each thread of a block: no race, no access beyond an array, nothing undefined."""
    network = Network(WATCHED, arithmetic, pixels)
    for program in network.programs:
        assert Launched(network, program).found_by(sanitizer, program.rows_per_block + 2) == "", program.name
