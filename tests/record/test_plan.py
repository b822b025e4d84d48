"""How a run ended, in its run.json: read back, refused where it is damaged, missing where the run was cut off."""

import json

import pytest
from msgspec.structs import replace

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record.plan import CaseEnd, Ending
from mlpbench.bench.report import render
from support import simulate
from support.refusals import refusal

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6}
OPEN = {"target": 0.02, "budget_s": 90.0}
ENDING = Ending(
    spent_s=88.5,
    interrupted=False,
    ended="2026-11-24T12:30:00+00:00",
    order=(("numpy", 0), ("numpy", 1), ("numpy", 2)),
    cases=(
        CaseEnd("numpy", "per_sample", 100, 3, "target", 0.011),
        CaseEnd("numpy", "batched", 100, 3, "budget", 0.143),
    ),
)


def write(folder, ending=ENDING, **settings):
    """Write a run whose number of repeats was open; None leaves the ending out."""
    path = simulate.write_run(folder, TIMES, plan_changes=OPEN, **settings)
    return path if ending is None else amend(path, lambda block: block.update(ending=ending.as_dict()))


def amend(path, change):
    with simulate.edited(path / "run.json") as content:
        change(content["mlpbench"])
    return path


def test_how_a_run_ended_is_read_back_and_said(tmp_path):
    run = runs.read_run(write(tmp_path))
    assert (run.ending, run.problems) == (ENDING, ())
    assert run.outcome == (
        "1 of 2 cases have an interval within 2 %; 1 ran out of budget (88 s used, 90 s planned). "
        "Widest: numpy batched 100, ±14 % after 3 repeats."
    )
    assert run.outcome[:50] in render.render([run], "md")
    (run.path / "run.json").unlink()
    run = runs.read_run(run.path)
    assert (run.ending, run.problems, len(run.records)) == (None, (), 3), "nobody knows it any more"


def test_a_case_without_an_interval_is_read_from_an_older_file_too(tmp_path):
    path = write(tmp_path)
    amend(path, lambda block: block["ending"]["cases"][0].update(half_width=None))
    amend(path, lambda block: block.update(schema=2))
    amend(path, lambda block: block["plan"].update(skipped=[{"kernel": "cupy", "reason": "no driver"}]))
    run = runs.read_run(path)
    assert ([case.half_width for case in run.ending.cases], run.skipped) == ([None, 0.143], {"cupy": "no driver"})


def test_with_ctrl_c_or_without_an_ending_it_was_interrupted(tmp_path):
    stopped = runs.read_run(write(tmp_path / "stopped", replace(ENDING, interrupted=True)))
    assert "interrupted" in stopped.problems[0]
    run = runs.read_run(write(tmp_path, None))
    assert (run.ending, run.missing) == (None, ())
    assert "interrupted" in run.problems[0]
    assert "was interrupted" in render.render([run], "md")
    assert json.loads(render.render([run], "json"))["runs"][0]["interrupted"] is True
    fixed = runs.read_run(simulate.write_run(tmp_path / "fixed", TIMES))
    assert (fixed.ending, fixed.problems) == (None, ()), "its number of repeats was not open"


def test_repeats_beyond_the_plan_belong_to_the_run(tmp_path):
    path = simulate.write_run(tmp_path, TIMES, repeats=5, plan_changes=OPEN)
    amend(path, lambda block: block["plan"].update(repeats=3, order=block["plan"]["order"][:3]))
    run = runs.read_run(amend(path, lambda block: block.update(ending=ENDING.as_dict())))
    assert ([record.repeat for record in run.records], run.missing) == ([0, 1, 2, 3, 4], ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spent_s", None),
        ("interrupted", "no"),
        ("order", [["numpy"]]),
        ("order", [["../x", 0]]),
        ("cases", [{"kernel": "numpy", "mode": "batched", "batch_size": 100, "repeats": 3, "limit": "boredom"}]),
        ("cases", [{"kernel": "numpy", "mode": "batched", "batch_size": 0, "repeats": 3, "limit": "target"}]),
        ("cases", "many"),
    ],
)
def test_a_damaged_ending_is_refused_with_its_place(tmp_path, key, value):
    path = amend(write(tmp_path), lambda block: block["ending"].update({key: value}))
    refusal(UserError, rf"run\.json: mlpbench\.ending.*{key}", runs.read_run, path)
