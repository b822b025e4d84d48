"""`mlpbench compare` as people type it: what it prints, and how it ends."""

import pytest

from support import simulate
from support.terminal import called, complaint

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
QUIET = {"noise": 0.002, "repeats": 8}


@pytest.fixture
def compare(tmp_path, capsys):
    """Return what compares two runs: write_run's keywords for either, then the words typed."""

    def typed(baseline, candidate, *words):
        folder = tmp_path / str(len([*tmp_path.iterdir()]))
        sides = [
            simulate.write_run(folder, **{"times": TIMES, **QUIET, **side}, seed=seed)
            for seed, side in enumerate((baseline, candidate))
        ]
        return called(capsys, "compare", *sides, *words)

    return typed


NOISY = {"noise": 0.05, "repeats": 3}
SLOWER = {"times": {case: 1.2 * seconds for case, seconds in TIMES.items()}}
ONE = {"times": {("numpy", "batched", 100): 2e-6}}
OTHER = {"environment": simulate.environment(machine={"name": "bigbox"})}
THREADS = {"environment": simulate.environment(threads=1)}
ASK = ("--fail-if-slower",)


@pytest.mark.parametrize(
    ("baseline", "candidate", "words", "status", "said"),
    [
        ({}, {}, (), 0, " by more than "),
        ({}, {}, ("--strict",), 0, " in all 2 cases."),
        ({}, SLOWER, (), 1, " is slower than "),
        ({}, SLOWER, (*ASK, "50%"), 0, " by more than 50 % in all 2 cases."),
        (SLOWER, {}, (), 0, " is faster than "),
        (NOISY, NOISY, (), 0, " by more than "),
        (NOISY, NOISY, (*ASK, "1%"), 0, " is undecided in all 2 cases. To decide the rest: "),
        (NOISY, NOISY, (*ASK, "1%", "--strict"), 4, " is undecided in all 2 cases."),
        ({}, ONE, (), 0, "1 case not compared: --json says why"),
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
    ("candidate", "said"),
    [
        ({"times": {("numba", "batched", 100): 1e-6}}, ("mlpbench: nothing to compare: ",)),
        (OTHER, ("machine: testbox against bigbox",)),
        (THREADS, ("threads: 2 against 1", "--anyway")),
    ],
)
def test_nothing_comparable_is_an_answer_of_its_own(compare, candidate, said):
    status, out, err = compare({}, candidate)
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert all(words in err for words in said)


def test_one_repeat_claims_no_95_percent(compare):
    for words in ((), ("--format", "md")):
        assert "95 %" not in compare({"repeats": 1}, {"repeats": 1}, *words)[1]
        assert "95 % interval" in " ".join(compare({}, {}, *words)[1].split())


def test_github_gets_annotations_and_a_summary_of_markdown_which_is_printed_where_there_is_none(
    compare, monkeypatch, tmp_path
):
    status, markdown, err = compare({}, SLOWER, "--format", "md")
    assert (status, err) == (1, "")
    title, _, conclusion, *lines = markdown.splitlines()
    assert title.startswith("## ")
    assert " is slower than " in conclusion
    assert [line.split(" | ")[-1] for line in lines if line.startswith("| numpy")] == ["slower |"] * 2
    summary = tmp_path / "summary.md"
    summary.write_text("# From the step before\n")
    full = "mlpbench: cannot write the job's summary: Is a directory; it follows here\n"
    for place, expected, told in (
        (summary, lambda out: " is slower than " in out and "|" not in out, ""),
        ("", lambda out: out == f"{markdown}", ""),
        (tmp_path, lambda out: out == f"{markdown}", full),  # a folder
    ):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
        status, out, err = compare({}, SLOWER, "--format", "github")
        *errors, rest = out.split("\n", 2)
        assert (status, err, [line.partition(" ")[0] for line in errors]) == (1, told, ["::error"] * 2)
        assert expected(rest), rest
    assert summary.read_text() == f"# From the step before\n{markdown}\n", "each step adds its own"
    status, out, _ = compare(NOISY, NOISY, *ASK, "1%", "--strict", "--format", "github")
    assert (status, out.count("::warning title=undecided")) == (4, 2)


def test_one_format_at_a_time_and_two_sides_or_one_run_and_an_axis(capsys, compare):
    assert complaint(*compare({}, {}, "--format", "mark")) == "unknown format 'mark'; there are md, github"
    assert "two formats" in complaint(*compare({}, {}, "--format", "md", "--json"))
    for words in (("latest",), ("latest", "latest", "--by", "env")):
        assert complaint(*called(capsys, "compare", *words)).startswith("name two sides, or one run and --by")
