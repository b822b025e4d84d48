"""Functions of LLVM that a function which Numba compiles can call: the loops behind the roofs."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mlpbench.kernels.numba_simd.codegen.shape import host_shape
from mlpbench.kernels.numba_simd.codegen.vector import Code, new_function

if TYPE_CHECKING:
    from collections.abc import Callable


def as_intrinsic(function: Callable[..., Any]) -> Any:
    """Make ``function``, which returns a signature and a generator, one that compiled code can call."""
    return intrinsic(function)


def code_for(builder: Any, item: Any) -> Code:
    """Return a `Code` at the builder's place, for Numba's float32 or float64."""
    real = ir.FloatType() if item == types.float32 else ir.DoubleType()
    return Code(builder, host_shape(item.bitwidth // 8), real)


def generated(name: str, write: Any, *arguments: Any) -> Any:
    """Return what an intrinsic returns: its signature, and a generator of a call of the function ``name``.

    ``write(code, arguments)`` writes the function. The first argument is a pointer to reals. An argument that is no
    pointer is an integer.
    """
    kinds = [argument if isinstance(argument, types.CPointer) else types.int64 for argument in arguments]

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        code = code_for(builder, arguments[0].dtype)
        function, body = new_function(builder, f"{name}_f{code.bits}", [value.type for value in values])
        if body is not None:
            inside = Code(body, code.shape, code.real)
            write(inside, function.args)
            body.ret_void()
        builder.call(function, values)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@as_intrinsic
def data(_context: Any, array: Any) -> Any:
    """Return the address of an array's first item, as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, values[0]).data

    return types.CPointer(array.dtype)(array), generate
