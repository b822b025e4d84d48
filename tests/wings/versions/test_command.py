"""`mlpbench ab` as people type it: two versions are installed, measured, compared, and taken away."""

import os
import re

import numpy as np
import pytest

from mlpbench.bench.record import runs
from mlpbench.bench.stats.verdicts import judge
from mlpbench.bench.wings.versions import command as ab
from support import venvs
from support.terminal import git, repository, typed

SMALL = ("--profile", "smoke", "--batch-size", "10", "--spec", "20-10-3")
PROJECT = '[project]\nname = "mine"\nversion = "{}"\n[project.kernels]\nnumpy-mine = "mine:Mine"\n'
KERNEL = """
from mlpbench.kernels.mlp_numpy import NumpyKernel

class Mine(NumpyKernel):
    distributions = ("mine",)

    def forward(self, x):
        return [super(Mine, self).forward(x) for _ in range({})][-1]
"""


@pytest.mark.parametrize(
    ("budget_s", "load", "said"),
    [
        (60.0, 0.0, "60 s: about 9 pairs, which decide 2 %"),
        (60.0, 2.0, "60 s: about 6 pairs, which decide 12 %; for 5 %: 6 min"),
        (600.0, 2.0, "600 s: about 63 pairs, which decide 4 %"),
        (5.0, 2.0, "5 s: fewer than two pairs; for 5 %: 6 min"),
    ],
)
def test_what_a_budget_can_show_is_told_before_it_is_spent(budget_s, load, said):
    """A pair of six cases of 0.25 s takes 6.3 s on two idle processors, and 9.5 s beside two programs."""
    assert ab.in_words(budget_s, ab.pair_s(1, 6, 0.25, load=load, processors=2), load, 2) == said


def test_so_many_pairs_decide_what_was_promised():
    """Of equal sides with the scatter that was assumed, four of five are shown not to be slower by more than that."""
    rng, decided, cases, pairs = np.random.default_rng(0), 0, 60, 6
    for _ in range(20):
        sides = [
            (dict.fromkeys(range(pairs), 1.0), dict(enumerate(np.exp(rng.normal(0, ab.BUSY_SD, pairs)))))
            for _ in range(cases)
        ]
        decided += sum(one.decides <= 0.12 for one in judge(sides, paired=True, threshold=0.025))
    assert 0.75 < decided / (20 * cases) < 0.9


@pytest.mark.heavy
def test_two_commits_of_a_repository(tmp_path, quicker):
    """The kernel needs twice the time in the second one."""
    files = [{"pyproject.toml": PROJECT.format(n), "mine.py": KERNEL.format(n)} for n in (1, 2)]
    folder = repository(tmp_path / "mine", *files)
    path = venvs.offer_uv(tmp_path / "tools")
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    words = ("ab", "main~1", "main", *SMALL, "--repeats", "2", "--results", tmp_path / "results")
    # Without this checkout: each environment has a wheel of it.
    ran = typed(*words, cwd=folder, PATH=path, TMPDIR=scratch, PYTHONPATH=quicker.partition(os.pathsep)[0])
    assert ran.returncode in (0, 1), ran.stderr
    assert "Traceback" not in ran.stderr
    commits = [git(folder, "rev-parse", ref)[:8] for ref in ("main~1", "main")]
    names = [f"main-1-{commits[0]}", f"main-{commits[1]}"]
    assert f"main~1, commit {commits[0]}: {names[0]}\n" in ran.stderr
    last = ran.stdout.splitlines()[-1]
    assert names[0] in last
    assert names[1] in last
    found = runs.read_runs(runs.latest(tmp_path / "results"))
    assert [run.plan.env.source for run in found] == [f"main~1, commit {commits[0]}", f"main, commit {commits[1]}"]
    assert [(run.kernels, run.failures) for run in found] == [(("numpy-mine",), ())] * 2
    assert found[0].plan.command[:4] == ("mlpbench", "ab", "main~1", "main")
    assert found[0].path.parent.joinpath("report.md").is_file()
    # All of it is gone, and the repository is as it was.
    assert [entry.name for entry in scratch.iterdir() if entry.name.startswith("mlpbench-")] == []
    assert git(folder, "worktree", "list").count("\n") == 0
    assert git(folder, "status", "--porcelain") == ""


@pytest.mark.heavy
def test_requirements_that_are_kept(tmp_path):
    path = venvs.offer_uv(tmp_path / "tools")
    words = ("ab", "numpy", "numpy>=1", "numpy", *SMALL, "--keep", "--json")
    ran = typed(*words, cwd=tmp_path, PATH=path, TMPDIR=tmp_path, GIT_CEILING_DIRECTORIES=tmp_path.parent)
    said = ran.stderr.splitlines()[-1]
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(r"mlpbench: numpy and numpy>=1 are both numpy-[\d.]+: nothing to compare", said)
