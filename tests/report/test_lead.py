"""What was asked decides what a report says first, and which section follows."""

import re
from types import SimpleNamespace

import pytest

from mlpbench.bench.report import lead, render
from support.explanations import CALLS, LARGE, SMALL, WEIGHTS, explanation, parts


def run(profile):
    return SimpleNamespace(plan=SimpleNamespace(profile=profile))


@pytest.mark.parametrize(
    ("profiles", "scalings", "first"),
    [
        (["quick"], (), "charts"),
        (["quick", "quick"], ("threads",), "threads"),
        (["limits", "limits"], ("threads",), "limits"),
        (["memory"], (), "bandwidth"),
        (["book"], (), "book"),
        (["book", "limits"], (), "charts"),
    ],
)
def test_the_first_section_is_what_the_profile_asks(profiles, scalings, first):
    assert lead.first(list(map(run, profiles)), scalings) == first


def test_memory_says_where_it_is_the_bus_and_nothing_where_nobody_knows():
    clear = [explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": WEIGHTS})]
    said = f'"Bus bandwidth" is right for {LARGE} (DRAM; numpy).'
    assert lead.answer("bandwidth", (), (), (), clear) == said
    unclear = parts(0.1, 0.1, 0.1, 0.7)
    nobody = [explanation(spec, {"numpy": unclear}) for spec in (SMALL, LARGE)]
    assert lead.answer("bandwidth", (), (), (), nobody) is None


def test_a_sweep_over_threads_names_the_fastest_and_who_gains_most(reports):
    document = render.build(reports.runs("axes"))
    fastest, gain = document.headline.lead.split(". ")
    assert re.fullmatch(
        r"Fastest: numpy with \d threads?, float(32|64), [\d.]+ ns per sample in batches of 1,000", fastest
    )
    assert gain.startswith("With 2 threads instead of 1 ")
    assert document.sections[0].slug == "threads"


def test_a_run_beside_no_peer_of_its_kind_counts_no_places():
    """A kernel that keeps its buffer has nothing to be compared with in a run whose only peer makes new arrays."""
    nothing = SimpleNamespace(rows=())
    assert lead.answer("limits", (), [nothing], (), ()) is None
    place = SimpleNamespace(ratio=SimpleNamespace(low=1.1, high=1.2))
    found = SimpleNamespace(rows=(SimpleNamespace(places=(place,)),))
    assert lead.answer("limits", (), [nothing, found], (), ()).startswith(
        "Beside the best peer, ours are faster in 1 of 1"
    )
