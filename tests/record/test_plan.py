"""How a run ended, in its run.json: read back, refused where it is damaged, missing where the run was cut off."""

import json

import pytest
from msgspec.structs import replace

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import runs
from mlpbench.bench.record import write as write_
from mlpbench.bench.record.plan import CaseEnd, Ending
from mlpbench.bench.report import render
from support import simulate

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
    if ending is not None:
        amend(path, lambda block: block.update(ending=ending.as_dict()))
    return path


def amend(path, change):
    content = json.loads((path / "run.json").read_text())
    change(content["mlpbench"])
    (path / "run.json").write_text(json.dumps(content))


def test_it_is_read_back(tmp_path):
    run = runs.read_run(write(tmp_path))
    assert run.ending == ENDING
    assert run.problems == ()
    assert run.outcome == (
        "1 of 2 cases have an interval within 2 %; 1 ran out of budget (88 s used, 90 s planned). "
        "Widest: numpy batched 100, ±14 % after 3 repeats."
    )


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


def test_repeats_beyond_the_plan_belong_to_the_run(tmp_path):
    path = simulate.write_run(tmp_path, TIMES, repeats=5, plan_changes=OPEN)
    amend(path, lambda block: block["plan"].update(repeats=3, order=block["plan"]["order"][:3]))
    amend(path, lambda block: block.update(ending=ENDING.as_dict()))
    run = runs.read_run(path)
    assert ([found.repeat for found in run.records], run.missing) == ([0, 1, 2, 3, 4], ())


def test_a_run_of_the_first_version_has_none_and_was_not_interrupted(tmp_path):
    run = runs.read_run(simulate.write_run(tmp_path, TIMES))
    assert (run.ending, run.problems) == (None, ())
    assert "have an interval within 2 %" not in render.render([run], "md")
    assert "1 of 2 cases have an interval within 2 %" in render.render([runs.read_run(write(tmp_path / "open"))], "md")


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
    path = write(tmp_path)
    amend(path, lambda block: block["ending"].update({key: value}))
    with pytest.raises(UserError, match=rf"run\.json: mlpbench\.ending.*{key}") as error:
        runs.read_run(path)
    assert "\n" not in str(error.value)


def test_without_its_run_json_nobody_knows_how_it_ended(tmp_path):
    path = write(tmp_path)
    (path / "run.json").unlink()
    run = runs.read_run(path)
    assert (run.ending, run.problems, len(run.records)) == (None, (), 3)


def test_a_file_can_be_replaced_whole(tmp_path):
    path = tmp_path / "x.json"
    write_.write_atomically(path, {"a": 1})
    write_.write_atomically(path, {"a": 2}, replace=True)
    assert json.loads(path.read_text()) == {"a": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    with pytest.raises(UserError, match="not overwritten"):
        write_.write_atomically(path, {"a": 3})
