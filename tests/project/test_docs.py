"""The documents say what is so: links lead somewhere, commands and options exist, code runs, fields are described.

How they say it is in test_style.py.
"""

import itertools
import json
import re
import tomllib
from functools import cache

import limits_targets
import msgspec
import pytest
import typer

from mlpbench.bench.analysis import explain, limits
from mlpbench.bench.analysis import times as analysis_times
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.cli.app import app
from mlpbench.bench.machine import environment
from mlpbench.bench.plan.plan import Plan
from mlpbench.bench.plan.profiles import PROFILES
from mlpbench.bench.record import runs
from mlpbench.bench.record.trust import Start
from mlpbench.kernels.base import Kernel
from mlpbench.kernels.conformance import check
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.spec import MNIST, ForwardSpec
from support import evidence_files as files
from support import simulate
from support.processes import python, suite_by_hand
from support.runs import limits as limit_runs
from support.sources import ROOT, dead_names, executed

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for at in ("docs", "bench", "kernels") for path in (ROOT / at).rglob("*.md"))]
)
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands}
#: Looks like a command: the text that the split of the digits is hashed with.
NO_COMMANDS = {"mlpbench digits 0"}


def blocks(name, language):
    return [code for kind, code in FENCED.findall((ROOT / name).read_text(encoding="utf-8")) if kind == language]


def anchors(path):
    """Return the anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shown_commands(path):
    """Return every command that a document shows, as lists of words: in consoles, and between backquotes."""
    text = path.read_text(encoding="utf-8")
    consoles = [
        line for kind, code in FENCED.findall(text) if kind in {"console", "sh", "bash"} for line in code.split("\n")
    ]
    inline = re.findall(r"`([^`\n]+)`", FENCED.sub("", text))
    parts = [part.strip().removeprefix("$ ") for line in consoles + inline for part in line.split("&&")]
    words = [part.partition(" #")[0].split() for part in parts]
    return [[w[0].removeprefix(".venv/bin/"), *w[1:]] for w in words if w]


@cache
def options_of(program, *command):
    if program == "mlpbench":
        found = typer.main.get_command(app)
        for name in command:
            found = found.commands[name]
        return {"--help"}.union(*([*one.opts, *one.secondary_opts] for one in found.params))
    ran = python("-m", program, "--help", COLUMNS="200", NO_COLOR="1")
    assert ran.returncode == 0, ran.stderr
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", ran.stdout))


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(path):
    dead = []
    for link in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_modules_and_files_that_are_named_exist(path):
    assert not dead_names(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_commands_and_options_that_are_shown_exist(path):
    wrong = []
    for words in shown_commands(path):
        if " ".join(words) in NO_COMMANDS:
            continue
        if words[0] == "mlpbench" and len(words) > 1 and not words[1].startswith("-"):
            known = options_of("mlpbench", words[1]) if words[1] in COMMANDS else set()
            known = known | options_of("mlpbench", "run") if words[1] in ("ab", "fleet") else known
        elif words[0] == "mlpbench":
            known = options_of("mlpbench")
        elif words[0] == "pytest":
            known = options_of("pytest")
        else:
            continue  # somebody else's, or no command at all
        asked = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        if not known or asked - known:
            wrong.append((" ".join(words), sorted(asked - known)))
        profiles = [after for word, after in itertools.pairwise(words) if word == "--profile"]
        wrong += [(" ".join(words), profile) for profile in profiles if profile not in PROFILES]
    assert not wrong


def test_the_scanner_finds_commands():
    found = shown_commands(ROOT / "docs" / "gpu.md")
    assert ["mlpbench", "check", "cupy"] in found
    assert ["mlpbench", "env"] in found


@pytest.mark.parametrize("command", ["compare", "explain", "show"])
def test_the_tour_shows_what_is_printed(command):
    """Of the commands that measure nothing: the lines below one are lines of its output."""
    text = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    found = re.search(rf"^\$ mlpbench ({command} [^\n]*)\n```\n\n```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ran = python("-m", "mlpbench", *found[1].split(), COLUMNS="120", NO_COLOR="1")
    assert ran.returncode == 0, ran.stderr
    printed = [line.rstrip() for line in ran.stdout.splitlines()]
    assert [line for line in found[2].splitlines() if line not in printed] == []


def test_method_recomputes_the_headline(tmp_path, monkeypatch):
    """The code in the page, on a run whose numbers are known, gives the number that mlpbench gives."""
    times = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 1000): 1.5e-6}
    simulate.write_run(tmp_path / "results", times, seed=1, noise=0.03)
    run = simulate.write_run(tmp_path / "results", times, seed=2, noise=0.05)
    monkeypatch.chdir(tmp_path)
    names, printed = executed("\n".join(blocks("docs/method.md", "python")))
    assert names["run"].resolve() == run.resolve(), "the latest run"
    cases = {case.mode: case for case in analysis_times.cases([runs.read_run(run)])}
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


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_example_about_limits_recomputes_a_cell_and_a_share(tmp_path, monkeypatch, noise):
    run = limit_runs.write(tmp_path / "elsewhere", noise=noise)
    peaks = {repeat: files.measured(1, files.PEAK * (1 - repeat / 10), spread=1.25) for repeat in range(3)}
    run = files.write_of_repeats(run.path, peaks)
    found = limits.find(run, summarize([run]))
    sweep = tmp_path / "results" / "testbox" / "20261124T130000Z-0123abcd"
    sweep.mkdir(parents=True)
    (sweep / "run.json").write_text(json.dumps({"mlpbench": {"kind": "sweep"}}))
    run.path.rename(sweep / "784-50-100-10_threads-1")
    monkeypatch.chdir(tmp_path)
    names, printed = executed((ROOT / "docs" / "examples" / "limits_by_hand.py").read_text(encoding="utf-8"))
    place = next(row.places[0] for row in found.rows if row.kernel == "numba-simd")
    assert names["best"] == place.peer
    assert names["ratios"].median() == pytest.approx(place.ratio.value, rel=1e-6)
    assert printed[0].startswith("onnxruntime-bound takes ")
    share = next(one for one in found.shares if (one.kernel, one.what) == ("numba-simd", "peak"))
    assert names["shares"].median() == pytest.approx(share.ratio.value, rel=1e-6)
    assert len(names["shares"]) == share.ratio.n == 3


def test_the_targets_in_the_page_are_those_in_the_code():
    shown = {}
    for line in (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 1 + len(limits_targets.BATCH_SIZES):
            threads = int(re.search(r", (\d)\b", cells[0])[1])
            for kernel in re.findall(r"`([^`]+)`", cells[0]):
                shown[kernel, threads] = tuple(map(float, cells[1:]))
    assert shown == limits_targets.PEERS


def test_the_worked_example_is_the_package_that_is_tested():
    module, _ = blocks("docs/adding-a-kernel.md", "python")
    folder = ROOT / "tests" / "support" / "example_package"
    assert module == (folder / "mlpbench_example.py").read_text(encoding="utf-8")
    (project,) = map(tomllib.loads, blocks("docs/adding-a-kernel.md", "toml"))
    tested = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    points = project["project"].pop("entry-points")["mlpbench.kernels"]
    assert points.items() <= tested["project"].pop("entry-points")["mlpbench.kernels"].items()
    assert project["project"].items() <= tested["project"].items()
    assert project["build-system"] == tested["build-system"]
    names, _ = executed(module, __name__="mlpbench_example")
    for spec in (MNIST, ForwardSpec((31, 17, 5), "relu", "identity"), ForwardSpec((9, 7, 5), "step", dtype="float64")):
        assert 0 <= check(names["NumpyWideKernel"], spec).max_error_ratio < 1


def test_the_example_of_a_missing_library_says_so():
    _, missing = blocks("docs/adding-a-kernel.md", "python")
    names, _ = executed(missing, __name__="mlp_fastlib")
    with pytest.raises(KernelUnavailable, match="No module named 'fastlib': pip install fastlib"):
        names["FastlibKernel"].probe()
    assert names["FastlibKernel"].version() is None


def test_what_the_probe_says_is_in_the_page_about_gpus():
    source = (ROOT / "kernels" / "cuda" / "kernel.py").read_text(encoding="utf-8")
    said = {words.partition(" (")[0] for words in re.findall(r'KernelUnavailable\(f?"([^:"{]+)[:"{]', source)}
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert said == set(described)
    assert len(said) > 2


def test_every_member_of_the_contract_is_described():
    text = (ROOT / "docs" / "adding-a-kernel.md").read_text(encoding="utf-8")
    members = {name for name in (*vars(Kernel), *Kernel.__annotations__) if not name.startswith("_")} | {"__init__"}
    assert not {name for name in members if not re.search(rf"`{name}\b", text)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The JSON of a record as the suite writes it: one short case by hand, as the page about the method shows it."""
    return suite_by_hand(tmp_path_factory.mktemp("record") / "record.json")


