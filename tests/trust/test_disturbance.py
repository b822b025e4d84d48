"""Which cases are disturbed, and the grade: simulated processes of which the truth is known."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlpbench.bench.record.trust import NOTHING, Trust
from mlpbench.bench.trust import disturbance
from support import trusting

CASE = ("batched", 100)


def trust(*windows, **changes):
    return msgspec.convert(trusting.block(*windows, **changes), Trust)


def causes(*windows, best_s=None):
    found = disturbance.disturbances(trust(*windows), best_s)
    return {case: [reason.cause for reason in why] for case, why in found.items()}


def test_a_quiet_process_is_not_disturbed():
    assert disturbance.reasons(trust()) == ()


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"run_delay_s": 0.126}, "load"),
        ({"run_delay_s": None, "involuntary": 51}, "load"),
        ({"steal_s": 0.06}, "host"),
        ({"throttled_s": 0.026}, "throttled"),
        ({"hot": 1}, "throttled"),
        ({"thread_s": 0.45, "process_s": 0.45}, "blocked"),
        ({"thread_s": 0.4, "process_s": 0.4, "run_delay_s": 0.05}, "blocked"),
    ],
)
def test_each_cause_is_seen(changes, cause):
    assert causes(trusting.window(**changes)) == {CASE: [cause]}


@pytest.mark.parametrize(
    "changes",
    [
        {"run_delay_s": 0.124},
        {"run_delay_s": 0.1, "thread_s": 0.4, "process_s": 0.4},  # it waited for a processor, and for nothing else
        {"run_delay_s": None, "involuntary": 49},
        {"involuntary": 500},  # evictions say little where the waiting itself is known
        {"steal_s": 0.01},  # one tick
        {"steal_s": 0.049},  # below 5 % of two processors
        {"thread_s": 0.1, "process_s": 0.1, "waits": True},  # waits for a device by design
        {"thread_s": 0.1, "process_s": 0.5},  # waits for threads of its own
        {"thread_s": None, "process_s": None, "steal_s": None, "throttled_s": None},
    ],
)
def test_what_does_not_disturb(changes):
    assert causes(trusting.window(**changes)) == {}


def test_a_worker_that_waited_is_seen_though_the_main_thread_ran():
    """OpenBLAS on a busy machine: the main thread spins for a worker that has no processor, 100 times as long."""
    (reason,) = disturbance.reasons(trust(trusting.window(wall_s=0.4, run_delay_s=0.6, thread_s=0.4, process_s=0.41)))
    assert reason == "batched 100: its threads waited 0.6 s for a processor in 0.4 s"


def test_calibration_that_drifts_marks_the_cases_beside_it():
    windows = [trusting.window(batch_size=1), trusting.window(slower=1.12), trusting.window(batch_size=1000)]
    assert causes(*windows) == {CASE: ["clock"]}
    assert causes(trusting.window(batch_size=1), trusting.window(slower=1.09)) == {}
    assert causes(trusting.window(spins_after_s=[trusting.SPIN_S] * 6 + [0.01])) == {}, "one interrupted spin"


def test_a_process_that_was_slow_throughout_is_seen_beside_the_others():
    slow, normal = trust(trusting.window(slower=1.7)), trust()
    assert disturbance.reasons(slow) == ()
    best = disturbance.best_spin_s([slow, normal])
    assert best == pytest.approx(trusting.SPIN_S)
    assert disturbance.reasons(slow, best) == (
        "batched 100: the calibration spin beside it was 70% slower than at its best",
    )
    assert disturbance.reasons(normal, best) == ()
    other = trust(trusting.window(slower=0.1), spin={"name": "pbkdf2-sha256", "instructions": None})
    assert disturbance.best_spin_s([normal, normal, other]) == pytest.approx(trusting.SPIN_S), "of two kinds"


def test_old_files_say_nothing():
    assert disturbance.best_spin_s([NOTHING]) is None
    assert disturbance.reasons(NOTHING) == ()


def test_bursts_are_found_and_quiet_processes_are_not():
    """200 processes whose clock wanders by 1 %; every tenth is slowed 1.7 times, as by a neighbour."""
    rng = np.random.default_rng(1)
    slowed = rng.random(200) < 0.1
    paces = np.where(slowed, 1.7, 1.0)[:, None] * rng.normal(1, 0.01, (200, 5))
    processes = [
        trust(*(trusting.window(batch_size=n + 1, slower=pace) for n, pace in enumerate(of_process.tolist())))
        for of_process in paces
    ]
    best = disturbance.best_spin_s(processes)
    found = np.array([bool(disturbance.reasons(process, best)) for process in processes])
    assert (found == slowed).all()


@given(st.permutations(range(6)), st.floats(0.1, 10))
def test_order_and_unit_of_time_do_not_matter(order, scale):
    slower = [1.0, 1.02, 1.12, 1.3, 1.0, 1.01]
    windows = [trusting.window(batch_size=n + 1, slower=slower[n] * scale) for n in order]
    assert causes(*windows) == {("batched", 3): ["clock"], ("batched", 4): ["clock"]}
