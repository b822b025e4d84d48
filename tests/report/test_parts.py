"""Sections and charts register themselves: what was asked comes first, and a report does without any one of them."""

import re
from pkgutil import iter_modules
from types import SimpleNamespace

import pytest

from mlpbench.bench.report import charts, parts, render, sections
from mlpbench.bench.report.formats import html
from mlpbench.bench.report.parts import Findings
from mlpbench.bench.report.sections import explain, limits, scaling
from support.explanations import CALLS, LARGE, SMALL, WEIGHTS, explanation
from support.explanations import parts as shares

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


def test_memory_says_where_it_is_the_bus_and_nothing_where_nobody_knows():
    clear = [explanation(SMALL, {"numpy": CALLS}), explanation(LARGE, {"numpy": WEIGHTS})]
    nobody = [explanation(spec, {"numpy": shares(0.1, 0.1, 0.1, 0.7)}) for spec in (SMALL, LARGE)]
    for runs, text in ((clear, f'"Bus bandwidth" is right for {LARGE} (DRAM; numpy).'), (nobody, None)):
        assert answer("bandwidth", findings("memory", known={explain.of_report: runs})) == text


def test_a_run_beside_no_peer_of_its_kind_counts_no_places():
    """A kernel that keeps its buffer has nothing to be compared with in a run whose only peer makes new arrays."""
    nothing = SimpleNamespace(rows=())
    row = SimpleNamespace(places=(SimpleNamespace(ratio=SimpleNamespace(low=1.1, high=1.2)),))
    for settings, text in (
        ((nothing,), "None"),
        ((nothing, SimpleNamespace(rows=(row,))), "Beside the best peer, ours are faster in 1 of 1 "),
    ):
        assert str(answer("limits", findings("limits", known={limits.by_run: settings}))).startswith(text)
