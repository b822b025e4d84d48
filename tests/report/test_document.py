"""Sections and charts register themselves: what was asked comes first."""

import re
from types import SimpleNamespace

import pytest

from mlpbench.bench.report import document, render
from mlpbench.bench.report.document import Findings
from mlpbench.bench.wings.threads import section as scaling


def findings(*profiles, known=()):
    plans = (SimpleNamespace(profile=profile, sweep=None) for profile in profiles)
    runs = tuple(SimpleNamespace(plan=plan, setting=None) for plan in plans)
    return Findings(runs, (), (), kept={scaling.gained: (), **dict(known)})


@pytest.mark.parametrize(
    ("profiles", "scalings", "first"),
    [
        (["quick"], (), "charts"),
        (["quick", "quick"], (SimpleNamespace(drawn=()),), "threads"),
        (["book"], (), "book"),
        (["book", "quick"], (), "charts"),
    ],
)
def test_the_first_section_is_what_the_profile_asks(profiles, scalings, first):
    assert next(iter(document.answers(findings(*profiles, known={scaling.gained: scalings}))), "charts") == first


def test_places_and_slugs_are_given_once():
    registered = document.registered()
    for names in ([part.place for part in registered], [part.slug for part in registered]):
        assert len(set(names)) == len(names) > 15


def test_a_sweep_over_threads_names_the_fastest_and_who_gains_most(reports):
    report = render.build(reports.runs("axes"))
    fastest, gain = report.headline.lead.split(". ")
    assert re.fullmatch(
        r"Fastest: numpy with \d threads?, float(32|64), [\d.]+ ns per sample in batches of 1,000", fastest
    )
    assert gain.startswith("With 2 threads instead of 1 ")
    assert report.sections[0].slug == "threads"
