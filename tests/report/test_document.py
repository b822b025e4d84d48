"""Sections register themselves: what was asked comes first, and what nobody asked for is folded."""

import re

import pytest

from mlpbench.bench.report import document


@pytest.mark.parametrize(
    ("name", "opened"),
    [("exact", ["charts", "cases"]), ("axes", ["threads", "charts", "cases"]), ("book", ["book", "cases"])],
)
def test_what_was_asked_comes_first_and_all_but_charts_and_times_is_folded(reports, name, opened):
    sections = reports.document(name).sections
    assert [section.slug for section in sections if not section.folded] == opened
    assert sections[0].slug == opened[0]
    assert len(sections) > len(opened) + 3


def test_a_latency_budget_asks_for_its_section_and_places_and_slugs_are_given_once():
    assert document.answers(document.Findings((), (), (), p99_s=0.005)) == {"latency": ""}
    registered = document.registered()
    for names in ([part.place for part in registered], [part.slug for part in registered]):
        assert len(set(names)) == len(names) > 15


def test_a_sweep_over_threads_names_the_fastest_and_who_gains_most(reports):
    fastest, gain = reports.document("axes").headline.lead.split(". ")
    where = r"numpy with \d threads?, float(32|64), [\d.]+ ns per sample in batches of 1,000"
    assert re.fullmatch(f"Fastest: {where}", fastest)
    assert gain.startswith("With 2 threads instead of 1 ")
