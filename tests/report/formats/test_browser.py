"""The HTML report in a real browser, headless: it draws, it is quiet, it asks nobody, it fits."""

import base64
import json
import re
import shutil
from pathlib import Path

import pytest

from support.colours import contrast
from support.processes import wait_until
from support.reports import KERNELS, SIZES, TIMES

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402

pytestmark = pytest.mark.heavy

#: Without a sandbox, because CI runs as root.
SWITCHES = "headless=new no-sandbox disable-gpu disable-dev-shm-usage no-first-run hide-scrollbars"
QUIET = "disable-background-networking disable-component-update disable-sync"
NUMBA = ".legend button[data-name=numba]"
#: Boxes are a little smaller than they are, since a line of text has room above and below its letters.
OVERLAPS = """
    const found = [];
    const inner = r => [r.left + 1, r.right - 1, r.top + 3, r.bottom - 3];
    const box = e => [...inner(e.getBoundingClientRect()), e];
    const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && e.textContent.trim();
    const compare = elements => {
      const boxes = elements.filter(seen).map(box).filter(b => b[1] > b[0] && b[3] > b[2]).sort((a, b) => a[2] - b[2]);
      boxes.forEach((a, i) => {
        for (const b of boxes.slice(i + 1)) {
          if (b[2] >= a[3]) break;
          if (a[0] < b[1] && b[0] < a[1]) found.push([a[4].textContent.slice(0, 40), b[4].textContent.slice(0, 40)]);
        }
      });
    };
    document.querySelectorAll('.chart svg').forEach(svg =>
      compare(Array.from(svg.querySelectorAll('text')).filter(t => t.getAttribute('opacity') !== '0')));
    const texts = 'h1,h2,h3,h4,p,li,dl div,figcaption,summary,a,.legend button,code';
    compare(Array.from(document.querySelectorAll(texts)).filter(e => !e.querySelector('h2,p,li,a,button,code')));
    return found;
"""


