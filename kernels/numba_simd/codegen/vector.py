"""Vectors of LLVM, as Python values with operators: a formula over them writes the instructions that compute it.

Nothing here runs when the network does. `Code` stands at a point of a function that is being written, and ``x * y + z``
on its vectors appends a multiplication and an addition there.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.scalar import I1, I8, I32, I64, Scalar, plain, scalars
from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.spec import Activation


class Vector:
    """One LLVM vector of reals. Its operators write instructions through the `Code` it belongs to."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code = code
        self.value = value

    def _with(self, value: Any) -> Vector:
        return self.code.vector(value)

    def _other(self, other: Vector | float) -> Any:
        return other.value if isinstance(other, Vector) else self.code.constant(other).value

    def __add__(self, other: Vector | float) -> Vector:
        return self._with(self.code.builder.fadd(self.value, self._other(other)))

    def __sub__(self, other: Vector | float) -> Vector:
        return self._with(self.code.builder.fsub(self.value, self._other(other)))

    def __mul__(self, other: Vector | float) -> Vector:
        return self._with(self.code.builder.fmul(self.value, self._other(other)))

    def __truediv__(self, other: Vector | float) -> Vector:
        return self._with(self.code.builder.fdiv(self.value, self._other(other)))

    def __neg__(self) -> Vector:
        return self._with(self.code.builder.fneg(self.value))

    def compare(self, operator: str, other: Vector | float) -> Any:
        """Return a mask: lanes in which ``self operator other``; False where either is NaN."""
        return self.code.builder.fcmp_ordered(operator, self.value, self._other(other))

    def where(self, mask: Any, other: Vector | float) -> Vector:
        """Return this vector in the lanes of ``mask``, and ``other`` in the rest."""
        return self._with(self.code.builder.select(mask, self.value, self._other(other)))

    def at_least(self, low: Vector | float) -> Vector:
        """Return the larger of both; NaN stays NaN. One instruction."""
        return self.code.as_vector(low).where(self.compare("<", low), self)

    def at_most(self, high: Vector | float) -> Vector:
        """Return the smaller of both; NaN stays NaN. One instruction."""
        return self.code.as_vector(high).where(self.compare(">", high), self)

    def times_plus(self, factor: Vector | float, term: Vector | float) -> Vector:
        """Return ``self * factor + term``: rounded once where the processor has FMA, else twice."""
        if not self.code.shape.fma:
            return self * factor + term
        return self._with(self.code.call("llvm.fma", self.value, self._other(factor), self._other(term)))

    def sum(self) -> Any:
        """Return the sum of all lanes, a scalar, added pairwise."""
        return self._halve(lambda x, y: x + y)

    def largest(self) -> Any:
        """Return the largest lane, a scalar; any of them where one is NaN."""
        return self._halve(lambda x, y: y.at_least(x))

    def bits_or(self, other: Vector) -> Vector:
        """Return a vector whose bits are set where either's are: zero only where both are zero."""
        code, builder = self.code, self.code.builder
        mine, others = (builder.bitcast(x.value, code.integers) for x in (self, other))
        return self._with(builder.bitcast(builder.or_(mine, others), code.vector_type))

    def any_bit(self) -> Any:
        """Return a mask: lanes of which any bit is set. Those of -0.0 and NaN are among them."""
        integers = self.code.builder.bitcast(self.value, self.code.integers)
        return self.code.builder.icmp_unsigned("!=", integers, ir.Constant(self.code.integers, None))

    def _halve(self, combine: Callable[[Vector, Vector], Vector]) -> Any:
        code, lanes, x = self.code, self.code.shape.lanes, self
        while lanes > 1:
            lanes //= 2
            order = [i + lanes if i < lanes else i for i in range(code.shape.lanes)]
            x = combine(x, x.shuffled(order))
        return code.builder.extract_element(x.value, I32(0))

    def shuffled(self, order: list[int], other: Vector | None = None) -> Vector:
        """Return the lanes in another order; behind them are those of ``other``."""
        mask = ir.Constant(ir.VectorType(I32, len(order)), order)
        return self._with(self.code.builder.shuffle_vector(self.value, (other or self).value, mask))


