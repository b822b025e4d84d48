"""A page in a real browser, what tests ask of it, and how well one colour can be read on another."""

import json
from pathlib import Path

from support.processes import wait_until

#: Boxes are a little smaller than they are, since a line of text has room above and below its letters.
_OVERLAPS = """
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

    def open(self, file: Path, *, width=1280, scheme="light"):
        phone = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        self.emulate(scheme)
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # reading empties it
        self.driver.get(file.as_uri())
        wait_until(lambda: self.ask("return document.documentElement.dataset.charts"), "the charts")
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
        wait_until(lambda: self.ask(drawn), "the charts in folds")

    def overlaps(self):
        """Return pairs of texts that lie over each other: within a chart, and of the page's own."""
        return self.ask(_OVERLAPS)

    def click(self, selector, index=0):
        self.ask("document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, index)

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


def luminance(colour):
    """Return the relative luminance of ``rgb(r, g, b)`` as a browser writes it, or of three numbers up to 255."""
    if isinstance(colour, str):
        colour = [int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    values = [part / 255 for part in colour]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    """Return the contrast of two colours, as WCAG 2.2 has it."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