def test_every_field_is_described(written):
    text = (ROOT / "docs" / "result-format.md").read_text(encoding="utf-8")
    block = written["mlpbench"]
    fields = {*written, *block, *written["benchmarks"][0]["extra_info"], *written["commit_info"]}
    for key in ("spec", "data", "weights", "kernel_info", "conformance", "accuracy", "timings"):
        fields |= set(block[key])
    fields |= {one.encode_name for one in msgspec.structs.fields(Plan)}
    fields |= set(simulate.record("numpy", 0, [], {"started": ""})["mlpbench"])
    found = environment.collect().as_dict()
    fields |= set(found) | {name for key in ("machine", "os", "python", "git", "gpu") for name in found[key]}
    fields |= {name for pool in block["environment"]["blas"] for name in pool}
    fields |= {"kernel", "mode", "batch_size", "phase", "reason", "stats.data", "stats.iterations", "kind"}
    fields -= {"mlpbench"}  # the block that the page is about
    assert not {field for field in fields if f"`{field}`" not in text}


#: Of the mode `book`, and of a process of a run.
NOT_BY_HAND = ("reads", "looks_ns", "look_processors", "block_rounds", "waits_ns")


def test_every_field_that_is_described_is_written(written):
    """Of the tables of a record: what the page promises is there."""
    text = (ROOT / "docs" / "result-format.md").read_text(encoding="utf-8")
    for heading, fields in (
        ("### `extra_info`", {*written["benchmarks"][0]["extra_info"], *NOT_BY_HAND}),
        ('## Records: the block `"mlpbench"`', written["mlpbench"]),
        ("### `environment`", written["mlpbench"]["environment"]),
    ):
        section = text.split(f"\n{heading}\n")[1].split("\n##")[0]
        assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(fields)


def test_every_field_about_trust_is_described(written):
    text = (ROOT / "docs" / "result-format.md").read_text(encoding="utf-8")
    text = text.split("\n### `trust`\n")[1].split("\n## ")[0]
    trust = written["mlpbench"]["trust"]
    fields = {*trust, "starts", "no_starts", *Start.__annotations__, "first_calls", "first_call_s"} - {"first_calls_s"}
    for key in ("self_test", "singles"):
        fields |= set(trust[key][0])
    assert not {field for field in fields if f"`{field}`" not in text}
