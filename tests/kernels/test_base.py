"""The contract, held against every kernel of the registry, and against those that divide even the smallest batch."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.kernels import base, registry
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support.contestants import (
    COMPILED,
    NAMES,
    OURS,
    SLOW,
    available,
    computed,
    computed_singly,
    specs,
    supported,
    waited,
)

every_kernel = pytest.mark.parametrize("name", NAMES)
compiled_kernels = pytest.mark.parametrize("name", COMPILED)

#: Random specifications for each kernel. Kernels that compile for each specification, or even batch, get fewer.
EXAMPLES = {"jax": 6, "jax-array": 6, "jax-cuda": 6, "openvino": 20}
EXAMPLES |= {name: 4 for name in NAMES if name.startswith("cupy-fused")}
#: Around every block and tile: a row alone, rows left over at each height, each number of vectors of rows.
ROWS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 48, 63, 65, 80, 97])


@every_kernel
def test_any_specification_and_batch(name):
    """`agree` also looks at shape and dtype, and whether the input is as it was."""
    kernel_class = available(name)

    # Some peers refuse most specifications; and how fast examples are drawn depends on what else the machine does.
    @settings(
        max_examples=EXAMPLES.get(name, 40), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
    )
    @given(
        spec=specs(max_size=140).filter(lambda spec: supported(kernel_class, spec)),
        rows=ROWS,
        seed=st.integers(0, 9),
        scale=st.sampled_from([0.0, 1.0, 30.0]),
        density=st.sampled_from([0.1, 0.6, 1.0]),
    )
    def holds(spec, rows, seed, scale, density):
        params = seeded(spec, seed)
        kernel = kernel_class(spec, params)
        generator = np.random.default_rng([seed, rows])
        x = scale * generator.standard_normal((rows, spec.n_in)) * (generator.random((rows, spec.n_in)) < density)
        x = x.astype(spec.dtype)
        with np.errstate(over="ignore"):  # NumPy's exp overflows to infinity, and the sigmoid is the right 0
            agree(kernel, params, x)
            agree(kernel, params, x[: rows // 2 + 1] + 1)
            agree(kernel, params, x, singly=True, rows=2)

    holds()


made_once = cache(seeded)


@every_kernel
@pytest.mark.parametrize(
    "sizes",
    [(784, 50, 100, 10), (1, 1), (1, 1, 1), (300, 1, 200), (65, 64, 63, 129), (200, 1000), (2100, 50, 3), (4099, 17)],
    ids=str,
)
def test_the_gate(name, sizes):
    kernel_class = available(name)
    for dtype in ("float32", "float64"):
        for hidden, output in (("sigmoid", "softmax"), ("relu", "identity"), ("step", "softmax")):
            spec = ForwardSpec(sizes, hidden, output, dtype)
            if supported(kernel_class, spec):
                assert check(kernel_class, spec, params=made_once(spec)).max_error_ratio < 0.5
            else:
                with pytest.raises(KernelUnavailable):
                    check(kernel_class, spec)


@every_kernel
def test_a_result_is_not_stale_and_buffers_follow_the_batch(name):
    kernel = available(name)(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((120, 784), np.float32)
    whole = computed(kernel, x)
    for rows in (120, 10, 11, 1, 119):
        # Sums may be divided in another way for another number of rows; a stale row would be off by 1e-2.
        assert computed(kernel, x[:rows]) == pytest.approx(whole[:rows], abs=1e-5)
        assert computed(kernel, x[-rows:]) == pytest.approx(whole[-rows:], abs=1e-5)
    assert computed_singly(kernel, x[5:7]) == pytest.approx(whole[5:7], abs=1e-5)


@every_kernel
def test_it_takes_what_may_not_be_written_to(name):
    """Arrays from files and from other libraries are often read-only."""
    kernel = available(name)(MNIST, seeded(MNIST))
    x = np.random.default_rng(0).random((40, 784), np.float32)
    expected, single = computed(kernel, x.copy()), computed_singly(kernel, x[3:5].copy())
    x.flags.writeable = False
    assert computed(kernel, x) == pytest.approx(expected, abs=1e-6)
    assert computed_singly(kernel, x[3:5]) == pytest.approx(single, abs=1e-6)


@every_kernel
def test_what_it_says_about_itself_can_be_recorded(name):
    kernel_class = available(name)
    described = kernel_class(MNIST, seeded(MNIST)).describe()
    assert json.loads(json.dumps(described)) == described
    if name in registry.names():
        assert kernel_class.version(), "the library is there, and so is its version"
        assert described.get("threads", 1) >= 1


@pytest.mark.parametrize("name", [name for name in OURS if "parallel" not in name])
def test_instances_do_not_share_buffers(name):
    """An instance belongs to one thread, and each thread may have one."""
    kernel_class, params = available(name), seeded(MNIST)
    x = np.random.default_rng(0).random((64, 784), np.float32)
    expected = kernel_class(MNIST, params).forward(x).copy()

    def work(kernel, start):
        for _ in range(30):
            got, one = kernel.forward(x[start : start + 30]), kernel.forward_one(x[start])
            np.testing.assert_allclose(got, expected[start : start + 30], rtol=0, atol=1e-5)
            np.testing.assert_allclose(one, expected[start], rtol=0, atol=1e-5)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, [kernel_class(MNIST, params) for _ in range(3)], (0, 17, 34)))


@compiled_kernels
@pytest.mark.parametrize(
    "x",
    [np.zeros((3, 783), "f"), np.zeros((3, 784)), np.zeros((784, 3), "f").T, [[0.0] * 784]],
    ids=["n_in", "d", "F", "l"],
)
def test_what_it_was_not_compiled_for_is_refused_and_not_read_out_of_bounds(name, x):
    kernel = available(name)(MNIST, seeded(MNIST))
    for call, refused in ((kernel.forward, x), (kernel.forward_one, x[0])):
        with pytest.raises((ValueError, TypeError)):
            call(refused)


# New results and kept ones

KEPT = [ForwardSpec((31, 17, 5)), ForwardSpec((31, 17, 5), "relu", "identity")]


@pytest.mark.parametrize("name", [*NAMES, *SLOW])
def test_results_are_new_or_kept_as_it_says(name):
    kernel_class = available(name)
    for spec in KEPT[: 1 if name in SLOW else None]:
        if not supported(kernel_class, spec):
            continue
        x = np.random.default_rng(0).random((8, spec.n_in)).astype(spec.dtype)
        kernel = kernel_class(spec, seeded(spec))
        calls = [(kernel.forward, x[:4], x[4:])]
        if name not in SLOW:
            calls += [(kernel.forward, x[:1], x[1:2]), (kernel.forward_one, x[0], x[1])]
        for call, one, other in calls:
            first = call(kernel.from_host(one))
            before = waited(kernel, first)
            following = waited(kernel, call(kernel.from_host(other)))
            assert not np.array_equal(before, following), "two inputs that nobody could tell apart prove nothing"
            expected = {"new": before, "kept": following}[kernel_class.returns]
            np.testing.assert_array_equal(kernel.to_host(first), expected)


def test_peers_and_our_kernels_have_partners_of_both_kinds():
    """Otherwise nothing could be held beside them like for like."""
    peers = {registry.load(name).returns for name in registry.peers()}
    ours = {registry.load(name).returns for name in registry.names() if name not in registry.peers()}
    assert peers == ours == {"new", "kept"}


def test_a_library_that_is_missing_is_told_with_what_brings_it():
    with pytest.raises(KernelUnavailable) as raised:
        base.require("a_module_that_nobody_has", "peers")
    told = "a_module_that_nobody_has cannot be imported: No module named 'a_module_that_nobody_has'; "
    assert str(raised.value) == f"{told}pip install 'mlpbench[peers]' brings it"