class Page:
    """What the tests ask of the browser."""

    def __init__(self, driver):
        self.driver = driver
        self.ask = driver.execute_script

    def open(self, file, *, width=1280, scheme="light"):
        phone = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        self.emulate(scheme)
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # reading empties it
        self.driver.get(file.as_uri())
        self.until(lambda: self.ask("return document.documentElement.dataset.charts"))
        return self

    def emulate(self, scheme, media="screen"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def requests(self):
        """Return the addresses of everything that was asked for."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        kinds = ("Network.requestWillBeSent", "Network.webSocketCreated")
        sent = [message["params"] for message in messages if message["method"] in kinds]
        return [params.get("url") or params["request"]["url"] for params in sent]

    def marks(self, chart, role):
        """Return the paths of a kind of marks in a chart."""
        return self.ask(
            f"return Array.from(document.querySelectorAll('#chart-{chart} .mark-{role} path'),"
            " p => p.getAttribute('d')).filter(Boolean)"
        )

    def count(self, chart, marks):
        """Return how many marks there are in a chart: "rule.role-mark line", or "rect.role-mark path" of bars."""
        return self.ask(f"return document.querySelectorAll('#chart-{chart} .mark-{marks}').length")

    def words(self, chart):
        return self.ask(f"return document.querySelector('#chart-{chart}').textContent")

    def open_all(self):
        """Open every fold, and wait until the charts in them are drawn."""
        self.ask("document.querySelectorAll('details').forEach(part => { part.open = true; })")
        drawn = "return Array.from(document.querySelectorAll('.chart')).every(c => c.querySelector('svg .mark-group'))"
        self.until(lambda: self.ask(drawn))

    def overlaps(self):
        """Return pairs of texts that lie over each other: within a chart, and of the page's own."""
        return self.ask(OVERLAPS)

    def click(self, selector):
        self.ask("document.querySelector(arguments[0]).click()", selector)

    def until(self, condition):
        wait_until(condition, "the page to follow")

    def colours(self, chart="time"):
        """Return the computed colours of axis labels, grid and lines of a chart, and of the page."""
        return self.ask(
            """
            const fill = (s, p) => getComputedStyle(document.querySelector(s))[p], c = '#chart-' + arguments[0];
            return {page: fill('body', 'backgroundColor'), text: fill('body', 'color'),
                    label: fill(c + ' .role-axis-label text', 'fill'),
                    grid: fill(c + ' .role-axis-grid line', 'stroke'),
                    title: fill(c + ' .role-axis-title text', 'fill'), line: fill(c + ' .mark-line path', 'stroke')};
            """,
            chart,
        )


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
    driver.set_script_timeout(600)
    yield Page(driver)
    driver.quit()


def test_both_charts_are_drawn_and_stand_on_the_first_screen_below_heading_and_cards(browser, reports):
    page = browser.open(reports.file("one"))
    assert page.driver.title == "cupy 16x, 2026-11-24, Test CPU @ 2.50GHz"
    for chart in ("time", "speedup"):
        assert len(page.marks(chart, "line")) == len(KERNELS)
        assert page.count(chart, "rule.role-mark line") >= len(SIZES) * len(KERNELS), "one for each case"
        box = page.ask(f"return document.querySelector('#chart-{chart} svg').getBoundingClientRect().toJSON()")
        assert (box["width"] > 400, box["height"] > 300, box["bottom"] <= 800) == (True, True, True)
    assert len(page.marks("time", "symbol")) > len(page.marks("speedup", "symbol")), "the single calls"
    shapes = page.ask("return Array.from(document.querySelectorAll('.legend path'), p => p.getAttribute('d'))")
    assert len(set(shapes)) == len(KERNELS)
    single = browser.open(reports.file("single"))
    assert single.count("time", "rule.role-mark line") == 0, "one repeat has no interval"
    assert len(single.marks("time", "line")) == len(KERNELS)


def test_the_console_is_silent_and_the_network_too(browser, reports):
    for name in ("one", "two", "single", "sweep"):
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
    messages = []
    page.until(lambda: messages.extend(page.driver.get_log("browser")) or len(messages) >= 2)
    assert sum("Content Security Policy" in entry["message"] for entry in messages) == 2


def test_dark_is_dark_to_the_last_label_without_a_reload_and_paper_is_light(browser, reports):
    light = browser.open(reports.file("one"), scheme="light").colours()
    browser.emulate("dark")
    dark = browser.colours()
    assert browser.open(reports.file("one"), scheme="dark").colours() == dark
    assert all(light[what] != dark[what] for what in light)
    for scheme in (light, dark):
        assert min(contrast(scheme[what], scheme["page"]) for what in ("text", "label", "title")) > 4.5
        assert contrast(scheme["line"], scheme["page"]) > 3
    browser.emulate("dark", media="print")
    assert browser.colours() == light


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["explained", "noisy", "axes", "book", "months"])
def test_everything_fits_nothing_lies_over_anything_and_every_mark_is_told(browser, reports, name, width):
    """As it is, and with every fold open; in light and in dark, which may not move anything."""
    page = browser.open(reports.file(name), width=width)
    for scheme in ("light", "dark"):
        page.emulate(scheme)
        assert page.ask("return document.documentElement.scrollWidth") == width
        assert page.overlaps() == []
        page.open_all()
    assert page.ask("return getComputedStyle(document.body).fontSize") == "16px"
    assert page.ask(
        "return Array.from(document.querySelectorAll('.scroll'), s => s.clientWidth).every(w => w <= innerWidth)"
    )
    sizes = page.ask("return Array.from(document.querySelectorAll('.chart svg'), s => s.getBoundingClientRect().width)")
    assert all(200 < size <= width for size in sizes)
    assert page.driver.get_log("browser") == []
    marks = "[aria-roledescription=point],[aria-roledescription=bar],[aria-roledescription=circle]"
    every = f"return Array.from(document.querySelectorAll('{marks}'), mark => mark.getAttribute('aria-label'))"
    page.until(lambda: page.ask("return !document.querySelector('.chart:not([data-drawn])')") and page.ask(every))
    said = page.ask(every)
    assert all(said), "a screen reader hears of every mark what it shows"
    assert not [text for text in said if re.search(r"\d\.\d{5}", text)], "and no long number"


@pytest.mark.parametrize("name", ["explained", "noisy", "axes"])
def test_every_link_leads_to_a_part_which_opens(browser, reports, name):
    page = browser.open(reports.file(name))
    links, ids = page.ask(
        """
        return [Array.from(document.querySelectorAll('a'), a => a.getAttribute('href')),
                Array.from(document.querySelectorAll('[id]'), e => e.id)];
        """
    )
    assert len(links) > 5
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert len(set(ids)) == len(ids)
    seen = "return document.querySelector('#environment table').checkVisibility()"
    assert page.ask(seen) is False
    page.click("nav a[href='#environment']")
    page.until(lambda: page.ask(seen))
    page.until(lambda: page.ask("return document.querySelector('#environment').getBoundingClientRect().top") < 900)


