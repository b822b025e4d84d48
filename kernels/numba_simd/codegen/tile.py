"""Register tiles: the loops in which a forward pass spends its time, written for one `Shape`.

A tile multiplies R rows by C vectors of columns. Its R * C sums stay in registers while k runs over all inputs; each
step loads C vectors of weights, and R inputs, each into all lanes of a register. So one load serves a vector of weights
R times, and an input C times, and the multiply-adds, not the loads, set the pace. R and C are as
large as the registers allow: 8 * 3 sums, 3 weights and an input take 28 of 32.

Fewer sums than a multiply-add takes cycles times how many start in each (8 or so) would wait for one another. Small
tiles therefore have several sums for the same result, over every second or fourth k.
"""

# mypy: disable-error-code="no-untyped-call"
from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from mlpbench.kernels.numba_simd.codegen.scalar import I32, I64, Scalar, Variable, turns
from mlpbench.kernels.numba_simd.codegen.vector import Code, Vector, new_function

#: Sums that should be under way at once.
_CHAINS = 12

#: Bytes between a weight that is asked for and the weight that is multiplied, where weights come from beyond the
#: second-level cache: a page, at the end of which the processor's own fetching stops. In tiles of one or two rows,
#: which wait for nothing but weights, half a page.
AHEAD, AHEAD_OF_FEW = 4096, 2048

#: Bytes between an input that is asked for and the input that is multiplied, in tiles of few rows. No tile before them
#: has asked for their inputs, and inputs that are asked for all at once would be waited for.
EARLY = 12 * 64


def _unrolled(sums: int, registers: int) -> int:
    """Return over how many steps of k the sums of a tile are spread: 1, 2 or 4, as far as there are registers."""
    return next(
        steps
        for steps in (1, 2, 4)
        if steps == 4 or steps * sums >= _CHAINS * 3 // 4 or 2 * steps * sums > registers - 4
    )


def _spread(code: Code, start: list[Vector], n: Any, stride: int, turn: Any, early: Any = None) -> list[Vector]:
    """Write the loop over k: ``sums = turn(k, sums)`` for each k in range(0, n, stride), from ``start``.

    ``n`` is a multiple of ``stride``. Where the results are few, each has several sums. ``early(k)``, if given, is
    written for the first k of each cache line; ``stride`` is 1 then.
    """
    steps, builder = _unrolled(len(start), code.shape.registers), code.builder
    zeros = [code.constant(0.0)] * len(start) * (steps - 1)
    whole = builder.and_(n, I64(-steps * stride)) if stride == 1 else builder.mul(
        builder.udiv(n, I64(steps * stride)), I64(steps * stride))  # fmt: skip

    def turns(k: Any, values: list[Any]) -> list[Any]:
        results = []
        for step in range(steps):
            sums = [code.vector(value) for value in values[step * len(start) : (step + 1) * len(start)]]
            results += turn(builder.add(k, I64(step * stride)) if step else k, sums)
        return [result.value for result in results]

    def line(k: Any, values: list[Any]) -> list[Any]:
        early(k)
        for i in range(0, items, steps):
            values = turns(builder.add(k, I64(i)) if i else k, values)
        return values

    values, begun, items = [sums.value for sums in start + zeros], I64(0), 64 * 8 // code.bits
    if early is not None:
        begun = builder.and_(n, I64(-items))
        values = code.loop(I64(0), begun, items, values, line)
    values = code.loop(begun, whole, steps * stride, values, turns)
    sums = [code.vector(value) for value in values]
    while len(sums) > len(start):
        half = len(sums) // 2
        sums = [x + y for x, y in zip(sums[:half], sums[half:], strict=True)]
    if steps == 1:
        return sums

    def rest(k: Any, values: list[Any]) -> list[Any]:
        return [result.value for result in turn(k, [code.vector(value) for value in values])]

    return [code.vector(value) for value in code.loop(whole, n, stride, [x.value for x in sums], rest)]


