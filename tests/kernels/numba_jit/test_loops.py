"""The compiled loops: exp is as near as it says, Numba's absence."""

import sys

import numpy as np
import pytest

from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.mlp_numba import NumbaKernel
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel
from mlpbench.kernels.numba_jit import loops
from support.refusals import refusal

#: Where exp is neither 0 nor infinity.
RANGES = {"float32": (-103.9, 88.7), "float64": (-745.1, 709.7)}
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@loops.jit
def exp_each(x, y):
    for i in range(x.size):
        y[i] = loops.exp(x[i])


@loops.jit
def sigmoid_each(x, y):
    one = x.dtype.type(1)
    for i in range(x.size):
        y[i] = loops.sigmoid(x[i], one)


def apply(function, x):
    y = np.empty_like(x)
    function(x, y)
    return y


@every_dtype
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="no long double here to compare float64 with")
def test_exp_and_sigmoid_err_by_at_most_what_they_say(dtype):
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(*RANGES[dtype], 200_001), rng.uniform(-1, 1, 200_001)]).astype(dtype)
    wide = x.astype(np.longdouble)
    for function, exact, most in ((exp_each, np.exp(wide), 1.03), (sigmoid_each, 1 / (1 + np.exp(-wide)), 2.4)):
        unit = np.spacing(np.abs(exact.astype(dtype))).astype(np.longdouble)
        assert np.max(np.abs(apply(function, x) - exact) / unit) < most


@every_dtype
def test_exp_at_its_limits_and_through_the_denormals(dtype):
    finfo = np.finfo(dtype)
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, finfo.max, finfo.min], dtype)
    np.testing.assert_array_equal(apply(exp_each, x), [1, 1, np.inf, 0, np.nan, np.inf, 0, np.inf, 0])
    lowest, highest = np.log(float(finfo.smallest_subnormal)), np.log(float(finfo.max))
    y = apply(exp_each, np.linspace(lowest - 0.5, np.log(float(finfo.tiny)), 1000).astype(dtype))
    assert y[0] in (0, finfo.smallest_subnormal)
    assert ((y > 0) & (y < finfo.tiny)).sum() > 900, "denormals, not zeros"
    edge = np.array([highest * (1 - 4 * finfo.eps), highest * (1 + 4 * finfo.eps)], dtype)
    assert np.isinf(apply(exp_each, edge)).tolist() == [False, True]
    for rising in (y, apply(exp_each, np.linspace(-3, 3, 20_001).astype(dtype))):
        assert (np.diff(rising) >= 0).all()


@pytest.mark.parametrize("kernel_class", [NumbaKernel, NumbaSimdKernel])
def test_probe_says_why_not(monkeypatch, tmp_path, kernel_class):
    kernel_class.probe()
    with monkeypatch.context() as patch:
        patch.setattr("numba.config.DISABLE_JIT", 1)
        refusal(KernelUnavailable, "NUMBA_DISABLE_JIT", kernel_class.probe)
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.4 or less. Got NumPy 9.9.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "numba")
    refusal(KernelUnavailable, "Numba needs NumPy", kernel_class.probe)
