"""Which causes make a gain: explanations whose causes are known."""

import pytest

from mlpbench.bench.wings.why.explain import causes
from support.explanations import parts


@pytest.mark.parametrize(
    ("shares", "half", "expected"),
    [
        ((0.80, 0.10, 0.02, 0.08), 0.01, "calls"),
        ((0.00, 0.95, 0.01, 0.04), 0.01, "weights"),
        ((0.10, 0.10, 0.75, 0.05), 0.01, "arithmetic"),
        ((0.52, 0.46, 0.01, 0.01), 0.01, "calls"),
        ((0.52, 0.46, 0.01, 0.01), 0.06, "calls weights"),  # intervals that overlap
        ((0.495, 0.50, 0.00, 0.005), 0.01, "weights calls"),
        ((0.335, 0.33, 0.325, 0.01), 0.01, "calls weights arithmetic"),
        ((0.00, 0.51, 0.00, 0.49), 0.01, "weights"),  # what is unexplained is no cause, and may be the largest part
        ((0.8, 0.1, None, 0.1), 0.01, "calls"),  # of a device, the arithmetic is in the unexplained part
    ],
)
def test_the_largest_parts_are_named(shares, half, expected):
    assert causes(parts(*shares, half=half)) == (tuple(expected.split()), None)


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ((0.10, 0.30, 0.10, 0.50), "most of it is unexplained"),
        ((0.2, 0.1, None, 0.7), "most of it is unexplained"),
        ((0.45, None, 0.2, 0.35), "not every cause was measured"),
    ],
)
def test_what_cannot_be_said_has_a_reason(shares, why):
    assert causes(parts(*shares)) == ((), why)