@pytest.mark.parametrize("name", ["explained", "noisy", "axes", "months"])
def test_those_who_cannot_see_or_point_can_read_it(browser, reports, name):
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    rules = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    page = browser.open(reports.file(name))
    if name == "explained":
        page.open_all()
    else:  # the same is in the others' folds, and thousands of cells more
        page.ask("document.querySelectorAll('details').forEach(d => d.replaceChildren(d.querySelector('summary')))")
    page.ask(rules)
    for scheme, only in (("light", []), ("dark", ["color-contrast"])):
        page.emulate(scheme)
        broken = page.driver.execute_async_script(
            """
            const [skipped, rules, done] = arguments;
            const told = v => `${v.id}: ${v.nodes.slice(0, 3).map(n => n.html).join(' ')}`;
            const options = {resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {})};
            axe.run({exclude: skipped}, options).then(found => done(found.violations.map(told)));
            """,
            [] if name == "noisy" else [[".chart svg"]],  # of a thousand marks those of one page are enough
            only,
        )
        assert broken == [], scheme


def test_a_page_is_short_until_its_folds_are_opened_and_paper_has_them_all(browser, reports):
    page = browser.open(reports.file("quick"))
    assert page.ask("return document.documentElement.scrollHeight") <= 4000
    page.ask("window.dispatchEvent(new Event('beforeprint'))")
    page.until(lambda: page.marks("hockney-0", "symbol"))
    assert page.ask("return document.querySelector('#environment table').checkVisibility()")


def test_a_table_is_sorted_by_the_column_that_is_clicked_and_shows_the_rows_that_have_the_words_typed(browser, reports):
    page = browser.open(reports.file("one"))
    cells = "return Array.from(document.querySelectorAll('#cases tbody tr'), r => r.cells[3].textContent)"
    for direction in ("ascending", "descending"):
        page.click("#cases thead th:nth-child(4) button")
        head = "document.querySelector('#cases thead th:nth-child(4)')"
        assert page.ask(f"return {head}.getAttribute('aria-sort')") == direction
        units = {"ns": 1e-9, "µs": 1e-6}
        times = [float(text.split()[0]) * units[text.split()[1]] for text in page.ask(cells)]
        assert times == sorted(times, reverse=direction == "descending")
        assert len(times) == len(TIMES)
    page.ask(
        "const field = document.querySelector('#cases .filter input'); field.value = 'numba batch';"
        "field.dispatchEvent(new Event('input'))"
    )
    rows = "return Array.from(document.querySelectorAll('#cases tbody tr'), r => [r.checkVisibility(), r.textContent])"
    has_words = [(shown, "numba" in text and "batch" in text) for shown, text in page.ask(rows)]
    assert set(has_words) == {(True, True), (False, False)}


def test_a_name_in_the_legend_switches_its_line_and_times_are_shown_as_rates_and_as_gains_too(browser, reports):
    page = browser.open(reports.file("one"))
    for pressed, lines in (("false", 2), ("true", 3)):
        page.click(NUMBA)
        assert page.ask(f"return document.querySelector('{NUMBA}').getAttribute('aria-pressed')") == pressed
        for chart in ("time", "speedup"):
            page.until(lambda chart=chart, lines=lines: len(page.marks(chart, "line")) == lines)
    labels = "return Array.from(document.querySelectorAll('#chart-time .role-axis-label text'), t => t.textContent)"
    choices = page.ask("return Array.from(document.querySelectorAll('.unit option'), o => o.textContent)")
    assert choices[2:] == [f"times as fast as {name}, one at a time" for name in reversed(KERNELS)]
    choose = (
        "const s = document.querySelector('.unit select'); s.selectedIndex = {}; s.dispatchEvent(new Event('change'))"
    )
    for choice, ending in ((1, "/s"), (4, "x"), (0, "s")):
        page.ask(choose.format(choice))
        page.until(lambda ending=ending: sum(text.endswith(ending) for text in page.ask(labels)) > 2)


def test_a_chart_is_taken_along_as_a_picture_and_as_markdown(browser, reports):
    page = browser.open(reports.file("one"))
    page.ask(
        """
        window.taken = [];
        HTMLAnchorElement.prototype.click = function () { window.taken.push([this.download, this.href]); };
        navigator.clipboard.writeText = text => { window.taken.push(['clipboard', text]); return Promise.resolve(); };
        """
    )
    page.click("[data-png=time]")
    page.until(lambda: page.ask("return window.taken.length"))
    ((name, address),) = page.ask("return window.taken")
    picture = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert (name, picture[:4], len(picture) > 20_000) == ("time.png", b"\x89PNG", True)
    page.click("#charts [data-markdown]")
    where, text = page.ask("return window.taken[1]")
    assert (where, text.startswith("### Time per sample\n"), "| numba |" in text) == ("clipboard", True, True)


