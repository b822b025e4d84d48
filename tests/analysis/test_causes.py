"""Which causes make a gain: explanations whose causes are known."""

import pytest

from mlpbench.bench.wings.why.explain import causes
from support.explanations import parts


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
