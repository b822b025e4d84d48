"""Integers, truths and pointers of LLVM, as Python values with operators; loops and branches as ``with`` blocks.

Written with them, a loop over the layers of a network reads as a loop in Python. As with `vector.Vector`, nothing here
runs when the network does: an operator or a ``with`` appends instructions to the function that is being written. Where
all operands are numbers of Python, so is the result.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from llvmlite import ir

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


class Scalar:
    """An integer of 64 bits, a truth or a pointer. Operators count items: ``x + 2`` is the place of ``x[2]``."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def _of(self, write: Any, other: Any, *, swapped: bool = False) -> Scalar:
        pair = self.value, plain(other)
        return Scalar(self.builder, write(*(pair[::-1] if swapped else pair)))

    def _compared(self, operator: str, other: Any) -> Scalar:
        return Scalar(self.builder, self.builder.icmp_signed(operator, self.value, plain(other)))

    def __add__(self, other: Any) -> Self:
        is_pointer = isinstance(self.value.type, ir.PointerType)
        write = self.builder.gep if is_pointer else self.builder.add
        return type(self)(self.builder, write(self.value, [plain(other)] if is_pointer else plain(other)))

    def __sub__(self, other: Any) -> Scalar:
        return self._of(self.builder.sub, other)

    def __mul__(self, other: Any) -> Scalar:
        return self._of(self.builder.mul, other)

    def __floordiv__(self, other: Any) -> Scalar:
        """Return the quotient of numbers that are not negative."""
        return self._of(self.builder.sdiv, other)

    def __and__(self, other: Any) -> Scalar:
        return self._of(self.builder.and_, other)

    def __or__(self, other: Any) -> Scalar:
        return self._of(self.builder.or_, other)

    def __radd__(self, other: Any) -> Scalar:
        return self._of(self.builder.add, other)

    def __rsub__(self, other: Any) -> Scalar:
        return self._of(self.builder.sub, other, swapped=True)

    def __rmul__(self, other: Any) -> Scalar:
        return self._of(self.builder.mul, other)

    def __neg__(self) -> Scalar:
        return 0 - self

    def __lt__(self, other: Any) -> Scalar:
        return self._compared("<", other)

    def __le__(self, other: Any) -> Scalar:
        return self._compared("<=", other)

    def __gt__(self, other: Any) -> Scalar:
        return self._compared(">", other)

    def __ge__(self, other: Any) -> Scalar:
        return self._compared(">=", other)

    def __eq__(self, other: object) -> Scalar:  # type: ignore[override]
        return self._compared("==", other)

    def __ne__(self, other: object) -> Scalar:  # type: ignore[override]
        return self._compared("!=", other)

    def __getitem__(self, item: Any) -> Scalar:
        return Scalar(self.builder, self.builder.load((self + item).value))

    def address_of(self, item: Any) -> Scalar:
        """Return an address, an integer, as a pointer to items of a type of LLVM."""
        return Scalar(self.builder, self.builder.inttoptr(self.value, item.as_pointer()))


def scalars(builder: Any, values: Any) -> list[Scalar]:
    """Return values of LLVM, such as the arguments of a function, as `Scalar`s."""
    return [Scalar(builder, value) for value in values]


def plain(x: Any) -> Any:
    """Return a `Scalar` or a number as a value of LLVM."""
    return x.value if isinstance(x, Scalar) else I64(int(x)) if isinstance(x, int) else x


def where(condition: Any, x: Any, y: Any) -> Any:
    """Return x where the condition is true, else y."""
    if isinstance(condition, Scalar):
        kind = type(x) if isinstance(x, Scalar) else Scalar
        return kind(condition.builder, condition.builder.select(condition.value, plain(x), plain(y)))
    return x if condition else y


def least(x: Any, y: Any) -> Any:
    """Return the smaller of two integers."""
    return where(x < y, x, y)


def most(x: Any, y: Any) -> Any:
    """Return the larger of two integers."""
    return where(x < y, y, x)


class Variable:
    """What changes from turn to turn: ``now`` is its value. LLVM keeps it in a register."""

    def __init__(self, code: Any, start: Any) -> None:
        self._builder = code.builder
        self._kind = type(start) if isinstance(start, Scalar) else Scalar
        with self._builder.goto_entry_block():
            self._place = self._builder.alloca(plain(start).type)
        self.now = start

    @property
    def now(self) -> Any:
        """The value at this point of the function."""
        return self._kind(self._builder, self._builder.load(self._place))

    @now.setter
    def now(self, value: Any) -> None:
        self._builder.store(plain(value), self._place)


@contextmanager
def turns(code: Any, condition: Callable[[], Scalar]) -> Iterator[None]:
    """Write a loop that goes on while a condition, written anew for each turn, holds."""
    builder = code.builder
    head, inside, after = (builder.append_basic_block(name) for name in ("loop", "turn", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    builder.cbranch(condition().value, inside, after)
    builder.position_at_end(inside)
    yield
    builder.branch(head)
    builder.position_at_end(after)


@contextmanager
def each(code: Any, start: Any, stop: Any, step: Any = 1) -> Iterator[Scalar]:
    """Write a loop over integers; ``for k in range(start, stop, step):`` in Python."""
    count = Variable(code, start)
    with turns(code, lambda: count.now < stop):
        k = count.now
        yield k
        count.now = code.builder.add(k.value, plain(step), flags=("nsw",))


@contextmanager
def when(condition: Any) -> Iterator[None]:
    """Write what is done where the condition is true."""
    with condition.builder.if_then(condition.value):
        yield


def either(condition: Any) -> Any:
    """Write two branches: what is done ``with`` the first of both where the condition is true, else with the second."""
    return condition.builder.if_else(condition.value)
