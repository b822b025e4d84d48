"""A good record, for tests to damage, and what is true of every complaint about a damaged one."""

from support import simulate

TIMES = {("numpy", "per_sample", 100): 2e-5, ("numpy", "batched", 100): 2e-6, ("numba", "batched", 100): 1e-6}
CASE = ("numpy", "batched", 100)


def one_line(error):
    """Check that a complaint is one printable line; return it."""
    text = str(error.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


def good():
    """Return the content of a good record."""
    rounds = simulate.benchmark(CASE, [1e-4, 2e-4, 3e-4])
    return simulate.record("numpy", 0, [rounds], simulate.plan({CASE: 1e-6}, 1, 0, []))
