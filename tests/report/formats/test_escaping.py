"""A result file may come from anyone: nothing that it says becomes markup, a script, a link or a formula."""

import html.parser
import json

import pytest

from mlpbench.bench.report import render
from mlpbench.bench.report.formats.html import _embedded
from mlpbench.bench.report.formats.markdown import escape
from support import simulate

TIMES = {("numpy", "per_sample", 100): 18e-6, ("numpy", "batched", 100): 2e-6}
SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
MARKDOWN = "|a|[click](http://evil.example) `code` **bold** <b>html</b> ![x](y) @someone #1 www.evil.example"
HOSTILE = [SCRIPT, MARKDOWN, "{{ 7 * 7 }}{% raw %}", "'\"><svg onload=alert(3)>", "a\u2028b\u202ec"]


@pytest.fixture(params=HOSTILE, ids=["script", "markdown", "template", "attribute", "unicode"], scope="module")
def hostile(request, tmp_path_factory):
    """Return the report of a run in which every free text is hostile."""
    text = request.param
    gpu = {"available": False, "reason": text}
    machine = {"name": text, "cpu_model": text}
    environment = simulate.environment(machine=machine, libraries={text: text}, gpu=gpu)
    path = simulate.write_run(
        tmp_path_factory.mktemp("hostile"),
        TIMES,
        environment=environment,
        skipped=[{"kernel": "cupy", "reason": text}],
        failures=[{"kernel": "wrong", "mode": None, "batch_size": None, "phase": "gate", "reason": text}],
        data={"name": "digits", "rows": 1000, "sha256": text, "source": text},
        weights={"source": text, "sha256": text},
        kernel_info={"backend": text, "device": text, "version": text, "describe": {text: text}},
        accuracy={"per_sample": None, "batched": None, "rows": 0, "reason": text},
        plan_changes={"command": ["mlpbench", text]},
    )
    return render.build([simulate.read(path)])


class Elements(html.parser.HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]

    def handle_data(self, data):
        self.texts.append(data)


def test_a_page_has_no_element_of_the_files_and_json_is_json(hostile, tmp_path):
    (run,) = hostile.runs
    page = Elements(render.write(hostile, "html"))
    harmless = Elements(render.render([simulate.read(simulate.write_run(tmp_path, TIMES))], "html"))
    assert page.tags.count("script") == harmless.tags.count("script")
    assert set(page.tags) == set(harmless.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    data = json.loads(render.write(hostile, "json"))
    assert data["runs"][0]["missing"][0]["why"] == run.skipped["cupy"]
    shown = " ".join(page.texts)
    assert run.failures[0].reason in shown
    assert "49" not in run.failures[0].reason


def test_markdown_has_no_markup_of_the_files(hostile):
    text = render.write(hostile, "md")
    before, _, command = text.partition("```console\n")
    for sign in ("<b>", "<script", "<img", "<svg", "http://", "www."):
        assert sign not in before + command.partition("\n```")[2]
    columns = {}
    for line in text.splitlines():
        if line.startswith("|"):
            columns.setdefault(line.replace("\\|", "").count("|"), []).append(line)
    headers = [line for line in text.splitlines() if set(line) <= set("| -:") and line.startswith("|")]
    assert set(columns) == {line.count("|") for line in headers}


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("a|b $x$", "a\\|b \\$x\\$"),
        ("a`b*c[d]\\", "a\\`b\\*c\\[d\\]\\\\"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("two\nlines", "two lines"),
        ("# no heading", "\\# no heading"),
        ("- no list", "\\- no list"),
        ("1. no list", "1\\. no list"),
        ("1.45 µs, 2.50GHz @ 3", "1.45 µs, 2.50GHz @ 3"),
        ("snake_case_name _emphasis_", "snake_case_name \\_emphasis\\_"),
        ("see @someone", "see &#64;someone"),
        ("https://a.example", "http&#115;://a.example"),
    ],
)
def test_markdown_escapes(raw, safe):
    assert escape(raw) == safe


def test_a_chart_cannot_end_its_script_element_nor_a_command_its_code_block(tmp_path):
    embedded = _embedded({"text": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(embedded)
    assert json.loads(embedded) == {"text": "</script><!--\u2028&"}
    run = simulate.read(simulate.write_run(tmp_path, TIMES, plan_changes={"command": ["mlpbench", "```\n# x", "````"]}))
    lines = render.render([run], "md").splitlines()
    assert [line for line in lines if line.startswith("`````")] == ["`````console", "`````"]
