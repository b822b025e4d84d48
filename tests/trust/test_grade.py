"""The grade of a machine, and the advice: simulated processes of which the truth is known."""

from types import SimpleNamespace

import msgspec
import pytest

from mlpbench.bench.record.device import DeviceTimes
from mlpbench.bench.trust import grade as grade_
from mlpbench.bench.trust.pace import paces
from support import trusting
from support.trusting import Process, rounds, timing

QUIET, SLOW = (25, 25), (50, 50)


def grade(processes, width=None, governor=None):
    """Return the grade of a run of these processes."""
    measured_in = SimpleNamespace(machine=SimpleNamespace(governor=governor))
    return grade_.grade(SimpleNamespace(records=processes, measured_in=measured_in, worked_out={}), width)


def process(*windows, slow_looks=0, looks=True, call_s=1e-4):
    """Return a process whose cases have these windows, and so many slow looks beside their 20 rounds of 10 ms."""
    data, pairs = rounds((20 - slow_looks, call_s, QUIET), (slow_looks, call_s, SLOW))
    case = timing(data, pairs if looks else [], iterations=100)
    cases = [msgspec.structs.replace(case, batch_size=window["batch_size"]) for window in windows]
    return Process(*cases, windows=windows, name="wide" if looks else None)


def windows(number, hit, **changes):
    """Return windows of cases, ``hit`` of which have ``changes``."""
    return [trusting.window(batch_size=n + 1, **(changes if n < hit else {})) for n in range(number)]


def test_old_files_say_nothing():
    old = process(looks=False)
    old.trust = msgspec.structs.replace(old.trust, windows=())
    assert (grade([old]).name, grade([old]).cases, grade([old]).advice) == (None, 0, ())


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize(
    ("hit", "name"), [(0, "quiet"), (1, "quiet"), (2, "fair"), (5, "fair"), (6, "noisy"), (20, "noisy")]
)
def test_the_grade_follows_the_share_of_disturbed_cases(hit, name, looks):
    found = grade([process(*windows(20, hit, run_delay_s=0.2), looks=looks)])
    assert (found.name, found.disturbed, found.cases) == (name, hit, 20)
    assert found.lost == hit


@pytest.mark.parametrize(("slower", "name"), [(1.04, "quiet"), (1.1, "fair"), (1.2, "noisy")])
def test_the_grade_follows_the_spread_of_the_calibration(slower, name):
    found = grade([process(*windows(20, 2, slower=slower), looks=False)])
    assert (found.name, found.spread) == (name, pytest.approx(slower - 1))


def test_spins_that_were_interrupted_are_no_slow_clock_where_cases_took_turns():
    """On a busy machine, most of the single spins beside a case can have been interrupted."""
    busy = windows(20, 20, spins_before_s=[trusting.SPIN_S, 4e-3, 5e-3], spins_after_s=[4e-3, trusting.SPIN_S, 4e-3])
    found = grade([process(*busy)])
    assert (found.disturbed, found.spread) == (0, 0)
    assert list(paces(process(*busy).trust).values()) == pytest.approx([trusting.SPIN_S] * 20)


@pytest.mark.parametrize(("slow_looks", "name"), [(0, "quiet"), (4, "fair"), (6, "noisy")])
def test_the_grade_follows_the_looks(slow_looks, name):
    data, pairs = rounds((20 - slow_looks, 1e-4, QUIET), (slow_looks, 1e-4, SLOW))
    found = grade([Process(timing(data, pairs))])
    assert (found.name, found.disturbed, found.slow) == (name, 0, pytest.approx(slow_looks / 20))


@pytest.mark.parametrize(("width", "name"), [(None, "quiet"), (0.05, "quiet"), (0.1, "fair"), (0.2, "noisy")])
def test_no_machine_is_quiet_whose_intervals_are_wide(width, name):
    found = grade([process(*windows(3, 0))], width)
    assert (found.name, found.width) == (name, width)
    assert any("--repeats" in line for line in found.advice) == (name != "quiet")


def test_every_cause_has_its_advice_and_only_seen_ones_are_told():
    busy, hot, beside = (
        windows(3, 3, run_delay_s=0.2),
        [trusting.window(batch_size=9, hot=1)],
        process(*windows(2, 0), slow_looks=17),
    )
    found = grade([process(*busy, *hot), beside], governor="powersave")
    assert dict(found.causes) == {"load": 3, "neighbour": 2, "throttled": 1}
    for line, said in zip(found.advice, ("taskset", "cores are not shared", "cool", "is powersave"), strict=True):
        assert said in line
    assert grade([process(*windows(1, 0))], governor="performance").advice == ()
    seen = {"host": "dedicated", "clock": "governor", "blocked": "memory", "unknown": "more repeats"}
    assert {cause: said in grade_._TO_DO[cause] for cause, said in seen.items()} == dict.fromkeys(seen, True)


def on_card(throttled=0, others=0):
    """Return a quiet process whose kernel computed on a card: of 100 samples so many at a lowered clock."""
    found = process(*windows(20, 0))
    spread = {f"{name}_s": 1e-5 for name in ("min", "p5", "p25", "p50", "p75", "p95", "p99", "max")}
    times = {"cold": {"samples": 100 - throttled, "throttled": throttled, "stopped": "samples", **spread}}
    case = {"mode": "batched", "batch_size": 1, "rows": 1, "times": times if throttled < 100 else {}}
    case["lost"] = {} if throttled < 100 else {"cold": {"reason": "a lowered clock", "throttled": throttled}}
    content = {"rule": "until they agree", "cases": [case], "card": {"others": others}}
    found.device_times = msgspec.convert(content, DeviceTimes)
    return found


@pytest.mark.parametrize(
    ("throttled", "others", "name"),
    [(0, 0, "quiet"), (5, 0, "quiet"), (6, 0, "fair"), (30, 0, "noisy"), (100, 0, "noisy"), (0, 1, "fair")],
)
def test_the_grade_follows_the_card_too(throttled, others, name):
    found = grade([process(*windows(20, 0)), on_card(throttled, others)])
    assert (found.name, found.card_slowed, found.card_others) == (name, pytest.approx(throttled / 100), others)
    said = " ".join(found.advice)
    assert ("clock was lowered" in said, "Other processes computed on the card" in said) == (throttled > 0, others > 0)
