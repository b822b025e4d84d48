"""The estimate of `scripts/gpu/ffma_share.py`: of listings made here, whose cycles are counted by hand."""

import ffma_share
import pytest

from mlpbench.kernels.cuda import programs
from mlpbench.kernels.spec import MNIST

PROGRAM = programs.fused(MNIST, "fp32")[-1]
#: Of 7 rows and 13 columns, four inputs: the body of an inner loop.
TILE = ["FFMA.FTZ"] * (4 * 7 * 13)
#: Of 7 rows and 13 columns, 10 outputs.
OUTPUTS = ["FFMA.FTZ"] * (7 * 13 * 10)
USEFUL = 224 * (784 * 50 + 50 * 100 + 100 * 10) / 128


def looped(label, *body):
    """Return the lines of a loop; its last instruction jumps to its first."""
    return [f".L_x_{label}:", *(line for part in body for line in part), f"@!P0 BRA `(.L_x_{label})"]


def listing(*parts):
    """Return what nvdisasm would print of these lines, and the jump to itself with which it ends each kernel."""
    lines = [line for part in parts for line in part] + [".L_x_99:", "BRA `(.L_x_99)"]
    return "\n".join(line if line.startswith(".") else f"        /*0a40*/    {line} ;" for line in lines)


def kernel(inner=(), chunk=()):
    first = looped(0, chunk, looped(1, TILE, inner))
    return listing(["MOV R1, R2"], first, looped(2, looped(3, TILE), OUTPUTS))


def test_instructions_that_are_no_products_cost_their_cycles():
    passes = 2 * (13 * 365 + 910 + 1)
    for inner, chunk, cycles in (
        ([], [], 49 * (4 * 365 + 1)),
        (["@P1 IADD3 R1"], ["BAR.SYNC"], 49 * (4 * 366 + 2)),
        ([], ["LDS.128 R4, [R3]"] * 100, 49 * 1600),  # 512 bytes each, for the four quarters 16 cycles
        (["MUFU.EX2 R4"] * 60, [], 49 * 4 * 8 * 60),
    ):
        found = ffma_share.share(kernel(inner, chunk), PROGRAM, 90)
        assert found == pytest.approx(USEFUL / (1 + cycles + passes + 1))
    cycles = 1 + 2 * (49 * 4 * 364 + 2 * (13 * 364 + 910)) + 1
    assert ffma_share.share(kernel(), PROGRAM, 80) == pytest.approx(2 * USEFUL / cycles), "64 units take two each"
    with pytest.raises(ValueError, match="products in the loops found, where 79100 are useful"):
        ffma_share.share(listing(looped(0, TILE), looped(2, looped(3, TILE))), PROGRAM, 90)
