"""The documents say what is so: links lead somewhere, commands exist, code runs, figures and names are right."""

import ast
import inspect
import io
import itertools
import re
import tomllib
from contextlib import redirect_stdout
from dataclasses import fields
from functools import cache

import pytest
import reference
import typer
import update_readme as script

import mlpbench
from mlpbench.bench.analysis import times as analysis_times
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cli.app import COMMANDS, app
from mlpbench.bench.plan.plan import PROFILES
from mlpbench.bench.plan.request import Request
from mlpbench.bench.wings.why import explain
from mlpbench.bench.wings.why.attribution import PARTS
from mlpbench.kernels.base import Kernel
from support import evidence_files as files
from support import simulate
from support.processes import python
from support.sources import FENCED, ROOT, blocks, dead_names

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for at in ("docs", "bench", "kernels") for path in (ROOT / at).rglob("*.md"))]
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
LINK = re.compile(r"\]\(([^()\s]+)\)")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
#: Looks like a command: the text that the split of the digits is hashed with.
NO_COMMANDS = {"mlpbench digits 0"}


def executed(code, **names):
    """Execute the code of a page; return the names that it leaves, and the lines that it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "page.md", "exec"), names)
    return names, printed.getvalue().splitlines()


def anchors(path):
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shown_commands(path):
    """Return every command that a document shows, as lists of words: in consoles, and between backquotes."""
    text = path.read_text(encoding="utf-8")
    shown = [code for kind, code in FENCED.findall(text) if kind in {"console", "sh", "bash"}]
    shown += re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    parts = [part.strip().removeprefix("$ ").partition(" #")[0] for part in re.split("\n|&&", "\n".join(shown))]
    return [part.removeprefix(".venv/bin/").split() for part in parts if part]


@cache
def options_of(program, *command):
    if program == "mlpbench":
        found = typer.main.get_command(app)
        for name in command:
            found = found.get_command(None, name)
        return {"--help"}.union(*([*one.opts, *one.secondary_opts] for one in found.params))
    ran = python("-m", program, "--help", COLUMNS="200", NO_COLOR="1")
    assert ran.returncode == 0, ran.stderr
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", ran.stdout))


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_modules_files_and_extras_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    assert not dead_names(text)
    named = re.findall(r"(?:'\.|mlpbench)\[([a-z0-9,-]+)\]'", text)
    assert not {extra for names in named for extra in names.split(",")} - EXTRAS.keys()
    dead = []
    for link in LINK.findall(FENCED.sub("", text)):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_commands_and_options_that_are_shown_exist(path):
    wrong = []
    for words in shown_commands(path):
        if " ".join(words) in NO_COMMANDS:
            continue
        if words[0] == "mlpbench" and len(words) > 1 and not words[1].startswith("-"):
            known = options_of("mlpbench", words[1]) if words[1] in COMMANDS else set()
            known = known | options_of("mlpbench", "run") if words[1] in ("ab", "fleet") else known
        elif words[0] in ("mlpbench", "pytest"):
            known = options_of(words[0])
        else:
            continue  # somebody else's, or no command at all
        asked = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        if not known or asked - known:
            wrong.append((" ".join(words), sorted(asked - known)))
        profiles = [after for word, after in itertools.pairwise(words) if word == "--profile"]
        wrong += [(" ".join(words), profile) for profile in profiles if profile not in PROFILES]
    assert not wrong


@pytest.mark.parametrize(
    ("page", "command"),
    [("tour", "compare"), ("tour", "explain"), ("tour", "show"), ("worth-switching", "compare 2026")],
)
def test_a_page_shows_what_is_printed(page, command):
    """Commands that measure nothing: the lines below one are lines of its output."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    found = re.search(rf"^\$ mlpbench ({command}[^\n]*)\n```\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ran = python("-m", "mlpbench", *found[1].split(), COLUMNS="120", NO_COLOR="1")
    assert ran.returncode == int(" is slower than " in found[2]), ran.stderr
    printed = [line.rstrip() for line in ran.stdout.splitlines()]
    assert [line for line in found[2].splitlines() if line not in printed] == []


def test_method_recomputes_the_headline(tmp_path, monkeypatch):
    """The code in the page, on a run whose numbers are known, gives the number that mlpbench gives."""
    times = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 1000): 1.5e-6}
    simulate.write_run(tmp_path / "results", times, seed=1, noise=0.03)
    run = simulate.write_run(tmp_path / "results", times, seed=2, noise=0.05)
    monkeypatch.chdir(tmp_path)
    names, printed = executed("\n".join(blocks("docs/evidence/method.md", "python")))
    assert names["run"].resolve() == run.resolve(), "the latest run"
    cases = {case.mode: case for case in analysis_times.cases([simulate.read(run)])}
    expected = analysis_times.ratio(cases["per_sample"], cases["batched"])
    assert (names["speedup"], names["low"], names["high"]) == pytest.approx(
        (expected.value, expected.low, expected.high), rel=1e-4
    )
    assert names["ratio"] == expected
    first, second = printed
    assert first == second
    assert re.fullmatch(r"1\d\.\dx \(\d+\.\d to \d+\.\d\)", first)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_example_recomputes_the_explanation(tmp_path, monkeypatch, noise):
    run = files.write(tmp_path / "results", noise=noise)
    monkeypatch.chdir(tmp_path)
    names, printed = executed((ROOT / "docs" / "examples" / "explain_by_hand.py").read_text(encoding="utf-8"))
    exact = noise or 1e-6  # by hand, repeats have the mean of the middle two and are not drawn together
    (kernel,) = explain.find(run, summarize([run])).kernels
    assert names["best"] == kernel.attribution.batch_size
    for name in PARTS:
        assert names["parts"][name].median() == pytest.approx(kernel.attribution.parts[name].value, rel=exact)
    (share,) = [one.verdict.share for one in kernel.shares if (one.mode, one.batch_size) == ("batched", names["best"])]
    assert names["share"] == pytest.approx(share, rel=exact)
    assert names["t0"] == pytest.approx(kernel.fit.line.t0_s, rel=max(exact, 1e-4))
    assert names["r_inf"] == pytest.approx(kernel.fit.line.r_inf, rel=max(exact, 1e-4))
    assert len(printed) == 3


def test_every_member_of_the_contract_is_described():
    text = (ROOT / "docs" / "adding-a-kernel.md").read_text(encoding="utf-8")
    members = {name for name in (*vars(Kernel), *Kernel.__annotations__) if not name.startswith("_")} | {"__init__"}
    assert not {name for name in members if not re.search(rf"`{name}\b", text)}


