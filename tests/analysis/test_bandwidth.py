"""Where the gain is bandwidth: explanations whose causes are known, and runs of known networks."""

from dataclasses import replace

import pytest

from mlpbench.bench.analysis import bandwidth, explain
from mlpbench.bench.analysis.bandwidth import causes
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.report.sections.bandwidth import gain_table, sentences
from mlpbench.kernels.spec import ForwardSpec
from support import evidence_files as files
from support.explanations import CALLS, LARGE, MIDDLE, SMALL, WEIGHTS, explanation, kernel, network, parts

# -- which cause


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.80, 0.10, 0.02, 0.08), ("calls",)),
        ((0.00, 0.95, 0.01, 0.04), ("weights",)),
        ((0.10, 0.10, 0.75, 0.05), ("arithmetic",)),
        ((0.53, 0.45, 0.01, 0.01), ("calls",)),
        ((0.50, 0.495, 0.00, 0.005), ("calls", "weights")),
        ((0.495, 0.50, 0.00, 0.005), ("weights", "calls")),
        ((0.335, 0.33, 0.325, 0.01), ("calls", "weights", "arithmetic")),
        # What is unexplained is no cause, and may be the largest part.
        ((0.55, 0.10, 0.05, 0.30), ("calls",)),
        ((0.00, 0.51, 0.00, 0.49), ("weights",)),
        ((0.10, 0.30, 0.10, 0.50), None),
    ],
)
def test_the_largest_part_is_named(shares, expected):
    named, unclear = causes(parts(*shares))
    if expected is None:
        assert (named, unclear) == ((), "most of it is unexplained")
    else:
        assert unclear is None
        assert named == expected or set(named) == set(expected) == {"calls", "weights"}


def test_intervals_that_overlap_are_both():
    assert causes(parts(0.52, 0.46, 0.01, 0.01))[0] == ("calls",)
    assert causes(parts(0.52, 0.46, 0.01, 0.01, half=0.06))[0] == ("calls", "weights")


def test_without_the_arithmetics_part_it_is_in_the_unexplained_one():
    """Of kernels on a device: what beats both together is the cause."""
    assert causes(parts(0.8, 0.1, None, 0.1)) == (("calls",), None)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (parts(0.45, None, 0.2, 0.35), "not every cause was measured"),
        (parts(0.2, 0.1, None, 0.7), "most of it is unexplained"),
    ],
)
def test_what_cannot_be_said_has_a_reason(found, why):
    assert causes(found) == ((), why)


# -- what is compared


def test_levels_are_put_beside_each_other_the_nearest_first():
    found = [explanation(LARGE, {"numpy": WEIGHTS}), explanation(SMALL, {"numpy": CALLS, "numba": WEIGHTS})]
    (group,) = bandwidth.groups(found)
    assert [(place.kernel, place.level) for place in group.places] == [("numpy", "L2"), ("numpy", "DRAM")]
    assert list(dict.fromkeys(place.spec for place in group.places)) == [SMALL, LARGE]
    assert [place.is_bus for place in group.places] == [False, True]


