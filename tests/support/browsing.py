"""A page in a real browser, and what tests ask of it."""

import json
from pathlib import Path

from selenium.webdriver.support.ui import WebDriverWait


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
        WebDriverWait(self.driver, 30).until(
            lambda d: d.execute_script("return document.documentElement.dataset.charts")
        )
        return self

    def emulate(self, scheme, media="screen"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def requests(self):
        """Return the addresses of everything that was asked for."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [
            m["params"] for m in messages if m["method"] in {"Network.requestWillBeSent", "Network.webSocketCreated"}
        ]
        return [params.get("url") or params["request"]["url"] for params in sent]

    def marks(self, chart, role):
        """Return the paths of a kind of marks in a chart."""
        return self.ask(
            f"return Array.from(document.querySelectorAll('#chart-{chart} .mark-{role} path'),"
            " p => p.getAttribute('d')).filter(Boolean)"
        )

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
