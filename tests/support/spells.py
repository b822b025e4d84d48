"""A neighbour on the same core, simulated: it comes and goes in spells, and slows rounds and looks while it is there.

What a case costs beside it is known, so is what it costs alone. Cases of a process take turns in blocks of rounds.
"""

from dataclasses import dataclass

import numpy as np

LOOK_S = 25e-6
#: What a look costs beside a neighbour, and how many rounds a block has.
SLOWER_LOOK, BLOCK = 2.0, 5
#: A round has as many calls as fill it.
ROUND_S = 1e-3


@dataclass(frozen=True)
class Neighbour:
    """There for a share of the time, in spells and gaps of exponential length that last ``cycle_s`` together.

    ``shares``: between which the share lies, another for each process. ``slower``: the factor of a case in a spell, by
    mode and batch size (1.8 where it is not named).
    """

    shares: tuple[float, float] = (0.2, 0.9)
    cycle_s: float = 0.02
    slower: dict | None = None
    noise: float = 0.01

    def process(self, calls, rounds, rng):
        """Return seconds per iteration and two looks in ns of each round, and the iterations of a round, by case.

        ``calls``: seconds for one call of each case, alone.
        """
        iterations = {case: max(1, round(ROUND_S / call)) for case, call in calls.items()}
        factors = {case: (self.slower or {}).get(case[1:], 1.8) for case in calls}
        alone_s = sum(rounds * (iterations[case] * call + 3 * LOOK_S) for case, call in calls.items())
        clock = _Clock(2.5 * max(factors.values()) * alone_s + 1, rng.uniform(*self.shares), self.cycle_s, rng)
        level = {case: np.exp(rng.normal(0, self.noise)) for case in calls}
        found = {case: ([], []) for case in calls}
        for _ in range(-(-rounds // BLOCK)):
            for case in [list(calls)[number] for number in rng.permutation(len(calls))]:
                data, looks = found[case]
                for _ in range(min(BLOCK, rounds - len(data))):
                    before = clock.work(LOOK_S, SLOWER_LOOK)
                    work = iterations[case] * calls[case] * level[case] * np.exp(rng.normal(0, self.noise))
                    data.append(clock.work(work, factors[case]) / iterations[case])
                    looks.append([round(1e9 * before), round(1e9 * clock.work(LOOK_S, SLOWER_LOOK))])
        return {case: (*measured, iterations[case]) for case, measured in found.items()}


class _Clock:
    """Goes on by the time that work takes, which depends on whether the neighbour is there."""

    def __init__(self, span_s, share, cycle_s, rng):
        spells = int(1.5 * span_s / cycle_s) + 50
        lengths = np.empty(2 * spells)
        lengths[0::2] = rng.exponential(cycle_s * (1 - share), spells)
        lengths[1::2] = rng.exponential(cycle_s * share, spells)
        self._edges = np.concatenate([[0.0], np.cumsum(lengths)])
        there = lengths * (np.arange(2 * spells) % 2)
        self._there = np.concatenate([[0.0], np.cumsum(there)])
        self._now = 0.0
        self._done = {}

    def work(self, seconds, factor):
        """Do work that takes so long alone; return how long it took."""
        if factor not in self._done:
            self._done[factor] = self._edges - self._there * (1 - 1 / factor)
        done = self._done[factor]
        began = self._now
        self._now = float(np.interp(np.interp(began, self._edges, done) + seconds, done, self._edges))
        return self._now - began
