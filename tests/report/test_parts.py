"""Sections and charts register themselves: what was asked comes first, and a report does without any one of them."""

import re
from pkgutil import iter_modules
from types import SimpleNamespace

import pytest

from mlpbench.bench.report import charts, parts, render, sections
from mlpbench.bench.report.formats import html
from mlpbench.bench.report.parts import Findings
from mlpbench.bench.report.sections import scaling

NAMES = [module.name for module in iter_modules(sections.__path__)]


def findings(*profiles, known=()):
    runs = tuple(
        SimpleNamespace(plan=SimpleNamespace(profile=profile, sweep=None), setting=None) for profile in profiles
    )
    return Findings(runs, (), (), (), kept={scaling.gained: (), **dict(known)})


def answer(slug, found):
    return next(part for part in parts.registered() if part.slug == slug).answer(found)


@pytest.fixture
def without(monkeypatch):
    """Return what takes a module of a package away: its name."""

    def take(name):
        monkeypatch.setattr(parts, "iter_modules", lambda path: [one for one in iter_modules(path) if one.name != name])
        parts.registered.cache_clear()
        parts.charts.cache_clear()

    yield take
    parts.registered.cache_clear()
    parts.charts.cache_clear()


@pytest.mark.parametrize(
    ("profiles", "scalings", "first"),
    [
        (["quick"], (), "charts"),
        (["quick", "quick"], ("threads",), "threads"),
        (["book"], (), "book"),
        (["book", "quick"], (), "charts"),
    ],
)
def test_the_first_section_is_what_the_profile_asks(profiles, scalings, first):
    assert parts.first(findings(*profiles, known={scaling.gained: scalings})).slug == first


def test_places_and_slugs_and_kinds_are_given_once():
    registered = parts.registered()
    for names in ([part.place for part in registered], [part.slug for part in registered]):
        assert len(set(names)) == len(names) > 15
    modules = [parts.import_module(f"{charts.__name__}.{one.name}") for one in iter_modules(charts.__path__)]
    assert len(parts.charts()) == sum(len(getattr(module, "CHARTS", ())) for module in modules) > 8


@pytest.mark.parametrize("name", NAMES)
def test_a_report_is_whole_without_any_one_module_of_sections(reports, without, name):
    slugs = (
        {part.slug for part in parts.import_module(f"{sections.__name__}.{name}").SECTIONS}
        if name != "trust"
        else set()
    )
    run = reports.runs("exact")
    whole = [one.slug for one in render.build(run).sections]
    without(name)
    document = render.build(run)
    assert [one.slug for one in document.sections] == [slug for slug in whole if slug not in slugs]
    assert render.write(document, "md")
    assert html.render(document)


def test_a_sweep_over_threads_names_the_fastest_and_who_gains_most(reports):
    document = render.build(reports.runs("axes"))
    fastest, gain = document.headline.lead.split(". ")
    assert re.fullmatch(
        r"Fastest: numpy with \d threads?, float(32|64), [\d.]+ ns per sample in batches of 1,000", fastest
    )
    assert gain.startswith("With 2 threads instead of 1 ")
    assert document.sections[0].slug == "threads"
