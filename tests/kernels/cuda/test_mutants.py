"""Faults planted in the text of the device kernels, some for each check: it finds them."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from on_cpu.programs import ORDERS, Launched, Network, Products, off_by
from on_cpu.raw import CpuRawModule, LaunchError, compiler

from mlpbench.kernels.spec import MNIST, Activation, ForwardSpec

SMALL = ForwardSpec((33, 50, 21, 10))
#: With 100 columns, the last float of shared memory is used.
TIGHT = ForwardSpec((33, 50, 100, 10))
#: Its inputs come in several chunks.
CHUNKS = ForwardSpec((200, 17, 5))
RELU, FILLED = ForwardSpec((36, 17, 5), "relu"), ForwardSpec((36, 50, 10), "sigmoid", "identity")
RACE = """        __syncthreads(); /* this chunk is there for all warps, and nobody reads the one before it any more */
        if (chunk + 1 < CHUNKS) begin_chunk(buffers + (chunk + 1) % 2 * buffer, weights, chunk + 1);
"""
RACE_MOVED = "".join(reversed(RACE.splitlines(keepends=True)))


@dataclass(frozen=True)
class Mutant:
    """A fault: which program has it, the text that is changed, and the check that finds it."""

    what: str
    arithmetic: str
    program: str
    old: str
    new: str
    check: str
    of: ForwardSpec | Products = SMALL


_GELU = Activation("gelu")
# fmt: off
MUTANTS = [Mutant(*row) for row in (
    ("barrier between two buffers dropped", "fp32", "mlp_ffma",
     "__syncthreads(); /* the other buffer", "/* the other buffer", "orders"),
    ("the same, under a sanitizer", "fp32", "mlp_ffma",
     "__syncthreads(); /* the other buffer", "/* the other buffer", "threads"),
    ("barrier for one thread alone", "fp32", "mlp_ffma_few",
     "reduce<L>(sums);", "if (threadIdx.x) reduce<L>(sums);", "barriers"),
    ("no guard for rows that are read", "fp32", "mlp_ffma", "if (copied || items <= last)", "if (true)", "ends"),
    ("shared memory 4 bytes short", "fp32", "mlp_ffma", "", "", "shared memory", TIGHT),
    ("shared memory that nobody wrote", "fp32", "mlp_ffma",
     "int(threadIdx.x)) < w_step;", "int(threadIdx.x)) < w_step - 12;", "outputs"),
    ("four floats at an address that 16 does not divide", "fp32", "mlp_ffma",
     "#define BK_ROW (BK + 4)", "#define BK_ROW (BK + 3)", "undefined"),
    ("row times inputs in 32 bits", "fp32", "mlp_ffma",
     "x += first * width(0);", "x += int(first) * width(0);", "large arrays", MNIST),
    ("halves of a word exchanged", "fp16", "mlp_mma_few", '"f"(high), "f"(low)', '"f"(low), "f"(high)', "outputs"),
    ("sum of a warp without its shuffle", "fp32", "mlp_ffma_few",
     "sum += __shfl_xor_sync(0xffffffffu, sum, distance);", "sum += sum;", "outputs"),
    ("copies that are not waited for", "3xtf32", "mlp_mma", "        copies_done();\n", "", "outputs"),
    ("a bias that is not scaled with its inputs", "fp32", "mlp_ffma",
     "fmaf(sum, INPUT_SCALE, bias)", "INPUT_SCALE * (sum + bias)", "bytes"),
    ("no guard for rows that are written", "fp32", "bias_activation",
     "(rows - first < ROWS ? int(rows - first) : ROWS)", "ROWS", "ends", Products(50, _GELU)),
    ("maximum of a warp without its shuffle", "fp32", "bias_softmax",
     "most = larger(__shfl_xor_sync(0xffffffffu, most, distance), most);", ";", "outputs", Products(65)),
    ("the next chunk begun before its barrier", "tf32", "mlp_mma", RACE, RACE_MOVED, "threads", CHUNKS),
    ("the same, with copies that arrive early", "tf32", "mlp_mma", RACE, RACE_MOVED, "orders", CHUNKS),
    ("softmax without its maximum", "fp32", "mlp_ffma", "fast_exp(mine[j] - most)", "fast_exp(mine[j])", "loud"),
    ("a maximum that begins at 0", "tf32", "mlp_mma", "float most = -3.402823e38f", "float most = 0.0f", "loud"),
    ("relu that makes 0 of NaN", "fp32", "mlp_ffma", "return a < 0.0f ? 0.0f : a;", "return a > 0.0f ? a : 0.0f;",
     "strange", RELU),
    ("columns that fill up a tile are not zero", "fp32", "mlp_ffma",
     "if (!full && at >= n) a[i] = 0.0f;", "", "strange", FILLED),
    ("the same on tensor cores", "tf32", "mlp_mma", "8 * tile + 2 * q + i % 2 >= width(L) ? 0.0f : ", "", "strange",
     FILLED),
)]
# fmt: on
#: Words of the errors that are checks of their own.
WORDS = {
    "barriers": "never opens",
    "ends": "which is neither shared memory nor an array's",
    "shared memory": "of dynamic shared memory, which has",
    "undefined": "undefined|does not divide",
}


@cache
def launched():
    """Return every mutant's program; compiled in one go, but for those of a sanitizer, which are compiled once more."""
    found = {}
    for mutant in MUTANTS:
        is_network = isinstance(mutant.of, ForwardSpec)
        loud = -1000.0 if mutant.check == "loud" and mutant.program == "mlp_mma" else 200.0
        given = (mutant.of, mutant.arithmetic, mutant.check == "bytes", loud if mutant.check == "loud" else None)
        network = Network(*given) if is_network else mutant.of
        program = next(one for one in reversed(network.programs) if one.name == mutant.program)
        if not mutant.old:
            program = replace(program, shared_bytes=program.shared_bytes - 4)
        found[mutant] = Launched(network, program, (mutant.old, mutant.new) if mutant.old else None)
    CpuRawModule.together([one.kernel.module for mutant, one in found.items() if mutant.check != "threads"])
    return found


def is_found(mutant):
    one = launched()[mutant]
    network, full = one.network, one.program.rows_per_block
    if mutant.check == "threads":
        return "data race" in one.found_by("thread", full)
    if mutant.check == "large arrays":
        with suppress(LaunchError):
            return one.in_large()[-1] > 1
        return True
    if mutant.check == "strange":
        strange, finite = one.strange()
        is_sound = np.isnan(strange[7]).all() and np.isfinite(strange[[3, 20]]).all()
        return not is_sound or not np.array_equal(strange[0], finite[0])
    for rows in (1, full, 2 * full + 1):
        x = network.inputs(rows)
        y = one.outputs(x)
        if off_by(y, *network.expected(x)) > 1:
            return mutant.check in ("outputs", "bytes", "orders", "loud")
        if mutant.check == "orders" and any(not np.array_equal(one.outputs(x, order), y) for order in ORDERS[1:]):
            return True
    return False


@pytest.mark.heavy
@pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.program}-{one.what}-{one.check}")
def test_each_is_found(mutant):
    if mutant.check in WORDS:
        with pytest.raises(LaunchError, match=WORDS[mutant.check]):
            is_found(mutant)
    else:
        assert is_found(mutant)
