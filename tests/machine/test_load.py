"""Waiting for a quiet machine, with counters as /proc/stat has them: no clock runs here."""

import pytest

from mlpbench.bench.machine import load


@pytest.fixture
def others(monkeypatch, tmp_path):
    """Let others have these shares of processor 0 of two, one after the other; return how long was rested."""
    stat, rested = tmp_path / "stat", []

    def run(*shares):
        ticks = [0, 0]

        def write():
            rows = "".join(
                f"cpu{n} {busy} 0 0 {idle} 0 0 0 0 9 9\n" for n, (busy, idle) in enumerate([ticks, (7e6, 0)])
            )
            stat.write_text(f"cpu 1 2 3\n{rows.replace('.0', '')}intr 5\n")

        def rest(seconds):
            share = shares[min(len(rested), len(shares) - 1)]
            rested.append(seconds)
            ticks[0] += round(1000 * seconds * share)
            ticks[1] += round(1000 * seconds * (1 - share))
            write()

        write()
        monkeypatch.setattr(load.clock, "rest", rest)
        monkeypatch.setattr(load.os, "sched_getaffinity", lambda _: {0}, raising=False)
        monkeypatch.setattr(load, "_STAT", stat)
        return rested

    return run


def test_a_quiet_machine_is_looked_at_once_and_another_processor_is_of_no_concern(others):
    rested, told = others(0.1), []
    assert load.wait_until_quiet(15, told.append) == pytest.approx(0.1)
    assert (sum(rested), told) == (0.2, [])


def test_a_busy_one_is_waited_for_until_it_is_quiet_or_the_time_is_over(others):
    rested, told = others(0.9, 0.8, 0.5, 0.2), []
    assert load.wait_until_quiet(15, told.append) == pytest.approx(0.2)
    assert (len(rested), told) == (4, pytest.approx([0.9, 0.8, 0.5]))
    rested, told = others(1.0), []
    assert load.wait_until_quiet(15, told.append) == 1.0
    assert len(told) == 15


def test_where_the_system_hides_it_nothing_is_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(load, "_STAT", tmp_path / "nothing")
    monkeypatch.setattr(load.clock, "rest", lambda _: None)
    assert load.wait_until_quiet(15, pytest.fail) is None
