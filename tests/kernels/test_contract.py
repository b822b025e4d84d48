"""The contract, held against every kernel whose library is here: one test for each promise and kernel.

What is particular to one kernel stands in its own file.
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpbench.kernels import conformance, reference, registry
from mlpbench.kernels.base import Facts
from mlpbench.kernels.conformance import agree, check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.params import Params, hand_worked
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import HAND_WORKED, MNIST, ForwardSpec
from support import contestants, fake_cupy
from support.contestants import available, computed, computed_singly, specs, supported, waited
from support.processes import printed

pytestmark = pytest.mark.usefixtures("one_program")
every_kernel = pytest.mark.parametrize("name", contestants.NAMES)
our_kernels = pytest.mark.parametrize("name", contestants.OURS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])

#: Random specifications for each kernel. Kernels that compile for each specification, or even batch, get fewer.
EXAMPLES = {"jax": 6, "jax-array": 6, "jax-cuda": 6, "openvino": 20}


def some(cases, name):
    """Return the cases of a test, or a third of them for such a kernel."""
    return cases[::3] if name in EXAMPLES else cases


#: Around every block and tile: a row alone, rows left over at each height, each number of vectors of rows.
ROWS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 34, 48, 63, 65, 80, 97])
SIZES = [(784, 50, 100, 10), (1, 1), (1, 1, 1), (300, 1, 200), (65, 64, 63, 129), (200, 1000)]
SIZES += [(2100, 50, 3), (4099, 17)]
MIXED = ForwardSpec((65, 33, 17, 9, 8, 5), "tanh,gelu,silu,leaky-relu:0.2")

made_once = cache(seeded)


@pytest.fixture(autouse=True)
def stand_in(request, monkeypatch):
    """Let the kernel on a GPU run without one, where it is asked so."""
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("name") in contestants.STAND_INS:
        fake_cupy.install(monkeypatch)


expected_of, kept = conformance.expected, {}


def expected_once(spec, params, x, arithmetic="dtype"):
    """Return what the reference expects, which is the same for every kernel: to compute it takes longest."""
    at = spec, arithmetic, hashlib.sha256(x).digest()
    if at not in kept:
        kept[at] = expected_of(spec, params, x, arithmetic)
    return kept[at]


@every_kernel
def test_the_gate_for_sizes_activations_outputs_and_dtypes(name, monkeypatch):
    """An odd batch, a smaller one, single rows; values below 0, above 1, large, infinite and NaN; shape and dtype."""
    monkeypatch.setattr(conformance, "expected", expected_once)
    kernel_class = available(name)
    kinds = [("sigmoid", "softmax"), ("relu", "identity"), ("step", "softmax")]
    asked = [ForwardSpec(SIZES[0], *kind) for kind in kinds] + [MIXED]
    asked += [ForwardSpec(sizes, *kinds[at % 3]) for at, sizes in enumerate(SIZES)]
    asked += [replace(spec, dtype="float64") for spec in asked] + [
        ForwardSpec((31, 17, 5), hidden) for hidden in contestants.EACH
    ]
    for spec in some(asked, name):
        if supported(kernel_class, spec):
            assert check(kernel_class, spec, params=made_once(spec)).max_error_ratio < 0.5, spec
        else:
            with pytest.raises(KernelUnavailable):
                check(kernel_class, spec)


@every_kernel
def test_any_specification_and_batch(name):
    """`agree` also looks at shape and dtype, and whether the input is as it was."""
    kernel_class = available(name)

    # Some peers refuse most specifications; and how fast examples are drawn depends on what else the machine does.
    @settings(
        max_examples=EXAMPLES.get(name, 25), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
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


@every_kernel
def test_results_follow_the_batch_and_not_the_call_before_and_inputs_may_be_read_only(name):
    kernel = available(name)(MNIST, made_once(MNIST))
    x = np.random.default_rng(0).random((120, 784), np.float32)
    whole = computed(kernel, x.copy())
    x.flags.writeable = False  # as arrays from files and from other libraries often are
    for some_rows in (slice(120), slice(10), slice(1, None), slice(119), slice(-11, None)):
        # Sums may be divided in another way for another number of rows, and steps of int8 are of the batch; a stale row
        # would be off by 0.1.
        allowed = {"int8": 2e-2, "bf16": 1e-3}.get(kernel.arithmetic, 1e-5)
        assert computed(kernel, x[some_rows]) == pytest.approx(whole[some_rows], abs=allowed)
    np.testing.assert_array_equal(computed(kernel, x), computed(kernel, x))


@every_kernel
def test_results_are_new_or_kept_as_it_says(name):
    kernel_class = available(name)
    for output in ("softmax", "identity"):
        spec = ForwardSpec((31, 17, 5), output=output)
        if not supported(kernel_class, spec):
            continue
        x = np.random.default_rng(0).random((8, spec.n_in)).astype(spec.dtype)
        kernel = kernel_class(spec, seeded(spec))
        calls = [(kernel.forward, x[:4], x[4:]), (kernel.forward, x[:1], x[1:2]), (kernel.forward_one, x[0], x[1])]
        for call, given_first, given_then in calls:
            first = call(kernel.from_host(given_first))
            before = waited(kernel, first)
            following = waited(kernel, call(kernel.from_host(given_then)))
            assert not np.array_equal(before, following), "two inputs that nobody could tell apart prove nothing"
            expected = {"new": before, "kept": following}[kernel_class.returns]
            np.testing.assert_array_equal(kernel.to_host(first), expected)


@every_kernel
def test_what_it_says_about_itself_can_be_recorded(name):
    kernel_class = available(name)
    facts = kernel_class(MNIST, made_once(MNIST)).describe()
    assert Facts.of(**json.loads(json.dumps(facts.as_dict()))) == facts
    assert facts.threads is None or facts.threads >= 1


def test_facts_of_any_record_are_read_and_none_is_lost():
    told = {"threads": "many", "cls": 1, "self": [2], "arithmetic": "fp32", "overrides": None, "pool_bytes": True}
    facts = Facts.of(**told)
    assert (facts.threads, facts.pool_bytes, facts.arithmetic, facts.overrides) == (None, None, "fp32", "")
    assert facts.as_dict() == told
    assert facts.also(threads=3).as_dict() == {**told, "threads": 3}


@pytest.mark.parametrize("name", [name for name in contestants.NAMES if name in registry.peers()])
def test_it_uses_the_threads_that_it_is_given(name, tmp_path):
    """One, where each would take all processors. In a process of its own, whose home stays as it is."""
    available(name)
    code = """
