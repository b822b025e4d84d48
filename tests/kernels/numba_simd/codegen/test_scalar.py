"""Values with operators, loops and branches that write LLVM code: what they compute is what Python computes."""

import operator

import numpy as np
import pytest

from mlpbench.kernels.numba_simd.codegen.scalar import (
    I64,
    Scalar,
    Variable,
    each,
    either,
    least,
    most,
    turns,
    when,
    where,
)

PAIRS = [(7, 3), (3, 7), (12, 4), (5, 5), (0, 9)]
ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.and_, operator.or_)
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)


@pytest.mark.parametrize("does", [*ARITHMETIC, *COMPARISONS])
def test_operators_of_two_values_and_of_a_value_and_a_number(made, does):
    both, number = made(lambda _, x, y: does(x, y)), made(lambda _, x, y: does(x, 4))
    for x, y in PAIRS:
        if y:
            assert both(x, y) == does(x, y)
        assert number(x, y) == does(x, 4)


def test_operators_of_a_number_and_a_value(made):
    found = made(lambda _, x, y: (100 - x) * 1000 + (5 + x) * 10 + 2 * y)
    assert found(7, 3) == (100 - 7) * 1000 + (5 + 7) * 10 + 2 * 3
    assert made(lambda _, x, y: -x - y)(7, 3) == -10


def test_a_choice_of_values_is_one_of_numbers_where_all_are_numbers(made):
    chosen = made(lambda _, x, y: where(x < y, x * 10, y) + least(x, y) * 1000 + most(x, y) * 100_000)
    for x, y in PAIRS:
        assert chosen(x, y) == (x * 10 if x < y else y) + min(x, y) * 1000 + max(x, y) * 100_000
    assert (where(True, 3, 4), where(False, 3, 4), least(2, 3), most(2, 3)) == (3, 4, 2, 3)


@pytest.mark.parametrize(("start", "stop", "step"), [(0, 5, 1), (2, 17, 4), (3, 3, 1), (9, 2, 1)])
def test_a_loop_goes_through_the_integers_of_a_range(made, start, stop, step):
    def write(code, first, end):
        digits = Variable(code, 1)
        with each(code, first, end, step) as k:
            digits.now = digits.now * 100 + k
        return digits.now

    expected = 1
    for k in range(start, stop, step):
        expected = expected * 100 + k
    assert made(write)(start, stop) == expected


def test_a_loop_goes_on_while_its_condition_holds(made):
    """Euclid's algorithm: the greatest common divisor."""

    def write(code, x, y):
        a, b = Variable(code, x), Variable(code, y)
        with turns(code, lambda: b.now != 0):
            rest = a.now - (a.now // b.now) * b.now
            a.now, b.now = b.now, rest
        return a.now

    assert [made(write)(*pair) for pair in ((48, 36), (17, 5), (9, 0))] == [12, 1, 9]


def test_branches_are_taken_where_their_condition_is_true(made):
    def write(code, x, y):
        found = Variable(code, 0)
        with when(x > y):
            found.now = found.now + 1
        with either(x == 5) as (then, other):
            with then:
                found.now = found.now + 10
            with other:
                found.now = found.now + 20
        return found.now

    assert [made(write)(*pair) for pair in ((7, 3), (5, 5), (5, 1))] == [21, 10, 11]


def test_pointers_count_items(made):
    items = np.arange(100, 110)
    found = made(lambda _, address, k: address.address_of(I64)[k] * 1000 + (address.address_of(I64) + 2)[k + 1])
    assert found(items.ctypes.data, 3) == 103 * 1000 + 106


def test_values_are_no_keys():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Scalar(None, None))
