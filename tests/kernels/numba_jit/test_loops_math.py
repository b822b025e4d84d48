"""The exp, sigmoid and relu that the compiled loops call: accuracy, limits, and that they became vector code."""

import re

import numpy as np
import pytest

from mlpbench.kernels.numba_jit import loops

exp, sigmoid = loops.exp, loops.sigmoid

#: Where exp is neither 0 nor infinity.
RANGES = {"float32": (-103.9, 88.7), "float64": (-745.1, 709.7)}

needs_wide_floats = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 60, reason="no long double here to compare float64 with"
)


@loops.jit
def exp_each(x, y):
    for i in range(x.size):
        y[i] = exp(x[i])


@loops.jit
def sigmoid_each(x, y):
    one = x.dtype.type(1)
    for i in range(x.size):
        y[i] = sigmoid(x[i], one)


def apply(function, x):
    y = np.empty_like(x)
    function(x, y)
    return y


def spread(dtype, n=200_001):
    """Return numbers over the whole range, and as many near 0."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.uniform(*RANGES[dtype], n), rng.uniform(-1, 1, n)]).astype(dtype)


def ulps(got, exact):
    """Return the error in units in the last place of the exact value."""
    unit = np.spacing(np.abs(exact.astype(got.dtype))).astype(np.longdouble)
    return np.max(np.abs(got.astype(np.longdouble) - exact) / unit)


@pytest.fixture(params=["float32", pytest.param("float64", marks=needs_wide_floats)])
def dtype(request):
    return request.param


def test_exp_errs_by_at_most_what_it_says(dtype):
    x = spread(dtype)
    assert ulps(apply(exp_each, x), np.exp(x.astype(np.longdouble))) < 1.03


def test_sigmoid_errs_by_at_most_what_it_says(dtype):
    x = spread(dtype)
    assert ulps(apply(sigmoid_each, x), 1 / (1 + np.exp(-x.astype(np.longdouble)))) < 2.4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_at_its_limits(dtype):
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    np.testing.assert_array_equal(apply(exp_each, x), [1, 1, np.inf, 0, np.nan, np.inf, 0, np.inf, 0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_passes_through_the_denormals_to_zero_and_overflows_where_it_should(dtype):
    finfo = np.finfo(dtype)
    lowest, highest = np.log(float(finfo.smallest_subnormal)), np.log(float(finfo.max))
    below = np.linspace(lowest - 0.5, np.log(float(finfo.tiny)), 1000).astype(dtype)
    y = apply(exp_each, below)
    assert y[0] in (0, finfo.smallest_subnormal)
    assert (np.diff(y) >= 0).all()
    assert ((y > 0) & (y < finfo.tiny)).sum() > 900, "denormals, not zeros"
    edge = np.array([highest * (1 - 4 * finfo.eps), highest * (1 + 4 * finfo.eps)], dtype)
    assert np.isinf(apply(exp_each, edge)).tolist() == [False, True]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exp_is_exact_where_it_can_be_and_monotonic(dtype):
    x = np.linspace(-3, 3, 20_001).astype(dtype)
    assert apply(exp_each, np.zeros(3, dtype)).tolist() == [1, 1, 1]
    assert (np.diff(apply(exp_each, x)) >= 0).all()


@pytest.mark.parametrize(
    ("function", "dtype"), [(exp_each, "float32"), (exp_each, "float64"), (sigmoid_each, "float32")]
)
def test_a_loop_around_it_is_vector_code_without_a_call(function, dtype):
    x = np.zeros(16, dtype)
    function(x, np.empty_like(x))
    (code,) = (asm for types, asm in function.inspect_asm().items() if str(types[0].dtype) == dtype)
    body = code.partition("cfunc")[0]
    assert not re.search(r"\b(call|bl)\w*\s+.*\bexp", body)
    if not re.search(r"%xmm|%ymm|%zmm", body):
        pytest.skip("not the assembly language of an x86")
    suffix = {"float32": "ps", "float64": "pd"}[dtype]
    assert re.search(rf"v?mul{suffix}\s|vfn?m\w+{suffix}\s", body)
