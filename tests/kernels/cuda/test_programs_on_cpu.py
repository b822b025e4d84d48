"""Every fused program on the CPU: right for odd networks and numbers of rows, in any order of threads, and clean."""

from typing import get_args

import numpy as np
import pytest

from mlpbench.kernels.spec import HIDDEN, MNIST, ForwardSpec, Output
from support.on_cpu.programs import ORDERS, ROWS, VARIANTS, all_launched, off_by
from support.on_cpu.raw import SANITIZERS, compiler

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


def test_every_activation_and_output_is_among_them():
    assert {one.name for spec in SPECS for one in spec.activations} == set(HIDDEN)
    assert {spec.output for spec in SPECS} == set(get_args(Output))


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
def test_outputs_are_right_and_the_same_in_every_order_of_threads(spec, arithmetic, pixels):
    """Arrays end where nobody may read or write, outputs are NaN before, and shared memory is.

    Forward, all blocks run. In the other orders the first block runs and the last one, each alone: the blocks between
    are full as the first one is, and no block depends on another (`test_blocks_do_not_depend_on_each_other`).
    """
    launched = all_launched(spec)[arithmetic, pixels]
    network = launched[0].network
    x = network.inputs(max(ROWS))
    right = network.expected(x)
    for one in launched:
        for rows in ROWS:
            y = one.outputs(x[:rows])
            assert off_by(y, *(part[:rows] for part in right)) <= 1, (one.program.name, rows)
            blocks = tuple(sorted({0, one.program.grid(rows) - 1}))
            ran = one.rows_of(blocks, rows)
            for order in ORDERS[1:]:
                again = one.outputs(x[:rows], order, blocks)
                assert np.array_equal(again[ran], y[ran]), (one.program.name, rows, order)
                assert np.isnan(again[~ran]).all(), "a block writes its own rows alone"


@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
@pytest.mark.parametrize("spec", [SPECS[2], SPECS[6]], ids=str)
def test_blocks_do_not_depend_on_each_other(spec, arithmetic, pixels):
    """All in reverse, and each alone in a random order of threads: the same bits as all in a row."""
    for one in all_launched(spec)[arithmetic, pixels]:
        x = one.network.inputs(1000)
        y = one.outputs(x)
        assert np.array_equal(one.outputs(x, 1), y), one.program.name
        alone = tuple(reversed(range(one.program.grid(len(x)))))
        assert np.array_equal(one.outputs(x, 2, alone), y), one.program.name


@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
@pytest.mark.parametrize("spec", [MNIST, SPECS[4]], ids=str)
def test_addresses_beyond_what_32_bits_count(spec, arithmetic, pixels):
    """Of inputs in MNIST, of outputs in the other network."""
    for one in all_launched(spec)[arithmetic, pixels]:
        y, first, off = one.in_large()
        assert off <= 1
        wrapped = (first * spec.n_out) % 2**32 // spec.n_out
        assert not y[:1000].any(), "nothing is written at the start"
        assert wrapped == first or not y[wrapped : wrapped + 1000].any()


#: Small, because a sanitizer looks at each access; its columns end within a tile, and two rows more within a block.
WATCHED = SPECS[2]


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize(("arithmetic", "pixels"), VARIANTS)
def test_sanitizers_find_nothing(arithmetic, pixels, sanitizer):
    """One thread of the system for each thread of a block: no race, no access beyond an array, nothing undefined.

    Arrays and shared memory have their exact size.
    """
    for one in all_launched(WATCHED)[arithmetic, pixels]:
        assert one.found_by(sanitizer, one.program.rows_per_block + 2) == "", one.program.name