@pytest.mark.parametrize(
    "changes",
    [{"threads": 2}, {"kind": "sigmoid/softmax float64"}, {"machine": "other"}, {"kind": "relu/softmax float32"}],
)
def test_only_what_differs_in_the_network_alone_is_compared(changes):
    found = [explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": WEIGHTS}, **changes)]
    assert bandwidth.groups(found) == []


def test_one_level_is_no_comparison():
    again = [explanation(SMALL, {"numpy": CALLS}), explanation(SMALL, {"numpy": CALLS}, run="another")]
    assert [bandwidth.groups(again[:number]) for number in range(3)] == [[], [], []]


def test_of_several_runs_of_the_same_the_last_counts():
    older = explanation(SMALL, {"numpy": WEIGHTS}, run="older")
    found = [older, explanation(LARGE, {"numpy": WEIGHTS}), explanation(SMALL, {"numpy": CALLS}, run="newer")]
    (group,) = bandwidth.groups(found)
    assert next((place.run, place.causes) for place in group.places) == ("newer", ("calls",))
    assert len(group.places) == 2


def test_more_than_half_is_the_largest_part_whatever_was_not_measured():
    assert causes(parts(0.8, None, 0.1, 0.1)) == (("calls",), None)


def test_a_part_that_nobody_knows_is_not_named_beside_the_largest():
    assert causes(parts(0.8, 0.0, 0.1, 0.1, half=0.3))[0] == ("calls",)
    assert causes(parts(0.5, 0.0, 0.4, 0.1, half=0.2))[0] == ("calls", "arithmetic")


def test_a_kernel_that_is_not_attributed_is_told_why():
    nothing = replace(explanation(SMALL, {}), kernels=(kernel("numpy", "L2", None, "it skips"),))
    (group,) = bandwidth.groups([nothing, explanation(LARGE, {"numpy": WEIGHTS})])
    assert (group.places[0].causes, group.places[0].unclear) == ((), "it skips")


# -- words


def test_a_sentence_for_each_network_and_one_for_the_book():
    both, unclear = parts(0.1, 0.4, 0.392, 0.108), parts(0.1, 0.2, 0.1, 0.6)
    small = {"numpy": CALLS, "numpy-out": CALLS, "numba-simd": parts(0.2, 0.6, 0.1, 0.1)}
    middle = {"numpy": both, "numpy-out": WEIGHTS, "numba-simd": unclear}
    large = dict.fromkeys(middle, WEIGHTS)
    found = [explanation(spec, of) for spec, of in ((SMALL, small), (MIDDLE, middle), (LARGE, large))]
    (group,) = bandwidth.groups(found)
    assert [(place.kernel, place.level) for place in group.by_kernel] == [
        (name, level) for name in ("numpy", "numpy-out", "numba-simd") for level in ("L2", "L3", "DRAM")
    ], "kernel by kernel, the nearest network first"
    once = "the weights are read once for a batch of 100, and not once for each row"
    near, further, far, bus = sentences(group)
    assert near == (
        "784-50-100-10, 177.2 KiB of weights in L2: the gain is calls for numpy (80 %) and numpy-out (80 %); "
        f"bandwidth for numba-simd (60 %); {once}."
    )
    assert further == (
        "784-1024-1024-10, 7.109 MiB of weights in L3: the gain is bandwidth and arithmetic units for numpy "
        "(40 % and 39 %); bandwidth for numpy-out (95 %); not explained for numba-simd: most of it is unexplained; "
        f"{once}."
    )
    assert far == (
        "784-8192-4096-10, 152.7 MiB of weights in DRAM: the gain is bandwidth for numpy (95 %), numpy-out (95 %) and "
        f"numba-simd (95 %); {once}."
    )
    assert bus == (
        '"Bus bandwidth" is right for 784-8192-4096-10 (DRAM; numpy, numpy-out, numba-simd). Bandwidth too, but of a '
        "cache and not of the memory: 784-50-100-10 (L2; numba-simd) and 784-1024-1024-10 (L3; numpy-out). Something "
        "else, or not bandwidth alone: 784-50-100-10 (L2; numpy, numpy-out) and 784-1024-1024-10 (L3; numpy). Not "
        "explained: 784-1024-1024-10 (L3; numba-simd)."
    )


def test_where_the_bus_is_nowhere_right_it_is_said():
    (group,) = bandwidth.groups([explanation(SMALL, {"numpy": CALLS}), explanation(MIDDLE, {"numpy": WEIGHTS})])
    assert sentences(group)[-1].startswith('"Bus bandwidth" is right for none of these. Bandwidth too')


def test_disturbed_roofs_are_told_where_they_count():
    found = [explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": WEIGHTS}, disturbed=True)]
    (group,) = bandwidth.groups(found)
    assert any(line.startswith("Something else ran") for line in sentences(group))


def test_rows_have_gain_parts_and_the_finding():
    (group,) = bandwidth.groups([explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": WEIGHTS})])
    first, last = gain_table(group).rows
    shares = ("80 %, 79 to 81", "10 %", "2 %, 1 to 3", "8 %, 7 to 9")
    assert first == ("numpy", SMALL, "L2", "calls", "11.0x (10.5 to 11.5)", "10.0 µs", *shares)
    assert last[2:4] == ("DRAM", "bandwidth")
    assert len(first) == len(gain_table(group).columns)


# -- from files


def test_a_run_is_placed_by_its_caches(tmp_path):
    wide = network([784, 8192, 4096, 10])
    read = ForwardSpec.parse(LARGE).weight_bytes() / files.READ["DRAM"]
    batch = {("numpy", "batched", size): read / size + 5e-4 for size in (1, 10, 100)}
    slow = {("numpy", "per_sample", 10): read + 5e-4, **batch}
    runs = [files.write(tmp_path, seed=1, repeats=3), files.write(tmp_path, slow, seed=2, repeats=3, spec=wide)]
    (group,) = bandwidth.groups([explain.find(run, summarize([run])) for run in runs])
    assert [(place.spec, place.level, place.causes) for place in group.places] == [
        (SMALL, "L2", ("calls",)),
        (LARGE, "DRAM", ("weights",)),
    ]
    found = group.places[1].attribution
    assert 0.8 < found.share("weights") <= 1
