"""`limits.json`: written, read back the same, refused where it is not what it should be."""

import json

import pytest

from mlpbench.bench.analysis import frame, limits, limits_file
from mlpbench.bench.analysis.summary import summarize
from mlpbench.bench.errors import UserError
from mlpbench.bench.report.sections import limits as shown
from support.limit_runs import write


@pytest.fixture
def kept(tmp_path):
    """Return what was found in a run, and the file that keeps it."""
    run = write(tmp_path / "results", repeats=1)  # no intervals: they are null in JSON
    found = limits.find(run, summarize(frame.load(run)))
    path = limits_file.path_of(run.path)
    path.write_text(json.dumps(limits_file.content([found], run.plan.command)))
    return found, path


def test_it_is_read_back_as_it_was(kept):
    found, path = kept
    (again,), command = limits_file.read(path)
    assert again.as_dict() == found.as_dict()
    assert command == ("mlpbench", "run")
    assert shown.tables([again]) == shown.tables([found])
    assert shown.measured_with([again]) == shown.measured_with([found])


def test_a_file_of_an_earlier_version_has_limits_that_were_measured_once(kept):
    _, path = kept
    content = json.loads(path.read_text())
    for share in content["mlpbench"]["limits"][0]["shares"]:
        assert share.pop("once") is True
    path.write_text(json.dumps(content))
    (again,), _ = limits_file.read(path)
    assert {share.once for share in again.shares} == {True}


def test_kernels_without_targets_can_be_left_out(kept):
    found, _ = kept
    assert [row.kernel for row in found.held.rows] == ["numba-simd", "numba-simd-new"]
    untargeted = limits.replace(found, rows=tuple(limits.replace(row, places=()) for row in found.rows))
    assert untargeted.held.rows == ()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda block: block.update(kind="plan"), "no limits that this version reads"),
        (lambda block: block.update(schema=2), "no limits that this version reads"),
        (lambda block: block["limits"][0]["rows"][0].update(returns="borrowed"), "one of new, kept"),
        (lambda block: block["limits"][0]["rows"][0]["places"][0].update(sample_s="fast"), "sample_s"),
        (lambda block: block["limits"][0]["setting"].pop("spec"), "spec is missing"),
    ],
    ids=["kind", "schema", "returns", "sample_s", "spec"],
)
def test_what_it_is_not_is_refused_in_one_line(kept, damage, said):
    _, path = kept
    content = json.loads(path.read_text())
    damage(content["mlpbench"])
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=said) as caught:
        limits_file.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
