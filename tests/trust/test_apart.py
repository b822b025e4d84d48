"""Whether repeats lie far enough apart for what intervals claim: on runs with known times of day."""

import pytest

from mlpbench.bench.trust import apart
from support import trusting


def run(tmp_path, starts, lasts=4.0):
    """Return the records of one kernel whose repeats begin at some seconds and last for so long."""
    span = {"clock_s": lasts, "raw_s": lasts}
    blocks = [trusting.block(trusting.window(began_utc_s=1e9 + start), clock=span) for start in starts]
    return trusting.write(tmp_path, blocks).records


def test_repeats_one_after_the_other_are_too_close(tmp_path):
    records = run(tmp_path, [0.0, 4.8, 9.6])
    assert apart.apart(records) == pytest.approx(1.2)
    assert apart.apart(records) < apart.ENOUGH


@pytest.mark.parametrize(("kernels", "spread"), [(2, False), (3, False), (4, True), (7, True)])
def test_other_kernels_between_them_spread_repeats(tmp_path, kernels, spread):
    records = run(tmp_path, [4.5 * kernels * repeat for repeat in range(3)])
    assert apart.apart(records) == pytest.approx(1.125 * kernels)
    assert (apart.apart(records) >= apart.ENOUGH) is spread


def test_the_middle_of_all_counts_and_not_the_order_of_files(tmp_path):
    assert apart.apart(run(tmp_path, [60.0, 0.0, 28.0, 64.0])) == pytest.approx(7.0)


def test_one_repeat_claims_nothing_and_older_files_do_not_say(tmp_path):
    assert apart.apart(run(tmp_path / "one", [0.0])) is None
    old = trusting.write(tmp_path / "old", [trusting.block(trusting.window()) for _ in range(3)]).records
    assert apart.apart(old) is None
