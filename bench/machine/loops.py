"""The loops behind the roofs: multiply-adds in registers, and reading an array. Compiled by Numba, without the GIL.

Both use the widest vectors that the processor has, also where LLVM by itself prefers narrower ones: others do not.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from mlpbench.kernels.numba_simd.codegen.shape import host_shape

#: Sums that do not wait for each other. Two FMA units with a latency of 4 or 5 cycles need 10 (A. Fog, *Instruction
#: tables*); with the factor and the addend they fit into 16 registers.
_CHAINS = 12
#: Vectors that are read in one turn of the loop, into sums that do not wait for each other.
_READS = 8
#: Arrays are read in blocks of this many bytes, whatever the width of a vector (64 bytes at most).
READ_BYTES = 64 * _READS


def _register_chains(_typing: Any, start: Any, factor: Any, addend: Any, _steps: Any) -> Any:
    """Return the sum of `_CHAINS` vectors after so many steps of v = v * factor + addend, all of it in registers."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, by, plus, n = arguments
        item = context.get_data_type(start)
        size = context.get_abi_sizeof(item)
        lanes = host_shape(size).lanes
        vector = ir.VectorType(item, lanes)
        signature = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, signature, f"llvm.fma.v{lanes}f{8 * size}")
        zero = ir.Constant(ir.IntType(32), 0)

        def everywhere(value: Any) -> Any:
            one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, zero)
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)

        chains = [cgutils.alloca_once(builder, vector) for _ in range(_CHAINS)]
        value = first
        for chain in chains:
            builder.store(everywhere(value), chain)
            value = builder.fadd(value, plus)  # all different: equal chains would be computed once
        factors, addends = everywhere(by), everywhere(plus)
        with cgutils.for_range(builder, n):
            for chain in chains:
                builder.store(builder.call(fma, [builder.load(chain), factors, addends]), chain)
        total = ir.Constant(vector, [0.0] * lanes)
        for chain in chains:
            total = builder.fadd(total, builder.load(chain))
        result = builder.extract_element(total, zero)
        for lane in range(1, lanes):
            result = builder.fadd(result, builder.extract_element(total, ir.Constant(ir.IntType(32), lane)))
        return result

    return start(start, factor, addend, types.intp), generate


_chains: Any = intrinsic(_register_chains)


def flop_per_step(itemsize: int) -> int:
    """Return the floating-point operations of one step of `multiply_add`, for items of that many bytes."""
    return 2 * _CHAINS * host_shape(itemsize).lanes


def _multiply_add(start: Any, factor: Any, addend: Any, steps: int) -> Any:
    """Multiply and add in registers, ``steps`` times in each of the chains; the arguments are of one float type."""
    return _chains(start, factor, addend, steps)


def _xor_all(_typing: Any, array: Any) -> Any:
    """Return the exclusive or of all items of a contiguous array of int64, whole `READ_BYTES` only, by vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array_type = signature.args[0]
        found = make_array(array_type)(context, builder, arguments[0])
        lanes = host_shape(8).lanes
        vector = ir.VectorType(ir.IntType(64), lanes)
        start = builder.bitcast(found.data, vector.as_pointer())
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * lanes)) for _ in range(_READS)]
        blocks = builder.udiv(found.nitems, ir.Constant(found.nitems.type, _READS * lanes))
        with cgutils.for_range(builder, blocks) as loop:
            first = builder.mul(loop.index, ir.Constant(loop.index.type, _READS))
            for i, total in enumerate(sums):
                at = builder.gep(start, [builder.add(first, ir.Constant(first.type, i))])
                loaded = builder.load(at, align=8)
                builder.store(builder.xor(builder.load(total), loaded), total)
        whole = builder.load(sums[0])
        for total in sums[1:]:
            whole = builder.xor(whole, builder.load(total))
        result = builder.extract_element(whole, ir.Constant(ir.IntType(32), 0))
        for lane in range(1, lanes):
            result = builder.xor(result, builder.extract_element(whole, ir.Constant(ir.IntType(32), lane)))
        return result

    return types.int64(array), generate


_xor: Any = intrinsic(_xor_all)


def _read(array: Any, times: int) -> Any:
    """Read all of an array of int64 ``times`` times; return what depends on each item, so that none can be left out.

    The array is C-contiguous; items after the last whole `READ_BYTES` are not read.
    """
    total = 0
    for turn in range(times):
        total += _xor(array) ^ turn
    return total


#: Compiled for whatever types they are called with, and free to run beside each other.
multiply_add: Any = numba.njit(nogil=True)(_multiply_add)
read: Any = numba.njit(nogil=True)(_read)
