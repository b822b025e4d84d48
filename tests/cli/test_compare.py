"""`mlpbench compare` and `mlpbench history` as people type them: what they print, and how they end."""

import itertools
import json
import re

import pytest

from support import simulate
from support.runs import months
from support.terminal import called, complaint

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
QUIET = {"noise": 0.002, "repeats": 8}


def slower(factor):
    return {case: value * factor for case, value in TIMES.items()}


@pytest.fixture
def compare(tmp_path, capsys):
    """Return what compares two runs: write_run's keywords for either, then the words typed."""
    numbers = itertools.count()

    def typed(baseline, candidate, *words):
        folder = tmp_path / str(next(numbers))
        sides = [
            simulate.write_run(folder, **{"times": TIMES, **QUIET, **side}, seed=seed)
            for seed, side in enumerate((baseline, candidate))
        ]
        return called(capsys, "compare", *sides, *words)

    return typed


NOISY = {"noise": 0.05, "repeats": 3}
ONE = {"times": {("numpy", "batched", 100): 2e-6}}
OTHER = {"environment": simulate.environment(machine={"name": "bigbox"})}
THREADS = {"environment": simulate.environment(threads=1)}
ASK = ("--fail-if-slower",)


@pytest.mark.parametrize(
    ("baseline", "candidate", "words", "status", "said"),
    [
        ({}, {}, (), 0, " by more than "),
        ({}, {}, ("--strict",), 0, " in all 2 cases."),
        ({}, {"times": slower(1.2)}, (), 1, " is slower than "),
        ({}, {"times": slower(1.2)}, (*ASK, "50%"), 0, " by more than 50 % in all 2 cases."),
        ({"times": slower(1.2)}, {}, (), 0, " is faster than "),
        (NOISY, NOISY, (), 0, " by more than "),
        (NOISY, NOISY, (*ASK, "1%"), 0, " is undecided in all 2 cases. To decide the rest: "),
        (NOISY, NOISY, (*ASK, "1%", "--strict"), 4, " is undecided in all 2 cases."),
        ({}, ONE, (), 0, "1 case not compared: --details says why"),
        ({}, ONE, ("--details",), 0, "not compared: numpy per_sample 100: not in "),
        ({}, ONE, ("--strict",), 4, "1 case not compared"),
        ({}, OTHER, ("--anyway",), 0, "not the same on both sides: machine: name: testbox against bigbox"),
        ({}, THREADS, ("--anyway",), 0, "not the same on both sides: threads: 2 against 1"),
    ],
)
def test_how_it_ends_and_what_it_says(compare, baseline, candidate, words, status, said):
    ended, out, err = compare(baseline, candidate, *words)
    assert (ended, err) == (status, "")
    assert said in " ".join(out.split())


@pytest.mark.parametrize(
    ("baseline", "candidate", "said"),
    [
        ({}, {"times": {("numba", "batched", 100): 1e-6}}, ("mlpbench: nothing to compare: ",)),
        ({}, OTHER, ("machine: testbox against bigbox",)),
        ({}, THREADS, ("threads: 2 against 1", "--anyway")),
    ],
)
def test_nothing_comparable_is_an_answer_of_its_own(compare, baseline, candidate, said):
    status, out, err = compare(baseline, candidate)
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert all(words in err for words in said)


def test_one_repeat_claims_no_95_percent(compare):
    once = {"repeats": 1}
    for words in ((), ("--format", "md")):
        assert "95 %" not in compare(once, once, *words)[1]
        assert "95 % interval" in " ".join(compare({}, {}, *words)[1].split())


def test_json_has_the_p_values_and_the_repeats(compare):
    status, out, _ = compare(NOISY, NOISY, *ASK, "1%", "--json")
    found = json.loads(out)
    assert status == 0
    assert " is undecided in all 2 cases." in found["conclusion"]
    assert all(case["detectable"] > 0.05 for case in found["cases"])
    assert found["false_discovery_rate"] == 0.01
    assert found["wander"] == 0.01
    assert all(0 <= case["p"] <= case["p_adjusted"] <= 1 for case in found["cases"])


SLOWER, MAY_BE = {"times": slower(1.2)}, NOISY