def test_the_figures_are_those_of_the_reference_runs():
    ran = python(script.__file__, "--check")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_part_has_one_place_in_one_page():
    """Else a part would be left out, or what stands between two marks never be written again."""
    texts = [page.read_text(encoding="utf-8") for page in script.PAGES]
    assert sorted(part["name"] for text in texts for part in script.PART.finditer(text)) == sorted(script.parts())
    assert sum(text.count("<!-- figures of ") for text in texts) == 2 * len(script.parts())


def test_the_reference_is_what_the_program_says():
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page()


PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cases", "repeats", "rounds", "compared"])
def test_columns_say_dtype_and_unit(name):
    shown = mlpbench.columns(name)
    assert list(shown) == ["name", "dtype", "holds"]
    assert shown["name"].is_unique
    in_seconds = shown[shown["name"].str.endswith("_s") & (shown["dtype"] == "float64")]
    assert in_seconds["holds"].str.contains("second|interval|the same|of? the rounds|call_s|of a round").all()


def test_the_page_has_every_name_and_every_method():
    for name in mlpbench.__all__:
        assert f"`{name}" in PAGE, name
    for name, member in vars(mlpbench.Results).items():
        if not name.startswith("_") and inspect.isfunction(member):
            assert f"{name}(" in PAGE, name


def test_the_stub_says_what_the_module_does():
    tree = ast.parse((ROOT / "mlpbench" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(imports) == mlpbench.__all__
    with pytest.raises(AttributeError, match="module 'mlpbench' has no attribute 'loda'"):
        mlpbench.loda  # noqa: B018
    with pytest.raises(mlpbench.UserError, match=r"unknown frame 'case' \(did you mean cases\?\); there are cases, "):
        mlpbench.columns("case")
    for name, module in imports.items():
        assert getattr(mlpbench, name).__module__ in {module, "mlpbench.kernels.errors"}
        assert f"{module}" == f"mlpbench.bench.{next(at for at, names in mlpbench._MODULES.items() if name in names)}"


def test_every_option_of_run_can_be_given_in_python():
    """Those that are about a terminal are missing."""
    command = typer.main.get_command(app).get_command(None, "run")
    options = {parameter.name for parameter in command.params}
    assert options - {each.name for each in fields(Request)} == {"as_json", "dry_run", "verbose"}
