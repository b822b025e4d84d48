"""The sentence on how busy the machine was, and what makes a run narrower."""

from mlpbench.bench.report import render
from mlpbench.bench.report.sections import trust
from mlpbench.bench.trust.state import State
from support import trusting
from support.trusting import AT


def test_a_quiet_machine_is_said_in_two_words_and_a_busy_one_with_what_was_left_out():
    assert trust.sentence(State(0.02, 1, 30, 0.021)) == "Typical uncertainty ±2.1 %."
    busy = "Other programs disturbed 45 % of the timings; those are left out. Typical uncertainty ±5 %."
    assert trust.sentence(State(0.45, 12, 30, 0.05)) == busy
    assert trust.sentence(State(None, 0, 30, None)) is None
    assert "3 other processes used the card." in trust.sentence(State(None, 0, 30, 0.01, card_others=3))


def test_a_wide_run_names_the_command_that_makes_it_narrower(tmp_path):
    run = trusting.write_disturbed(tmp_path, [AT], [], [AT], plan_changes={"budget_s": 70.0})
    assert trust.narrower(run, State(0.5, 2, 6, 0.08)) == "mlpbench run --budget 5m"
    assert trust.narrower(run, State(0.5, 2, 6, 0.04)) is None, "narrow enough"
    exact = trusting.write_disturbed(tmp_path / "exact", [], [])
    assert trust.narrower(exact, State(0.5, 2, 6, 0.08)) is None, "its number of repeats was chosen"


def test_of_several_runs_the_one_with_the_widest_intervals_is_named(tmp_path):
    runs = [trusting.write_disturbed(tmp_path / str(n), *hits, seed=n) for n, hits in enumerate(([[], []], [[], [AT]]))]
    (paragraph,) = render.build(runs).state
    assert paragraph.startswith(f"Run {runs[1].id} has the widest intervals. Other programs disturbed 25 %")


def test_a_number_whose_repeats_were_all_disturbed_keeps_its_interval(tmp_path):
    text = render.render([trusting.write_disturbed(tmp_path, [AT], [AT], [])], "md")
    assert "(other programs disturbed it)" not in text
    assert "Other programs disturbed 33 % of the timings; those are left out." in text
