"""Where an axis of shares ends."""

import pytest

from mlpbench.bench.wings.why.section import waterfall_charts
from support.explanations import SMALL, explanation, parts


@pytest.mark.parametrize(
    ("shares", "ends"),
    [
        ((0.5, 0.2, 0.2, 0.1), (0.0, 1.02)),
        ((2.0, -1.5, 0.2, 0.3), (-0.859, 1.02)),
        ((-30.0, 60.0, 0.0, -29.0), (-1.05, 2.04)),
    ],
)
def test_an_axis_holds_0_and_1_and_ends_where_disturbed_runs_do_not(shares, ends):
    (chart,) = waterfall_charts(explanation(SMALL, {"numpy": parts(*shares)}), {"numpy": "numpy"}).values()
    assert chart["layer"][0]["encoding"]["x"]["scale"]["domain"] == pytest.approx(ends, abs=1e-3)
