"""The loop behind the roofs of memory: reading an array, without the GIL.

It uses the widest vectors that the processor has, also where LLVM by itself prefers narrower ones: others do not.
"""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

import numba
from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.numba_calls import as_intrinsic, data, generated
from mlpbench.kernels.numba_simd.codegen.vector import I64, Code

#: Vectors that are read in one turn of the loop, into sums that do not wait for each other.
_READS = 8
#: Arrays are read in blocks of this many bytes, whatever the width of a vector (64 bytes at most).
READ_BYTES = 64 * _READS


def _xor_all(code: Code, arguments: Any) -> None:
    memory, sums, items = arguments
    lanes, builder = code.shape.lanes, code.builder

    def turn(first: Any, totals: list[Any]) -> list[Any]:
        loaded = [code.load(code.address(memory, first, i * lanes)) for i in range(_READS)]
        return [builder.xor(total, _bits(code, x)) for total, x in zip(totals, loaded, strict=True)]

    starts = [ir.Constant(code.integers, [0] * lanes)] * _READS
    for i, total in enumerate(code.loop(I64(0), items, _READS * lanes, starts, turn)):
        at = code.address(sums, i * lanes)
        kept = builder.xor(total, _bits(code, code.load(at)))
        code.store(at, code.vector(builder.bitcast(kept, code.vector_type)))


def _bits(code: Code, x: Any) -> Any:
    return code.builder.bitcast(x.value, code.integers)


@as_intrinsic
def _xor(_context: Any, memory: Any, sums: Any, items: Any) -> Any:
    """Change ``sums`` by the exclusive or of ``items`` reals, a multiple of `READ_BYTES`."""
    return generated("xor_all", _xor_all, memory, sums, items)


def _read(array: Any, sums: Any, times: int) -> None:
    """Read all of an array of float64 ``times`` times into ``sums``, which depend on each item: none can be left out.

    The array is C-contiguous and of whole `READ_BYTES`, as large as ``sums``.
    """
    for _ in range(times):
        _xor(data(array), data(sums), array.size)


#: Compiled when it is first called, and free to run beside itself.
read: Any = numba.njit(nogil=True)(_read)
