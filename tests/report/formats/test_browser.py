"""The HTML report in a real browser, headless: it draws, it is quiet, it asks nobody, it fits."""

import shutil

import pytest

from support.browsing import Page, contrast
from support.reports import KERNELS, SIZES

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402

#: Without a sandbox, because CI runs as root.
SWITCHES = "headless=new no-sandbox disable-gpu disable-dev-shm-usage no-first-run hide-scrollbars"
QUIET = "disable-background-networking disable-component-update disable-sync"
NUMBA = ".legend button[data-name=numba]"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start Chromium, or skip where there is none."""
    names = {"Chromium": ("chromium", "chromium-browser", "google-chrome"), "chromedriver": ("chromedriver",)}
    found = {name: next(filter(None, map(shutil.which, tried)), None) for name, tried in names.items()}
    lacking = [name for name, path in found.items() if path is None]
    if lacking:
        pytest.skip(f"no {' and no '.join(lacking)} on PATH (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found["Chromium"]
    for switch in (*SWITCHES.split(), *QUIET.split(), f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(found["chromedriver"]))
    yield Page(driver)
    driver.quit()


def test_both_charts_are_drawn(browser, reports):
    page = browser.open(reports.file("one"))
    for chart in ("time", "speedup"):
        assert len(page.marks(chart, "line")) == len(KERNELS)
        assert len(page.marks(chart, "area")) == len(KERNELS)
        box = page.ask(f"return document.querySelector('#chart-{chart} svg').getBoundingClientRect().toJSON()")
        assert box["width"] > 400
        assert box["height"] > 300
    assert len(page.marks("time", "symbol")) > len(page.marks("speedup", "symbol"))  # the single calls
    shapes = page.ask("return Array.from(document.querySelectorAll('.legend path'), p => p.getAttribute('d'))")
    assert len(set(shapes)) == len(KERNELS)
    single = browser.open(reports.file("single"))
    assert single.marks("time", "area") == [], "one repeat has no band"
    assert len(single.marks("time", "line")) == len(KERNELS)


def test_the_console_is_silent_and_the_network_too(browser, reports):
    for name in ("one", "two", "single", "explained", "book", "levels", "sweep"):
        page = browser.open(reports.file(name))
        page.ask("window.scrollTo(0, document.body.scrollHeight)")
        assert page.driver.get_log("browser") == []
        asked = page.requests()
        assert asked[0] == reports.file(name).as_uri()
        assert [url for url in asked[1:] if not url.startswith("data:")] == []


def test_the_policy_holds(browser, reports):
    """What the page does not do by itself it cannot be made to do either."""
    page = browser.open(reports.file("one"))
    page.ask(
        """
        const script = document.createElement('script');
        script.textContent = 'window.injected = true';
        document.body.append(script);
        document.body.insertAdjacentHTML('beforeend', '<img src="https://example.invalid/x.png">');
        """
    )
    assert page.ask("return window.injected") is None
    blocked = [entry["message"] for entry in page.driver.get_log("browser")]
    assert len([message for message in blocked if "Content Security Policy" in message]) == 2


def test_dark_is_dark_to_the_last_label_without_a_reload_and_paper_is_light(browser, reports):
    light = browser.open(reports.file("one"), scheme="light").colours()
    browser.emulate("dark")
    dark = browser.colours()
    assert browser.open(reports.file("one"), scheme="dark").colours() == dark
    for what in ("page", "text", "label", "title", "grid", "line"):
        assert light[what] != dark[what], what
    for scheme in (light, dark):
        for what in ("text", "label", "title"):
            assert contrast(scheme[what], scheme["page"]) > 4.5, what
        assert contrast(scheme["line"], scheme["page"]) > 3
    browser.emulate("dark", media="print")
    assert browser.colours() == light


@pytest.mark.parametrize("name", ["one", "two", "explained", "book", "levels", "many", "sweep"])
def test_a_phone_scrolls_down_only(browser, reports, name):
    page = browser.open(reports.file(name), width=390)
    assert page.ask("return document.documentElement.scrollWidth") == 390
    assert page.ask("return getComputedStyle(document.body).fontSize") == "16px"
    wide = page.ask("return Array.from(document.querySelectorAll('.scroll'), s => [s.scrollWidth, s.clientWidth])")
    assert any(inner > outer for inner, outer in wide)  # a table scrolls in its own box
    assert all(outer <= 390 for _, outer in wide)
    sizes = page.ask("return Array.from(document.querySelectorAll('.chart svg'), s => s.getBoundingClientRect().width)")
    assert all(300 < size <= 390 for size in sizes)


def test_a_name_in_the_legend_switches_its_line_in_both_charts(browser, reports):
    page = browser.open(reports.file("one"))
    for pressed, lines in (("false", 2), ("true", 3)):
        page.click(NUMBA)
        assert page.ask(f"return document.querySelector('{NUMBA}').getAttribute('aria-pressed')") == pressed
        for chart in ("time", "speedup"):
            page.until(lambda chart=chart, lines=lines: len(page.marks(chart, "line")) == lines)


def test_what_the_speedup_is_made_of_is_drawn_and_follows_the_legend(browser, reports):
    """A bar for the whole, for each of four causes and for what is left; a symbol for every call and every case."""
    page = browser.open(reports.file("explained"))

    def drawn():
        return page.bars("waterfall-0"), len(page.marks("hockney-0", "symbol")), len(page.marks("roofline-0", "symbol"))

    everything = (6 * len(KERNELS), len(SIZES) * len(KERNELS), (1 + len(SIZES)) * len(KERNELS))
    assert drawn() == everything
    for word in ("one at a time", "calls saved", "weights reused", "arithmetic units", "unexplained", "numpy"):
        assert word in page.words("waterfall-0")
    page.click(NUMBA)
    without = tuple(count // len(KERNELS) * (len(KERNELS) - 1) for count in everything)
    page.until(lambda: drawn() == without)


def test_the_books_cell_the_timeline_and_the_harness_are_drawn(browser, reports):
    """Two bars of five parts; of each of three processes a line, two cases, one disturbed, three spins, two calls."""
    page = browser.open(reports.file("book"))
    assert len(page.marks("book", "rect")) == 2 * 5
    for word in ("loading the data", "initialising", "inferring", "counting", "one by one", "400 ms", "200 ms"):
        assert word in page.words("book")
    assert len(page.marks("timeline-0", "line")) == 3
    assert len(page.marks("timeline-0", "symbol")) == 3 * 2 + 3
    assert "load" in page.words("timeline-0")
    assert len(page.marks("clock-0", "symbol")) == 3 * 3
    assert len(page.marks("harness-0", "symbol")) == 3 * 2


def test_what_the_gain_is_made_of_is_drawn_for_each_level(browser, reports):
    """A heading for each kernel, a bar for each of its networks, and a piece for each of four parts."""
    page = browser.open(reports.file("levels"))
    assert page.bars("bandwidth-0") == 4 * 2 * len(KERNELS)
    for word in (*KERNELS, "784-50-100-10 (L2)", "784-1024-1024-10 (L3)", "weights reused", "unexplained"):
        assert word in page.words("bandwidth-0")
    page.click(NUMBA)
    page.until(lambda: page.bars("bandwidth-0") == 4 * 2 * (len(KERNELS) - 1))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_heat_map_can_be_read(browser, reports, scheme):
    """A cell for every kernel and column, in words that stand out from it, whatever its shade."""
    page = browser.open(reports.file("one"), scheme=scheme)
    cells, words = page.ask(
        """
        const all = s => Array.from(document.querySelectorAll('#chart-heatmap-0 ' + s));
        return [all('.mark-rect.role-mark path').map(p => getComputedStyle(p).fill),
                all('.mark-text.role-mark text').map(t => [t.textContent, getComputedStyle(t).fill])];
        """
    )
    assert len(cells) == len(words) == len(KERNELS) * (1 + len(SIZES))
    assert {text for text, _ in words} == {"1.0x", "1.5x", "2.0x"}
    assert len(set(cells)) >= 3
    for cell, (_, word) in zip(cells, words, strict=True):
        assert contrast(cell, word) > 4.5


def test_the_heat_map_names_every_kernel_on_a_phone(browser, reports):
    page = browser.open(reports.file("one"), width=390)
    left, inside = page.ask(
        """
        const chart = document.querySelector('#chart-heatmap-0 svg').getBoundingClientRect().left;
        const names = Array.from(document.querySelectorAll('#chart-heatmap-0 .role-axis-label text'));
        return [chart, names.map(n => n.getBoundingClientRect().left)];
        """
    )
    assert min(inside) >= left, "no name is cut off"
    assert page.words("heatmap-0").count("1.0x") == 1 + len(SIZES)


def test_runs_have_a_legend_where_there_are_two(browser, reports):
    page = browser.open(reports.file("two"))
    assert len(page.marks("time", "line")) == 2 * len(KERNELS)
    lines = "document.querySelectorAll('#chart-time .mark-line path')"
    assert len(set(page.ask(f"return Array.from({lines}, p => p.getAttribute('stroke-dasharray'))"))) == 2
    page.click("[data-signal=hidden_runs] button")
    page.until(lambda: len(page.marks("time", "line")) == len(KERNELS))


def test_of_many_runs_the_first_is_drawn_and_others_when_they_are_switched_on(browser, reports):
    page = browser.open(reports.file("sweep"))
    assert len(page.marks("time", "line")) == 9
    page.click("[data-signal=hidden_runs] button", 2)
    page.until(lambda: len(page.marks("time", "line")) == 2 * 9)
    assert page.bars("heatmap-1") == 2 * 9, "a chart of one run does not follow"
    seen = "return document.querySelector('#kernel-by-kernel table').checkVisibility()"
    assert page.ask(seen) is False, "a folded table shows when it is opened"
    page.click("#kernel-by-kernel summary")
    assert page.ask(seen) is True


def test_a_chart_of_many_runs_is_drawn_when_it_is_opened_as_the_legend_says(browser, reports):
    page = browser.open(reports.file("many"))
    assert not page.marks("roofline-1", "symbol")
    page.click(NUMBA)
    page.click("#explained .fold > summary", 1)
    expected = (1 + len(SIZES)) * (len(KERNELS) - 1)
    page.until(lambda: len(page.marks("roofline-1", "symbol")) == expected)
    width = "return document.querySelector('#chart-roofline-1 svg').getBoundingClientRect().width"
    assert page.ask(width) > 1000
    assert not page.marks("roofline-2", "symbol"), "the next part is closed"


def test_a_symbol_tells_its_numbers(browser, reports):
    page = browser.open(reports.file("one"))
    target = page.ask("return Array.from(document.querySelectorAll('#chart-time .mark-symbol path')).pop()")
    webdriver.ActionChains(page.driver).move_to_element(target).perform()
    shown = "const t = document.querySelector('#vg-tooltip-element.visible'); return t && t.innerText"
    page.until(lambda: page.ask(shown))
    tip = page.ask(shown)
    for word in ("kernel", "batch size", "time per sample", " to ", "speedup"):
        assert word in tip
