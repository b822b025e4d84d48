"""How rounds spread: in few numbers, each side of a time by itself, in the order in which people read cases."""

import pytest

from mlpbench.bench.record.runs import read_run
from mlpbench.bench.trust import spread
from support import simulate
from support.spells import Neighbour

TIMES = {
    ("b", "batched", 100): 1e-6,
    ("b", "batched", 1): 2e-6,
    ("b", "per_sample", 100): 3e-6,
    ("a", "batched", 1): 1e-6,
}


def find(folder, **settings):
    return spread.find([read_run(simulate.write_run(folder, TIMES, **settings))])


def test_every_round_is_counted_once_and_those_that_made_the_time_apart(tmp_path):
    found = find(tmp_path, repeats=3, rounds=40, neighbour=Neighbour(shares=(0.3, 0.6)))
    assert [(one.kernel, one.mode, one.batch_size) for one in found] == [
        ("b", "per_sample", 100),
        ("b", "batched", 1),
        ("b", "batched", 100),
        ("a", "batched", 1),
    ]
    for one in found:
        assert one.rounds == 3 * 40
        assert 0 < one.n_used < one.rounds
        assert len(one.used) + len(one.left) == spread._MOST
        assert len(one.left) / spread._MOST == pytest.approx(1 - one.n_used / one.rounds, abs=0.02)
        assert list(one.used) == sorted(one.used)
        assert one.used[len(one.used) // 2] == pytest.approx(1, abs=0.05), "multiples of the case's time"
        assert one.left[-1] > 1.5, "a neighbour makes it 1.8"


def test_without_looks_all_rounds_are_used_and_few_stand_for_themselves(tmp_path):
    for one in find(tmp_path, noise=0, repeats=1, rounds=5):
        assert one.left == ()
        assert one.used == pytest.approx([1.0] * 5)