class Code:
    """A point in a function of LLVM at which instructions are appended, for vectors of one shape and type.

    ``others``: the activations that the program has besides those of every program.
    """

    def __init__(self, builder: Any, shape: Shape, real: Any, others: tuple[Activation, ...] = ()) -> None:
        self.builder = builder
        self.shape = shape
        self.others = others
        #: The type of a lane: float or double.
        self.real = real
        self.bits = 32 if isinstance(real, ir.FloatType) else 64
        self.vector_type = ir.VectorType(real, shape.lanes)
        self.integers = ir.VectorType(ir.IntType(self.bits), shape.lanes)

    @property
    def kind(self) -> str:
        """What lanes hold, in the names of functions."""
        return f"f{self.bits}"

    def at(self, builder: Any) -> Self:
        """Return the point at which a builder stands, in the same program."""
        return type(self)(builder, self.shape, self.real, self.others)

    def vector(self, value: Any) -> Vector:
        """Return a value of LLVM as a `Vector`."""
        return Vector(self, value)

    def plus(self, x: Any, y: Any) -> Any:
        """Return the sum of two scalars of LLVM."""
        return self.builder.fadd(x, y)

    def constant(self, value: float) -> Vector:
        """Return a vector with ``value`` in every lane."""
        return self.vector(ir.Constant(self.vector_type, [ir.Constant(self.real, value)] * self.shape.lanes))

    def as_vector(self, x: Vector | float) -> Vector:
        """Return ``x``, in every lane if it is a number."""
        return x if isinstance(x, Vector) else self.constant(x)

    def splat(self, scalar: Any) -> Vector:
        """Return a vector with a scalar of LLVM in every lane."""
        undefined = ir.Constant(self.vector_type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.shape.lanes), [0] * self.shape.lanes)
        return self.vector(self.builder.shuffle_vector(first, undefined, zeros))

    def address(self, pointer: Any, *offsets: Any) -> Any:
        """Return ``pointer`` moved on by the sum of ``offsets`` items, each a number or an integer of LLVM."""
        pointer = plain(pointer)
        for offset in offsets:
            if not (isinstance(offset, int) and offset == 0):
                pointer = self.builder.gep(pointer, [plain(offset)])
        return pointer

    def load_scalar(self, pointer: Any) -> Any:
        """Return the item at ``pointer``."""
        return self.builder.load(plain(pointer), align=self.bits // 8)

    def _cast(self, pointer: Any) -> Any:
        return self.builder.bitcast(plain(pointer), self.vector_type.as_pointer())

    def load(self, pointer: Any, *, aligned: bool = False) -> Vector:
        """Return the vector at ``pointer``, which is a multiple of the vector's size if ``aligned``."""
        align = self.bits // 8 * (self.shape.lanes if aligned else 1)
        return self.vector(self.builder.load(self._cast(pointer), align=align))

    def store(self, pointer: Any, x: Vector, *, aligned: bool = False) -> None:
        """Write a vector to ``pointer``."""
        align = self.bits // 8 * (self.shape.lanes if aligned else 1)
        self.builder.store(x.value, self._cast(pointer), align=align)

    def first_lanes(self, count: Any) -> Any:
        """Return the mask of the first ``count`` lanes, an integer of LLVM."""
        indices = ir.Constant(ir.VectorType(I32, self.shape.lanes), list(range(self.shape.lanes)))
        undefined = ir.Constant(indices.type, ir.Undefined)
        first = self.builder.insert_element(undefined, self.builder.trunc(plain(count), I32), I32(0))
        zeros = ir.Constant(indices.type, [0] * self.shape.lanes)
        return self.builder.icmp_signed("<", indices, self.builder.shuffle_vector(first, undefined, zeros))

    def load_masked(self, pointer: Any, mask: Any, other: float = 0.0) -> Vector:
        """Return what is at ``pointer`` in the lanes of ``mask``, ``other`` in the rest, which is not read."""
        function = self._intrinsic(
            "llvm.masked.load", ".p0", self.vector_type, [self._cast(pointer).type, I32, mask.type, self.vector_type]
        )
        arguments = [self._cast(pointer), I32(self.bits // 8), mask, self.constant(other).value]
        return self.vector(self.builder.call(function, arguments))

    def fetch(self, pointer: Any) -> None:
        """Ask for the cache line at ``pointer`` to be brought to the second-level cache, if there is such a line."""
        place = self.builder.bitcast(plain(pointer), I8.as_pointer())
        function = self.declare("llvm.prefetch.p0", ir.VoidType(), [place.type, I32, I32, I32])
        self.builder.call(function, [place, I32(0), I32(2), I32(1)])  # to read; locality 2 of 3; data

    def store_part(self, pointer: Any, x: Vector, mask: Any | None) -> None:
        """Write the lanes of ``mask`` to ``pointer``, and no other lanes; without a mask, all lanes."""
        if mask is None:
            self.store(pointer, x)
            return
        place = self._cast(pointer)
        function = self._intrinsic(
            "llvm.masked.store", ".p0", ir.VoidType(), [self.vector_type, place.type, I32, mask.type]
        )
        self.builder.call(function, [x.value, place, I32(self.bits // 8), mask])

    def _intrinsic(self, name: str, ending: str, result: Any, arguments: list[Any]) -> Any:
        return self.declare(f"{name}.v{self.shape.lanes}f{self.bits}{ending}", result, arguments)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of LLVM that takes vectors and returns one, such as ``llvm.fma``."""
        function = self._intrinsic(name, "", self.vector_type, [argument.type for argument in arguments])
        return self.builder.call(function, list(arguments))

    def call_function(self, function: Any, *arguments: Any) -> Scalar:
        """Call a function of the module."""
        return Scalar(self.builder, self.builder.call(function, [plain(argument) for argument in arguments]))

    def declare(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """Return the function ``name`` of the module, declared if it is not there yet."""
        known = self.builder.module.globals.get(name)
        return known or ir.Function(self.builder.module, ir.FunctionType(result, arguments), name)

    def switch(self, value: Any, cases: dict[int, Callable[[], None]]) -> None:
        """Write the case for ``value``, an integer of LLVM; where there is none, nothing is done."""
        builder = self.builder
        after = builder.append_basic_block("after")
        switch = builder.switch(plain(value), after)
        for number, write in cases.items():
            block = builder.append_basic_block("case")
            switch.add_case(I64(number), block)
            builder.position_at_end(block)
            write()
            builder.branch(after)
        builder.position_at_end(after)

    def loop(self, start: Any, stop: Any, step: int, carried: list[Any],
             body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:  # fmt: skip
        """Write ``for k in range(start, stop, step): carried = body(k, carried)``; return the last ``carried``.

        Counters are integers of LLVM, 64 bits. What is carried from turn to turn stays in registers.
        """
        builder = self.builder
        before = builder.block
        head, inside, after = (builder.append_basic_block(name) for name in ("loop", "turn", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        counter = builder.phi(I64)
        phis = [builder.phi(value.type) for value in carried]
        builder.cbranch(builder.icmp_signed("<", counter, plain(stop)), inside, after)
        builder.position_at_end(inside)
        results = body(counter, list(phis))
        following = builder.add(counter, I64(step), flags=("nsw",))
        for phi, first, later in zip([counter, *phis], [start, *carried], [following, *results], strict=True):
            phi.add_incoming(plain(first), before)
            phi.add_incoming(later, builder.block)
        builder.branch(head)
        builder.position_at_end(after)
        return list(phis)


def new_function(builder: Any, name: str, arguments: list[Any], result: Any = None) -> tuple[Any, Any]:
    """Return the function ``name`` of the module being written, and a builder for its body; None if it has a body.

    The function is the module's own and is never inlined: its registers do not compete with those of its callers.
    """
    known = builder.module.globals.get(name)
    if known:
        return known, None
    function = ir.Function(builder.module, ir.FunctionType(result or ir.VoidType(), arguments), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    function.attributes.add("nounwind")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def routine(write: Any) -> Any:
    """Make of ``write(code, *arguments)`` a function of the module. To call it appends a call at the place of ``code``.

    Its body is written where it is called first, with its arguments as `Scalar`s. What is given by name is no argument
    of the function: there is one function for each of its values. If ``write`` returns something, it is an integer.
    """

    @wraps(write)
    def call(code: Code, *arguments: Any, **fixed: Any) -> Any:
        values = [plain(argument) for argument in arguments]
        values = [code.builder.zext(value, I64) if value.type == I1 else value for value in values]
        name = "_".join([write.__name__, *(name for name, value in fixed.items() if value), code.kind])
        result = I64 if write.__annotations__["return"] not in (None, "None") else None
        function, builder = new_function(code.builder, name, [value.type for value in values], result)
        if builder is not None:
            inside = code.at(builder)
            returned = write(inside, *scalars(builder, function.args), **fixed)
            inside.builder.ret_void() if result is None else inside.builder.ret(plain(returned))
        return Scalar(code.builder, code.builder.call(function, values))

    return call