import json, sys
import numpy as np
from mlpbench.kernels import registry
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST
cls = registry.load(sys.argv[1])
cls.probe()
kernel = cls(MNIST, seeded(MNIST))
kernel.synchronize(kernel.forward(kernel.from_host(np.ones((2, 784), np.float32))))
print(json.dumps([kernel.describe().threads, bool(sys.modules.get("openvino_telemetry"))]))
"""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), 1)
    assert printed(code, name, HOME=tmp_path, **threads) == [1, False]
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "name", [name for name in contestants.OURS if "parallel" not in name and name not in contestants.STAND_INS]
)
def test_instances_do_not_share_buffers(name):
    """An instance belongs to one thread, and each thread may have one."""
    kernel_class, params = available(name), made_once(MNIST)
    x = np.random.default_rng(0).random((64, 784), np.float32)
    expected = kernel_class(MNIST, params).forward(x).copy()

    def work(kernel, start):
        for _ in range(10):
            batch, single = kernel.forward(x[start : start + 30]), kernel.forward_one(x[start])
            np.testing.assert_allclose(batch, expected[start : start + 30], rtol=0, atol=1e-5)
            np.testing.assert_allclose(single, expected[start], rtol=0, atol=1e-5)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, [kernel_class(MNIST, params) for _ in range(3)], (0, 17, 34)))


@pytest.mark.parametrize("name", contestants.COMPILED)
def test_what_it_was_not_compiled_for_is_refused_and_not_read_out_of_bounds(name):
    kernel = available(name)(MNIST, made_once(MNIST))
    for x in (np.zeros((3, 783), "f"), np.zeros((3, 784)), np.zeros((784, 3), "f").T, [[0.0] * 784]):
        for call, refused in ((kernel.forward, x), (kernel.forward_one, x[0])):
            with pytest.raises((ValueError, TypeError)):
                call(refused)


# The numbers that the book prints, and others that are known

#: One row and many may be summed in another order on a GPU; tensor cores read 11 bits of a number, bfloat16 has 8.
TOLERANCE, ON_A_GPU = {"float32": 2e-7, "float64": 6e-9}, 2e-6
#: The share of hits by which coarser products may be off.
ACCURACY = {"tf32": 1e-3, "fp16": 1e-3, "bf16": 2e-3, "int8": 3e-3}
COARSE = {"tf32": 2e-3, "fp16": 2e-3, "bf16": 5e-3}


def diagonal(spec, value=1.0):
    """Return parameters with ``value`` on the diagonals, so that sums are known, and no bias."""
    return Params(tuple(value * np.eye(*shape) for shape in spec.layers), tuple(np.zeros(n) for _, n in spec.layers))


def through(kernel_class, spec, params, x):
    """Return the outputs of rows given in a batch and those of the same rows given one at a time."""
    kernel = kernel_class(spec, params)
    with np.errstate(over="ignore", invalid="ignore"):  # NumPy's kernels let exp overflow, as they say
        return computed(kernel, x), computed_singly(kernel, x)


#: What a hidden activation, or softmax, makes of numbers, through an identity matrix.
KNOWN = [
    ("sigmoid", [7, 4, 6, -2, -1, 2], [0.9990889488, 0.98201379, 0.99752738, 0.11920292, 0.26894142, 0.88079708]),
    ("sigmoid", [-1e4, 1e4, 0], [0, 1, 0.5]),
    ("step", [3, -6, 4, -1, 0], [1, 0, 1, 0, 0]),
    ("relu", [3, -6, 4, -1, 0], [3, 0, 4, 0, 0]),
    ("tanh", [-1e4, 1e4, 0], [-1, 1, 0]),
    ("gelu", [-1e4, 1e4, 0], [0, 1e4, 0]),
    ("silu", [-1e4, 1e4, 0], [0, 1e4, 0]),
    ("leaky-relu:0.2", [-1, 1, 0], [-0.2, 1, 0]),
    ("softmax", [0.3, 2.9, 4.0], [0.01821127, 0.24519181, 0.73659691]),
    ("softmax", [1010, 1000, 990], [0.9999546, 4.5397869e-05, 2.0610600e-09]),
    ("softmax", [0, 0, 0], [1 / 3] * 3),
    ("softmax", [-1e4, 1e4, 0], [0, 1, 0]),
]
#: A1, Z1, A2 and Z2 of the text: the network cut off after each step.
LAYERS = [
    (1, False, [0.3, 0.7, 1.1]),
    (1, True, [0.57444252, 0.66818777, 0.75026011]),
    (2, False, [0.51615984, 1.21402696]),
    (2, True, [0.62624937, 0.7710107]),
    (3, False, [0.31682708, 0.69627909]),
]


@every_dtype
@every_kernel
def test_known_answers(name, dtype):
    kernel_class = available(name)
    if kernel_class.arithmetic == "int8":
        pytest.skip("its steps are a share of all values: the gate says how far off it may be")
    known, worked = [], hand_worked()
    for function, a, expected in KNOWN:
        kinds = ("sigmoid", "softmax") if function == "softmax" else (function, "identity")
        spec = ForwardSpec((len(a),) * (2 if function == "softmax" else 3), *kinds, dtype)
        known.append((spec, diagonal(spec), a, expected))
    for n_layers, is_hidden, expected in LAYERS:
        weights, biases = worked.weights[:n_layers], worked.biases[:n_layers]
        n = weights[-1].shape[1]
        if is_hidden:  # one more layer that changes nothing, so that this one is hidden
            weights, biases = (*weights, np.eye(n)), (*biases, np.zeros(n))
        params = Params(weights, biases)
        known.append((ForwardSpec(params.sizes, "sigmoid", "identity", dtype), params, [1.0, 0.5], expected))
    assert replace(HAND_WORKED, dtype=dtype) == known[-1][0]
    coarse = COARSE.get(kernel_class.arithmetic, 0)
    on_a_gpu = ON_A_GPU if kernel_class.device == "cuda" and dtype == "float32" else 0
    for spec, params, a, expected in some(known, name):
        if supported(kernel_class, spec):
            allowed = 4 * max(TOLERANCE[dtype], on_a_gpu, coarse)
            for y in through(kernel_class, spec, params, np.array([a], dtype)):
                exact = spec.hidden in ("step", "relu")
                assert y[0] == pytest.approx(expected, rel=coarse, abs=0 if exact else allowed), (spec, a)


@pytest.mark.parametrize("name", contestants.INSTALLED)
def test_the_books_accuracy_exactly(name, mnist_dir):
    """0.9352 of the 10,000 test images, one at a time and in batches (section 3.6)."""
    from mlpbench.bench.data.datasets import mnist
    from mlpbench.kernels.conformance import predict

    data = mnist()
    kernel = available(name)(MNIST, load_params(mnist_dir / "sample_weight.pkl", MNIST))
    x = data.inputs("float32")
    for batch_size in (None, 100, 10_000):
        right = np.mean(predict(kernel, x, batch_size) == data.labels)
        assert right == pytest.approx(0.9352, abs=ACCURACY.get(kernel.arithmetic, 1e-9))


# Extremes: NaN, infinity, denormals, large sums, no rows: our kernels give one answer


def hold(kernel_class, spec, params, x, expected, **tolerance):
    """Compare the outputs of a batch, and of one row at a time, with what is expected; return those of the batch."""
    batch, singly = through(kernel_class, spec, params, x)
    np.testing.assert_allclose(batch, expected, **tolerance)
    np.testing.assert_allclose(singly, expected, **tolerance)
    return batch


@our_kernels
def test_nan_and_infinity_stay_in_their_row_and_go_where_the_formula_puts_them(name):
    """The padding of panels and tiles must not turn an infinity into NaN, nor swallow a NaN."""
    kernel_class = available(name)
    for sizes, hidden in product(((7, 5, 3), (70, 50, 3)), ("sigmoid", "relu", "step")):
        spec = ForwardSpec(sizes, hidden, "identity")
        x = np.random.default_rng(0).random((13, sizes[0]), np.float32)
        for bad in (np.nan, np.inf, -np.inf):
            x[4, 2] = bad
            with np.errstate(invalid="ignore"):
                expected = reference.forward(spec, made_once(spec), x)
            y = hold(kernel_class, spec, made_once(spec), x, expected, rtol=1e-5, atol=2e-5)
            assert np.isfinite(np.delete(y, 4, axis=0)).all()
    for where in ((2, 1), (2, 49)):  # in a tile, and in a single column
        spec = ForwardSpec((70, 50, 3), "relu", "softmax")
        params = seeded(spec)
        params.weights[0][where] = np.nan
        assert np.isnan(computed(kernel_class(spec, params), np.ones((6, 70), np.float32))).all()


@our_kernels
@every_dtype
def test_large_logits_the_ends_of_sigmoid_and_denormals(name, dtype):
    kernel_class, tiny = available(name), {"float32": 1e-38, "float64": 1e-307}[dtype]
    n = 70  # more than a panel of columns, no multiple of a vector
    spec = ForwardSpec((n, n), output="softmax", dtype=dtype)
    x = np.zeros((5, n), dtype)
    x[0, 69], x[1, 0], x[2, :] = 1e4, -1e4, -1e4
    x[3, 1:], x[4] = -90.0, np.linspace(-104, 0, n)
    rtol = 1e-5 if dtype == "float32" else 1e-13
    y = hold(kernel_class, spec, diagonal(spec), x, reference.softmax(x), rtol=rtol, atol=1e-44)
    np.testing.assert_array_equal(y[0], np.eye(n)[69])

    # One input for one neuron: beside it, an infinity would be multiplied by zero.
    spec = ForwardSpec((1, 1, 1), "sigmoid", "identity", dtype)
    x = np.array([[-1e4], [1e4], [-1e30], [1e30], [-np.inf], [np.inf], [0], [np.nan]], dtype)
    expected = [[0], [1], [0], [1], [0], [1], [0.5], [np.nan]]
    smallest = 1.2e-38 if dtype == "float32" else 1e-300  # what the vector kernels have for 0
    hold(kernel_class, spec, diagonal(spec), x, expected, rtol=1e-7, atol=smallest)

    spec = ForwardSpec((40, 50), output="identity", dtype=dtype)
    x = np.full((9, 40), 1e-3 * tiny, dtype)
    x[:, 0] = 100 * tiny
    assert 1e-3 * tiny < np.finfo(dtype).tiny
    weights = Params((np.full((40, 50), 1e-3, dtype),), (np.zeros(50),))
    hold(kernel_class, spec, weights, x, np.full((9, 50), 0.1 * tiny), rtol=1e-3)


@our_kernels
@every_dtype
def test_sums_of_1e30_and_beyond_the_largest_float_and_a_batch_of_no_rows(name, dtype):
    kernel_class = available(name)
    for output in ("identity", "softmax"):
        spec = ForwardSpec((33, 35, 20), "relu", output, dtype)
        params = made_once(spec)
        large = Params(tuple(1e15 * W for W in params.weights), tuple(1e15 * b for b in params.biases)).astype(dtype)
        x = np.random.default_rng(0).random((11, 33)).astype(dtype)
        expected = reference.forward(spec, large, x)
        y = hold(kernel_class, spec, large, x, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        assert output == "identity" or y.max(axis=1).tolist() == [1.0] * 11, "certainty, and not NaN"

    spec = ForwardSpec((20, 20, 20), "relu", "identity")
    x = np.ones((7, 20), np.float32)
    x[2, 3], x[5, 4] = 1e30, -1e30
    weights = Params(tuple(W + 1e-3 for W in diagonal(spec, 1e10).weights), (np.zeros(20),) * 2)
    y, _ = through(kernel_class, spec, weights, x)
    assert np.isinf(y[2]).all()
    np.testing.assert_allclose(np.delete(y, [2, 5], axis=0), y[0:1].repeat(5, axis=0), rtol=1e-6)
    assert np.isfinite(np.delete(y, 2, axis=0)).all()

    spec = ForwardSpec(MNIST.sizes, dtype=dtype)
    empty = computed(kernel_class(spec, made_once(spec)), np.zeros((0, 784), dtype))
    assert (empty.shape, empty.dtype) == ((0, 10), dtype)