def _early(code: Code, z_rows: list[Any], ahead: Any) -> Any:
    """Return what `_spread` writes for each cache line of some rows: they ask for inputs `EARLY` bytes ahead of use.

    They also ask for the inputs that lie ``ahead``, if it is not None: in an array whose rows are taken in turn, the
    inputs of the next call. These arrive while this call ends and the next one begins.
    """

    def fetch(k: Any) -> None:
        for row in z_rows:
            code.fetch(code.address(row, k, EARLY * 8 // code.bits))
            if ahead is not None:
                code.fetch(code.address(row, code.builder.add(k, ahead)))

    return fetch


def _fetching(code: Code, start: list[Vector], n: Any, z_rows: list[Any], places: list[Any], turn: Any) -> list[Vector]:
    """Write the loop over k as `_spread` does, and with it fetch the next block, which lies ``ahead`` of the rows.

    Where the batch is large, that block comes from main memory, and is there when its turn comes. The first block of a
    batch is ``cold``: no block before it has fetched it, so each of its tiles fetches the next tile, which is ``near``.
    An address beyond the last row does no harm: fetching ahead never fails. Addresses are added up in the loop and not
    before it, since registers are few.
    """
    line, builder = 64 * 8 // code.bits, code.builder
    near, ahead, cold = places
    is_cold = builder.icmp_signed("!=", cold, I64(0))

    def fetch(k: Any) -> None:
        for row in z_rows:
            code.fetch(code.address(row, k))

    def rest(k: Any, values: list[Any]) -> list[Any]:
        return [result.value for result in turn(k, [code.vector(value) for value in values])]

    def turns(k: Any, values: list[Any]) -> list[Any]:
        fetch(builder.add(k, ahead))
        with builder.if_then(is_cold):
            fetch(builder.add(k, near))
        return code.loop(k, builder.add(k, I64(line)), 1, values, rest)

    whole = builder.and_(n, I64(-line))
    values = code.loop(I64(0), whole, line, [sums.value for sums in start], turns)
    return [code.vector(value) for value in code.loop(whole, n, 1, values, rest)]


def _listed(code: Code, start: list[Vector], n: Any, index: Any, following: Any, lines: Any, turn: Any) -> list[Vector]:
    """Write the loop over the n k that ``index`` lists, and with it fetch ``lines`` cache lines at ``following``.

    Each k fetches one line, so that lines arrive evenly: all at once they would be waited for. What lines are left are
    fetched after the loop. The lines are half of the rows of the next tile, or of the next call. The other half is
    fetched while zeros are looked for: if one of the two loops fetched all rows, it would wait for memory, which would
    be idle during the other loop.
    """
    builder, line = code.builder, 64 * 8 // code.bits

    def fetch(i: Any, _carried: Any = None) -> list[Any]:
        code.fetch(code.address(following, builder.mul(i, I64(line))))
        return []

    def listed(i: Any, sums: list[Vector]) -> list[Vector]:
        fetch(i)
        results: list[Vector] = turn(builder.zext(builder.load(builder.gep(index, [i])), I64), sums)
        return results

    sums = _spread(code, start, n, 1, listed)
    code.loop(n, lines, 1, [], fetch)
    return sums


def product(
    code: Code, rows: int, vectors: int, *, indexed: bool = False, turned: bool = False, far: bool = False
) -> ir.Function:
    """Return the function of a tile: a = start + z @ w, for ``rows`` by ``vectors``.

    The function takes z, z_step, n, w, start, start_step, a, a_step: pointers, and the items from one row to the next.
    w is packed: the vectors of k = 0, then the vectors of k = 1. Last come ``ahead``, items, and ``cold``, 0 or 1
    (`_fetching`). With ``indexed`` a pointer to n indices (32 bits) comes last, and only these k are multiplied. With
    ``turned`` a row starts from one item, which goes into all lanes: see `turned`. With ``far`` weights are asked for
    `AHEAD` bytes before they are used.
    """
    pointer = code.real.as_pointer()
    types = [pointer, I64, I64, pointer, pointer, I64, pointer, I64]
    types += [I32.as_pointer()] if indexed else [I64, I64]
    name = (
        f"{'sparse_' if indexed else 'turned_' if turned else 'far_' if far else ''}tile_{rows}x{vectors}_{code.kind}"
    )
    function, builder = new_function(code.builder, name, types)
    if builder is None:
        return function
    z, z_step, n, w, start, start_step, a, a_step, *more = function.args
    code = code.at(builder)
    lanes = code.shape.lanes
    z_rows = [code.address(z, builder.mul(z_step, I64(r))) for r in range(rows)]
    tile = [(r, c) for r in range(rows) for c in range(vectors)]

    def place(base: Any, step: Any, r: int, c: int) -> Any:
        return code.address(base, builder.mul(step, I64(r)), c * lanes)

    def first(r: int, c: int) -> Vector:
        if turned:
            return code.splat(code.load_scalar(place(start, start_step, r, 0)))
        return code.load(place(start, start_step, r, c), aligned=True)

    def turn(k: Any, sums: list[Vector]) -> list[Vector]:
        row = builder.mul(k, I64(vectors * lanes))
        weights = [code.load(code.address(w, row, c * lanes), aligned=True) for c in range(vectors)]
        for item in range(0, vectors * lanes, 64 * 8 // code.bits) if far else ():
            code.fetch(code.address(w, row, item + (AHEAD if rows > 2 else AHEAD_OF_FEW) * 8 // code.bits))
        inputs = [code.splat(code.load_scalar(code.address(z_row, k))) for z_row in z_rows]
        return [inputs[i // vectors].times_plus(weights[i % vectors], x) for i, x in enumerate(sums)]

    sums = [code.constant(0.0)] * len(tile)
    near = builder.mul(z_step, I64(rows))
    if indexed:
        lines = builder.sdiv(builder.mul(z_step, I64(rows - rows // 2)), I64(64 * 8 // code.bits))
        sums = _listed(code, sums, n, more[0], code.address(z_rows[rows // 2], near), lines, turn)
    elif rows == code.shape.rows and vectors == code.shape.vectors and not turned:
        sums = _fetching(code, sums, n, z_rows, [near, *more], turn)
    else:
        few = rows < code.shape.rows and not turned and not far
        ahead = more[0] if vectors == code.shape.vectors else None
        sums = _spread(code, sums, n, 1, turn, _early(code, z_rows, ahead) if few else None)
    for (r, c), x in zip(tile, sums, strict=True):
        code.store(place(a, a_step, r, c), x + first(r, c), aligned=True)
    builder.ret_void()
    return function


def dots(code: Code, rows: int, columns: int) -> ir.Function:
    """Return the function that computes ``rows`` by ``columns`` single results: vectors run along k.

    50 columns are 48 and 2: a fourth vector for 2 columns would take as long as a vector for 16. Vectors along k take
    2 / 16 of that time, and the time to add up their lanes at the end. The function takes what a function of `product`
    takes; w holds the columns one after the other, n items each.
    """
    pointer = code.real.as_pointer()
    types = [pointer, I64, I64, pointer, pointer, I64, pointer, I64, I64, I64]
    function, builder = new_function(code.builder, f"dots_{rows}x{columns}_{code.kind}", types)
    if builder is None:
        return function
    z, z_step, n, w, start, start_step, a, a_step, _ahead, _cold = function.args
    code = code.at(builder)
    lanes = code.shape.lanes
    z_rows = [code.address(z, builder.mul(z_step, I64(r))) for r in range(rows)]
    w_columns = [code.address(w, builder.mul(n, I64(c))) for c in range(columns)]

    def turn(load: Any, sums: list[Vector]) -> list[Vector]:
        weights, inputs = [load(w_column) for w_column in w_columns], [load(z_row) for z_row in z_rows]
        return [inputs[i // columns].times_plus(weights[i % columns], x) for i, x in enumerate(sums)]

    whole = builder.and_(n, I64(-lanes))
    sums = [code.constant(0.0)] * (rows * columns)
    sums = _spread(code, sums, whole, lanes, lambda k, x: turn(lambda p: code.load(code.address(p, k)), x))
    left = builder.sub(n, whole)
    mask = code.first_lanes(left)

    def rest(_k: Any, values: list[Any]) -> list[Any]:
        sums = [code.vector(value) for value in values]
        results = turn(lambda p: code.load_masked(code.address(p, whole), mask), sums)
        return [result.value for result in results]

    values = code.loop(whole, n, lanes, [x.value for x in sums], rest)  # one turn or none
    store_sums(code, [code.vector(value) for value in values], columns, start, start_step, a, a_step)
    builder.ret_void()
    return function


def store_sums(code: Code, sums: list[Vector], columns: int, start: Any, start_step: Any, a: Any, a_step: Any) -> None:
    """Write start + the sum of the lanes of each of ``sums``, which are ``columns`` to a row, to ``a``."""
    builder = code.builder
    for i, total in enumerate(lane_sums(code, sums)):
        r, c = divmod(i, columns)
        first = code.load_scalar(code.address(start, builder.mul(start_step, I64(r)), c))
        place = code.address(a, builder.mul(a_step, I64(r)), c)
        builder.store(code.plus(total, first), place, align=code.bits // 8)


def lane_sums(code: Code, vectors: list[Vector]) -> list[Any]:
    """Return the sums of the lanes of each of some vectors, scalars.

    Neighbours are added in two vectors at once, which makes one vector of both; after as many rounds as the lanes have
    binary digits, there is one lane for each.
    """
    lanes, count = code.shape.lanes, len(vectors)
    even, odd = list(range(0, 2 * lanes, 2)), list(range(1, 2 * lanes, 2))
    for _ in range(lanes.bit_length() - 1):
        vectors = vectors + vectors[-1:] * (len(vectors) % 2)
        pairs = list(zip(vectors[::2], vectors[1::2], strict=True))
        vectors = [x.shuffled(even, y) + x.shuffled(odd, y) for x, y in pairs]
    extract = code.builder.extract_element
    return [extract(vectors[i // lanes].value, I32(i % lanes)) for i in range(count)]


def ladder(code: Code, n_rows: Scalar) -> Iterator[tuple[int, Scalar]]:
    """Yield rows and i, for all rows i: tiles of full height first, then what is left in smaller ones.

    What is written between two of them is the loop over the tiles of one height.
    """
    row = Variable(code, 0)
    for rows in code.shape.ladder:

        def more(end: Scalar = n_rows - (rows - 1)) -> Scalar:
            return row.now < end  # type: ignore[no-any-return]

        with turns(code, more):
            i = row.now
            yield rows, i
            row.now = i + rows