def test_the_first_use_of_a_word_in_a_section_opens_its_meaning(browser, reports):
    page = browser.open(reports.file("one"))
    for section in ("#charts", "#cases"):
        words = page.ask(f"return Array.from(document.querySelectorAll('{section} a.word'), a => a.hash)")
        assert len(words) == len(set(words)) > 1
    meaning = "return document.querySelector(':target')?.nextSibling.checkVisibility()"
    page.click("#cases a.word")
    page.until(lambda: page.ask(meaning))


def test_what_the_speedup_is_made_of_is_drawn_and_follows_the_legend(browser, reports):
    """A bar for the whole, for each of four causes and for what is left; a symbol for every call and every case."""
    page = browser.open(reports.file("explained"))
    page.click("nav a[href='#explained']")
    page.until(lambda: page.marks("share-0", "symbol"))
    bars = [page.count(f"waterfall-0_{number}", "rect.role-mark path") for number in range(len(KERNELS))]
    assert bars == [6] * len(KERNELS)
    words = page.words("waterfall-0_0")
    causes = ("calls saved", "weights reused", "arithmetic units", "unexplained")
    assert all(word in words for word in ("one at a time", *causes, "batches of 1,000"))
    cases = (1 + len(SIZES)) * len(KERNELS)
    assert len(page.marks("share-0", "symbol")) == cases
    assert not page.marks("hockney-0", "symbol"), "behind a fold"
    page.click(NUMBA)
    page.open_all()
    expected = {"share-0": 1 + len(SIZES), "hockney-0": len(SIZES)}
    for chart, symbols in expected.items():
        page.until(lambda chart=chart, n=symbols: len(page.marks(chart, "symbol")) == n * (len(KERNELS) - 1))
    width = "return document.querySelector('#chart-hockney-0 svg').getBoundingClientRect().width"
    assert page.ask(width) > 700, "a chart that was hidden has found its place"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_heat_map_can_be_read(browser, reports, scheme, width):
    """A cell for every kernel and column, in words that stand out from it, whatever its shade; no name is cut off."""
    page = browser.open(reports.file("one"), scheme=scheme, width=width)
    page.click("nav a[href='#heatmap']")
    page.until(lambda: page.words("heatmap"))
    cells, words, left, inside = page.ask(
        """
        const all = s => Array.from(document.querySelectorAll('#chart-heatmap ' + s));
        return [all('.mark-rect.role-mark path').map(p => getComputedStyle(p).fill),
                all('.mark-text.role-mark text').map(t => [t.textContent, getComputedStyle(t).fill]),
                all('svg')[0].getBoundingClientRect().left,
                all('.role-axis-label text').map(t => t.getBoundingClientRect().left)];
        """
    )
    assert len(cells) == len(words) == len(KERNELS) * (1 + len(SIZES))
    assert {text for text, _ in words} == {"1.0x", "1.5x", "2.0x"}
    assert len(set(cells)) >= 3
    assert min(contrast(cell, word) for cell, (_, word) in zip(cells, words, strict=True)) > 4.5
    assert min(inside) >= left


def test_settings_have_a_panel_each_and_a_symbol_tells_its_numbers(browser, reports):
    page = browser.open(reports.file("axes"))
    assert [len(page.marks(f"time_{number}", "line")) for number in range(4)] == [len(KERNELS)] * 4
    tops = page.ask("return [0, 1, 2].map(n => document.querySelector('#chart-time_' + n).getBoundingClientRect().top)")
    assert tops[0] == tops[1] < tops[2], "four stand in two rows"
    assert page.ask("return document.querySelector('main > section').id") == "threads"
    page = browser.open(reports.file("one"))
    target = page.ask("return Array.from(document.querySelectorAll('#chart-time .mark-symbol path')).pop()")
    webdriver.ActionChains(page.driver).move_to_element(target).perform()
    shown = "const t = document.querySelector('#vg-tooltip-element.visible'); return t && t.innerText"
    page.until(lambda: page.ask(shown))
    assert all(word in page.ask(shown) for word in ("kernel", "batch size", "time per sample", " to ", "speedup"))
