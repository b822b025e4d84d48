"""Products of bytes: rows become bytes, four products are added up at once, and their sums become numbers again.

A row is ``x = step * (q - zero)``. Its q are from 0 to 255, and each row has its own step: what is not a number stays
in its row, all of whose sums are NaN. Weights are ``w = step of their column * v`` with v from -127 to 127. Sums of
``q * v`` are whole numbers without an error, and

    x @ w = step * step of the column * (q @ v - zero * sum(v))

Four bytes lie where the tiles have one item: the tiles, and all that is packed for them, are those of float32.
"""

# mypy: disable-error-code="no-untyped-call"
from typing import Any

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.layers import each_vector
from mlpbench.kernels.numba_simd.codegen.scalar import I8, I32, I64, Scalar, each, plain
from mlpbench.kernels.numba_simd.codegen.shape import BEHIND
from mlpbench.kernels.numba_simd.codegen.vector import Code, Vector, routine

#: A row whose numbers differ by less is one of zeros.
_NARROWEST = 1e-30


class Quad(Vector):
    """A vector with four bytes in each lane, or with a sum of their products, a whole number of 32 bits."""

    def __add__(self, other: Any) -> Vector:
        return self.code.vector(self.code.plus(self.value, other.value))

    def times_plus(self, factor: Any, term: Any) -> Vector:
        """Return ``term`` plus four products in each lane: of bytes from 0 on with signed ones, the ``factor``."""
        code = self.code
        name, kinds = f"llvm.x86.avx512.vpdpbusd.{32 * code.shape.lanes}", [code.integers] * 3
        operands = [code.builder.bitcast(x.value, code.integers) for x in (term, self, factor)]
        sums = code.builder.call(code.declare(name, code.integers, kinds), operands)
        return code.vector(code.builder.bitcast(sums, code.vector_type))


class QuadCode(Code):
    """A `Code` whose vectors are `Quad`s."""

    kind = "q8"

    def vector(self, value: Any) -> Vector:
        """Return a value of LLVM as a `Quad`."""
        return Quad(self, value)

    def plus(self, x: Any, y: Any) -> Any:
        """Return the sum of whole numbers, a scalar or a vector of LLVM that seems to hold reals."""
        kind, builder = x.type, self.builder
        whole = self.integers if isinstance(kind, ir.VectorType) else I32
        return builder.bitcast(builder.add(builder.bitcast(x, whole), builder.bitcast(y, whole)), kind)


@routine
def quantise(code: Code, z: Scalar, z_step: Scalar, n_rows: Scalar, n: Scalar, q: Scalar, q_step: Scalar) -> None:
    """Write rows of n reals as bytes to ``q``, and at the end of each of its rows, `BEHIND`, its step and its zero."""
    with each(code, 0, n_rows) as i:
        _quantise_row(code, plain(z + i * z_step), plain(n), q + i * q_step, q + ((i + 1) * q_step - BEHIND))


def _quantise_row(code: Code, z: Any, n: Any, q: Scalar, behind: Scalar) -> None:
    builder, integers, lanes = code.builder, code.integers, code.shape.lanes

    def loaded(j: Any, mask: Any) -> Vector:
        place = code.address(z, j)
        return code.load(place) if mask is None else code.load_masked(place, mask)

    def ends(j: Any, mask: Any, carried: list[Any]) -> list[Any]:
        # The largest of whole numbers is the largest real, or NaN; that without a sign, the smallest below 0, or NaN.
        bits = builder.bitcast(loaded(j, mask).value, integers)
        return [_of_both(code, name, x, bits) for name, x in zip(("smax", "umax"), carried, strict=True)]

    found = each_vector(code, n, [ir.Constant(integers, [0] * lanes)] * 2, ends)
    high, low = (_reduced(code, name, x) for name, x in zip(("smax", "umax"), found, strict=True))
    low = low.at_most(0.0)
    width, steps = high - low, code.constant(255.0).where(low.compare("==", 0.0), 254.0)
    share = (steps / width).where(width.compare(">", _NARROWEST), 0.0)
    zero = code.vector(code.call("llvm.floor", (low * share * -1.0 + 0.5).value))
    step = width / steps + width * 0.0  # NaN where the row is infinite
    for place, x in ((behind, step), (behind + 1, zero)):
        builder.store(builder.extract_element(x.value, I32(0)), place.value)

    def write(j: Any, mask: Any, _: Any) -> None:
        whole = builder.fptosi(loaded(j, mask).times_plus(share, zero + 0.5).value, integers)
        quads = ir.VectorType(I8, lanes)
        place = builder.bitcast(code.address(q, builder.udiv(j, I64(4))), quads.as_pointer())
        builder.store(builder.trunc(whole, quads), place, align=4)

    each_vector(code, n, [], write)


def _of_both(code: Code, name: str, x: Any, y: Any) -> Any:
    function = code.declare(f"llvm.{name}.v{code.shape.lanes}i32", code.integers, [code.integers] * 2)
    return code.builder.call(function, [x, y])


def _reduced(code: Code, name: str, x: Any) -> Vector:
    """Return what `_of_both` makes of all lanes, in every lane."""
    function = code.declare(f"llvm.vector.reduce.{name}.v{code.shape.lanes}i32", I32, [code.integers])
    return code.splat(code.builder.bitcast(code.builder.call(function, [x]), code.real))


@routine
def dequantise(code: Code, a: Scalar, a_step: Scalar, n_rows: Scalar, n_columns: Scalar, behind: Scalar,
               q_step: Scalar, ends: Scalar) -> None:  # fmt: skip
    """Make reals of whole sums; ``ends``: of all columns the step, then the sum of the weights, then the bias."""
    with each(code, 0, n_rows) as i:
        step, zero = (code.splat(code.load_scalar(behind + i * q_step + at)) for at in range(2))
        with each(code, 0, n_columns, code.shape.lanes) as j:
            steps, weights, bias = (code.load(ends + j + n_columns * at, aligned=True) for at in range(3))
            place = a + i * a_step + j
            whole = code.builder.bitcast(code.load(place, aligned=True).value, code.integers)
            sums = code.vector(code.builder.sitofp(whole, code.vector_type))
            code.store(place, (sums - zero * weights).times_plus(step * steps, bias), aligned=True)