def test_markdown_is_a_table_with_its_conclusion(compare):
    status, out, err = compare({}, SLOWER, "--format", "md")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("## ")
    assert " is slower than " in lines[2]
    assert [line.split(" | ")[-1] for line in lines if line.startswith("| numpy")] == ["slower |"] * 2


@pytest.mark.parametrize("sides", [({}, {}), ({}, SLOWER), (MAY_BE, MAY_BE)])
@pytest.mark.parametrize("words", [(), ("--strict",)])
def test_no_format_changes_how_it_ends(compare, monkeypatch, tmp_path, sides, words):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    assert len({compare(*sides, *words, *more)[0] for more in ((), ("--format", "github"), ("--format", "md"))}) == 1


def test_github_gets_annotations_and_a_summary(compare, monkeypatch, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("# From the step before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    status, out, err = compare({}, SLOWER, "--format", "github")
    assert (status, err) == (1, "")
    *annotations, last = out.splitlines()
    assert [line.partition(" ")[0] for line in annotations] == ["::error"] * 2
    assert " is slower than " in last
    text = summary.read_text()
    assert text.startswith("# From the step before\n## ")
    assert text.count("| slower |") == 2
    assert compare(MAY_BE, MAY_BE, *ASK, "1%", "--format", "github")[1].count("::warning title=undecided") == 2
    assert summary.read_text().startswith(text), "each step adds its own"


def test_without_a_summary_the_table_is_printed(compare, monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    status, out, err = compare({}, SLOWER, "--format", "github")
    assert (status, err) == (1, "")
    assert out.count("| slower |") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))  # a folder
    status, again, err = compare({}, SLOWER, "--format", "github")
    assert (status, again.count("| slower |")) == (1, 2)
    assert err == "mlpbench: cannot write the job's summary: Is a directory; it follows here\n"


def test_one_format_at_a_time(compare):
    assert complaint(*compare({}, {}, "--format", "mark")) == "unknown format 'mark'; there are md, github"
    told = complaint(*compare({}, {}, "--format", "md", "--json"))
    assert told == "--json and --format md are two formats: give one of them"


@pytest.mark.parametrize("words", [("latest",), ("latest", "latest", "--by", "env")])
def test_two_sides_or_one_run_and_an_axis(capsys, tmp_path, words):
    said = complaint(*called(capsys, "compare", *words, "--results", tmp_path))
    assert said == "name two sides, or one run and --by with an axis of it, such as --by env"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("months")
    months.write(folder, 12, change=8)
    return folder


@pytest.fixture
def history(results, capsys):
    return lambda *words: called(capsys, "history", "--machine", "testbox", "--results", str(results), *words)


def test_the_changes_are_a_table_with_what_else_changed(history):
    status, out, err = history()
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("testbox: 12 runs, 20261124T120000Z-0123abcd to ")
    assert sum(bool(re.search(r"1\.0[789]x \(1\.0", line)) for line in lines) == 2
    assert sum("libraries: numpy: 2.4.6 against 2.5.0" in line for line in lines) == 2
    assert lines[-1] == "2 of 4 cases changed for good in 12 runs."


def test_a_slowdown_fails_where_that_was_asked(history):
    status, _, err = history("--fail-if-slower", "5%")
    assert (status, err) == (1, "slower for good by more than 5%: numpy per_sample 100, numpy batched 100\n")
    assert history("--fail-if-slower", "20%")[0] == 0
    assert history("numba", "--fail-if-slower", "5%")[:2] == (0, history("numba")[1])


def test_json_has_every_level_and_every_change(history):
    found = json.loads(history("numpy", "--json")[1])
    assert [len(one["samples_s"]) for one in found["series"]] == [12, 12]
    (change,) = found["series"][0]["changes"]
    assert change["at"] == 8
    assert change["ratio"]["low"] > 1.05


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fail-if-slower", "soon"), "cannot read"),
        (("nunpy",), "no kernel 'nunpy' in the runs of testbox"),
        (("--machine", "nobody"), "nobody: `mlpbench run` makes one"),
    ],
)
def test_bad_input_to_history_is_one_line(history, words, said):
    status, out, err = history(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert said in err
