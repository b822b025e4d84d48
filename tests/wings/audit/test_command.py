"""`mlpbench audit`: one line for each check, and what each verdict takes."""

import json

import pytest

from mlpbench.bench.api.run import Carried
from mlpbench.bench.record.trust import BY_TIME
from mlpbench.bench.wings.audit.command import CHECKS, NOT_CHECKED, PASSED, REFUSED, verdicts
from support import trusting
from support.sources import ROOT
from support.terminal import called
from support.trusting import TIMES


def said(folder, *processes, times=TIMES, **settings):
    """Return the verdicts on a kernel with such refusals in its two processes, by check."""
    refused = [[{"check": name, "reason": f"{name} is off"} for name in checks] for checks in processes]
    run = trusting.write(folder, [{"refusals": each} for each in refused], times, repeats=2, **settings)
    found = list(verdicts(run, "numpy"))
    assert len({check for check, _, _ in found}) == len(found), "one line for each"
    return {check: (verdict, why) for check, verdict, why in found}


def test_a_kernel_that_passes_has_a_line_for_each_check(tmp_path):
    found = said(tmp_path)
    assert list(found) == ["gate", *CHECKS]
    assert {check for check, (verdict, _) in found.items() if verdict == NOT_CHECKED} == {"wait", "roofline"}
    assert found["wait"][1] == "it computes on the CPU"
    assert all(verdict != REFUSED for verdict, _ in found.values())


@pytest.mark.parametrize("check", sorted(CHECKS.keys() - {"wait"}))
def test_what_rests_on_a_time_is_refused_by_two_processes_and_all_else_by_one(tmp_path, check):
    undecided = (NOT_CHECKED, f"one process of 2 says: {check} is off")
    by_one, by_two = said(tmp_path / "one", [], [check]), said(tmp_path / "two", [check], [check])
    assert by_one[check] == (undecided if check in BY_TIME else by_two[check])
    assert by_two[check] == (REFUSED, f"{check} is off")
    assert [verdict for verdict, _ in by_two.values()].count(REFUSED) == 1


def test_a_kernel_that_was_not_timed_has_one_line(tmp_path):
    failure = {"kernel": "numpy", "phase": "gate", "reason": "a batch of 37: off by 3"}
    assert said(tmp_path, times={}, failures=[failure]) == {"gate": (REFUSED, "a batch of 37: off by 3")}


@pytest.mark.parametrize(("refused", "status"), [((), 0), (("values",), 1)])
def test_what_the_command_prints_and_ends_with(tmp_path, capsys, monkeypatch, refused, status):
    refusals = [{"check": name, "reason": "off by 3"} for name in refused]
    folder = trusting.write(tmp_path, [{"refusals": refusals}], repeats=2).path
    monkeypatch.setattr(Carried, "measure_limits", lambda _: [])
    monkeypatch.setattr("mlpbench.bench.api.run.carry_out", lambda planned, _: Carried(planned.sweep, folder, [], True))
    ended, out, _ = called(capsys, "audit", "numpy")
    assert ended == status
    lines = [line.split()[:2] for line in out.splitlines()]
    assert [words[0] for words in lines[2:] if words] == ["gate", *CHECKS]
    assert (["values", "refused"] in lines) == bool(refused)
    ended, out, _ = called(capsys, "audit", "numpy", "--json")
    verdicts_of = {one["check"]: one["verdict"] for one in json.loads(out)["kernels"]["numpy"]}
    assert (ended, verdicts_of["values"]) == (status, REFUSED if refused else PASSED)


def test_every_check_is_on_the_page():
    page = (ROOT / "docs" / "evidence" / "honesty.md").read_text(encoding="utf-8")
    assert [check for check in CHECKS if f"| `{check}` |" not in page] == []
