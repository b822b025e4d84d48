"""Where words in a chart stand, and where an axis of shares ends: nothing is cut off, or lies over a name."""

import pytest

from mlpbench.bench.analysis.roofline import Roofs
from mlpbench.bench.report.charts.bandwidth import _seen
from mlpbench.bench.report.charts.base import share_domain
from mlpbench.bench.report.charts.explain import _words_at
from mlpbench.bench.report.charts.roofline import _peak_names, apart


def bar(start, end):
    return {"x": start, "x2": end}


@pytest.mark.parametrize(
    ("start", "end", "place", "at"),
    [
        (0.0, 1.0, "in", 0.0),
        (0.0, 0.3, "right", 0.3),
        (0.45, 1.0, "in", 0.45),
        (0.6, 1.0, "left", 0.6),
        (0.3, 0.7, "in", 0.3),
        (-7.0, 0.2, "right", 0.2),
        (-7.0, 9.0, "in", 0.0),
        (3.0, 4.0, "left", 1.0),
        (-4.0, -3.0, "right", 0.0),
    ],
)
def test_words_stand_where_there_is_room_and_never_off_the_axis(start, end, place, at):
    assert _words_at(bar(start, end), 0.0, 1.0) == {"words": place, "at": at}


def test_an_axis_holds_0_and_1_and_ends_where_disturbed_runs_do_not():
    assert share_domain([bar(0.2, 0.7)]) == [0.0, 1.02]
    assert share_domain([bar(-0.4, 1.5)]) == pytest.approx([-0.42, 1.53])
    assert share_domain([bar(-30, 50)]) == pytest.approx([-1.05, 2.04])


def test_a_piece_has_its_words_in_the_middle_of_what_is_seen_of_it():
    assert _seen(bar(0.0, 3.0), -1.0, 2.0) == {"seen": pytest.approx(2 / 3), "middle": 1.0}
    assert _seen(bar(4.0, 5.0), -1.0, 2.0)["seen"] == 0


@pytest.mark.parametrize(
    ("values", "moved"),
    [
        ([], []),
        ([3.0, 1.0], [3.0, 1.0]),
        ([1.0, 1.0], [1.0, 2.0]),
        ([2.0, 1.8, 9.0], [2.8, 1.8, 9.0]),
        ([0.0, 0.9, 1.8], [0.0, 1.0, 2.0]),
    ],
)
def test_names_of_near_roofs_move_apart_and_others_stay(values, moved):
    assert apart(values, 1.0) == pytest.approx(moved, abs=1e-6)


def test_peaks_that_are_nearly_one_have_one_name():
    def peaks(*rates):
        roofs = [Roofs(n, rate, "multiply-add", {"L1": 1e11}, {}) for n, rate in enumerate(rates, 1)]
        return [row["label"] for row in _peak_names(roofs, 100.0, [1.0, 500.0])]

    assert peaks(250e9, 251e9) == ["multiply-add, 1 thread; multiply-add, 2 threads"]
    assert peaks(250e9, 490e9) == ["multiply-add, 1 thread", "multiply-add, 2 threads"]
