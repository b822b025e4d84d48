"""Every program that follows a product, on the CPU: bias and activation, bias and softmax; and `cupy` made of them."""

from functools import cache

import numpy as np
import pytest

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import probe_inputs
from mlpbench.kernels.cuda import programs
from mlpbench.kernels.mlp_cupy import CupyKernel
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import HIDDEN, MNIST, ForwardSpec, read_hidden
from support import fake_cupy
from support.on_cpu.programs import ORDERS, ROWS, Launched, Products, off_by
from support.on_cpu.raw import SANITIZERS, CpuRawKernel, CpuRawModule, compiler

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")]

#: Of a softmax, a thread keeps a row, or a warp shares it.
SOFTMAX = [Products(width, None, dtype) for width in (1, 2, 10, 65) for dtype in ("float32", "float64")]
_EACH = [one for name in (*HIDDEN, "leaky-relu:0.2") for one in read_hidden(name)]
#: A block has 1,024 rows of one output, or 20 of 50; a row of 1,025 has two blocks.
ACTIVATIONS = [
    Products(width, activation, dtype)
    for activation, width in zip(_EACH, (50, 1, 1025, 7, 50, 100, 33, 50, 10), strict=True)
    for dtype in ("float32", "float64")
]


@cache
def replaced() -> dict[Products, Launched]:
    """Return each program, compiled in one go."""
    found = {one: Launched(one, one.programs[0]) for one in (*SOFTMAX, *ACTIVATIONS)}
    CpuRawModule.together([one.kernel.module for one in found.values()])
    return found


@pytest.mark.parametrize("products", [*SOFTMAX, *ACTIVATIONS], ids=str)
def test_right_for_any_rows_and_the_same_in_every_order_of_threads(products):
    """Arrays end where nobody may read or write, and the bias is not changed."""
    one = replaced()[products]
    for rows in ROWS:
        x = products.inputs(rows)
        found = [one.outputs(x, order) for order in ORDERS]
        assert off_by(found[0], *products.expected(x)) <= 1, rows
        assert all(np.array_equal(found[0], again) for again in found), rows


@pytest.mark.parametrize("products", ACTIVATIONS, ids=str)
def test_what_is_no_finite_number(products):
    """NaN stays NaN, but for a step; the ends are those of the formula."""
    one = replaced()[products]
    x = np.repeat(np.array([[np.nan], [np.inf], [-1e30], [1e30]], products.dtype), products.width, axis=1)
    nan, *ends = one.outputs(x)
    assert (nan == 0 if products.activation.name == "step" else np.isnan(nan)).all()
    assert np.allclose(ends, reference.hidden(products.activation)(x[1:]), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("products", [SOFTMAX[4], ACTIVATIONS[0]], ids=str)
def test_addresses_beyond_what_32_bits_count(products):
    y, _, off = replaced()[products].in_large()
    assert off <= 1
    assert not y[:1000].any(), "nothing is written at the start"


@pytest.mark.parametrize("sanitizer", SANITIZERS)
@pytest.mark.parametrize("products", [*SOFTMAX, *ACTIVATIONS[::2]], ids=str)
def test_sanitizers_find_nothing(products, sanitizer):
    one = replaced()[products]
    assert one.found_by(sanitizer, one.program.rows_per_block + 2) == ""


@pytest.mark.parametrize(
    "spec",
    [
        MNIST,
        ForwardSpec((20, 17, 9, 130), "tanh,silu", "identity", "float64"),
        ForwardSpec((33, 50, 40, 30, 20, 21, 22, 23, 24, 65), ",".join(map(str, _EACH[:8]))),
    ],
    ids=str,
)
def test_the_kernel_that_they_make_with_products_of_numpy(monkeypatch, spec):
    """Each hidden layer, and outputs, within the gate's tolerance; what lies in buffers before is NaN."""
    cupy = fake_cupy.install(monkeypatch)
    cupy.RawKernel = fake_cupy.computing(CpuRawKernel)
    cupy.empty = lambda shape, dtype: np.full(shape, np.nan, dtype).view(fake_cupy.DeviceArray)
    assert [one.name for one in programs.after_products(spec)].count("bias_activation") == spec.n_layers - (
        spec.output == "softmax"
    )
    kernel, params = CupyKernel(spec, seeded(spec)), seeded(spec)
    x = probe_inputs(spec, max(ROWS), 0)
    steps = reference.trace(spec, params, x)
    right = (steps[-1][1], *reference.bound(spec, params, x, steps))
    there = kernel.from_host(x)
    for rows in ROWS:
        assert off_by(kernel.to_host(kernel.forward(there[:rows])), *(part[:rows] for part in right)) <= 1, rows
    assert np.array_equal(kernel.to_host(there), x), "the inputs were changed"
