"""Which layers are divided, and which columns each thread computes."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mlpbench.kernels.numba_simd.codegen.shape import Shape
from mlpbench.kernels.numba_simd.passes import packing, shares
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.contestants import specs

AVX512 = Shape.parse("x86_64-unknown-linux-gnu", "+avx512f,+avx512vl", 4)


def planned(spec, threads, shape=AVX512, least=0):
    """Return the plan of a network, a table of the shares, (layers, threads, `shares.SHARE`), and what is divided."""
    plan = packing.build(spec, seeded(spec), shape, [0] * spec.n_layers, threads).plan
    lines = shares.shares(plan, spec.n_layers, threads, least)
    table = lines[:, shares.SHARES_AT :].reshape(spec.n_layers, threads, shares.SHARE)
    return plan, table, list(lines[:, shares.DIVIDED])


@settings(max_examples=30)
@given(specs(max_size=300), st.integers(1, 9), st.sampled_from(["+avx512f,+avx512vl", "+avx2,+fma", ""]))
def test_every_part_belongs_to_one_thread_and_no_two_write_to_one_vector(spec, threads, features):
    shape = Shape.parse("x86_64-unknown-linux-gnu", features, spec.np_dtype.itemsize)
    plan, table, _ = planned(spec, threads, shape)
    at = packing.HEADER
    for layer in table:
        column, place = 0, at + packing.LAYER
        for share in layer:
            assert (share[shares.SHARE_PART], share[shares.SHARE_COLUMN]) == (place, column)
            assert share[shares.SHARE_COLUMN] % shape.lanes == 0
            place += share[shares.SHARE_PARTS] * packing.PART
            column += share[shares.SHARE_COLUMNS]
            parts = plan[share[shares.SHARE_PART] : place].reshape(-1, packing.PART)
            assert all(share[shares.SHARE_COLUMN] <= part[packing.COLUMN] < column for part in parts)
        assert column == plan[at + packing.COLUMNS]
        at += packing.LAYER + plan[at + packing.PARTS] * packing.PART
        assert place == at


def test_a_layer_is_divided_where_the_busiest_thread_is_spared_enough_for_each_of_the_others():
    spec = ForwardSpec((784, 1024, 1024, 10))
    assert planned(spec, 2)[1][:, :, shares.SHARE_COLUMNS].tolist() == [[528, 496], [528, 496], [0, 16]]
    spared = [496 * 784, 496 * 1024]
    assert planned(spec, 2, least=spared[0])[2] == [1, 1, 0]
    assert planned(spec, 2, least=spared[0] + 1)[2] == [0, 1, 0]
    assert planned(spec, 2, least=spared[1] + 1)[2] == [0, 0, 0]
    busiest = planned(spec, 4)[1][0, :, shares.SHARE_COLUMNS].max()
    least = (1024 - busiest) * 784 // 3
    assert planned(spec, 4, least=least)[2][0] == 1
    assert planned(spec, 4, least=least + 1)[2][0] == 0
    assert planned(ForwardSpec((100_000, 10)), 2, least=1)[2] == [0], "one tile is left to one thread"
