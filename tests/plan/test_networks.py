"""Three networks for a machine, on machines that are known."""

from dataclasses import replace

import pytest

from mlpbench.bench.data.workload import Options
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import environment
from mlpbench.bench.plan import choose as planning
from mlpbench.bench.plan import profiles
from mlpbench.bench.plan.networks import choose
from mlpbench.bench.record.environment import Machine
from mlpbench.kernels.errors import SpecError
from mlpbench.kernels.spec import MNIST

KIB, MIB, GIB = 2**10, 2**20, 2**30


def caches(l2, l3=None, l1=32 * KIB):
    found = {"L1d": l1, "L1i": 32 * KIB, "L2": l2, "L3": l3}
    return {name: size for name, size in found.items() if size is not None}


def labels(*machine, **like):
    return [choice.spec and choice.spec.label() for choice in choose(*machine, **like)]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (caches(MIB, 32 * MIB, 48 * KIB), ["784-50-100-10", "784-1024-1024-10", "784-8192-4096-10"]),
        (caches(2 * MIB, 105 * MIB, 48 * KIB), ["784-50-100-10", "784-2048-1024-10", "784-16384-8192-10"]),
        (caches(512 * KIB, 256 * MIB), ["784-50-100-10", "784-512-512-10", "784-16384-16384-10"]),
        # The smallest that is twice L2, because L3 is small.
        (caches(2 * MIB, 12 * MIB), ["784-50-100-10", "784-1024-512-10", "784-4096-4096-10"]),
        # Half of a small L2, and a quarter of L3 where that is less than eight times L2.
        (caches(256 * KIB, 8 * MIB), ["784-30-60-10", "784-256-256-10", "784-4096-2048-10"]),
    ],
)
def test_known_machines(machine, expected):
    assert labels(machine, 64 * GIB) == expected


@pytest.mark.parametrize(("l2", "l3"), [(MIB, 32), (2 * MIB, 105), (512 * KIB, 256), (256 * KIB, 8), (MIB, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_lie_where_they_should(l2, l3, dtype):
    l3 *= MIB
    near, further, far = (choice.spec for choice in choose(caches(l2, l3), None, replace(MNIST, dtype=dtype)))
    assert 32 * KIB < near.weight_bytes() <= l2 / 2
    assert 2 * l2 <= further.weight_bytes() <= l3 / 2
    assert 4 * l3 <= far.weight_bytes() < 8 * l3
    assert {spec.dtype for spec in (near, further, far)} == {dtype}


def test_without_l3_that_level_has_a_reason_and_the_last_is_beyond_what_may_be_unseen():
    near, further, far = choose(caches(MIB), 64 * GIB)
    assert (near.spec.label(), further.spec) == ("784-50-100-10", None)
    assert far.spec.weight_bytes() >= 128 * MIB


def test_without_caches_it_is_the_example_and_it_is_said():
    for nothing in ({}, {"L1d": 32 * KIB}):
        found = choose(nothing, 64 * GIB)
        assert [one.spec.label() for one in found] == ["784-50-100-10", "784-1024-1024-10", "784-8192-4096-10"]
        (note,) = {one.note for one in found}
        assert note == "the caches cannot be read: it is chosen for 1 MiB of L2 and 32 MiB of L3"


@pytest.mark.parametrize(
    ("machine", "level", "note"),
    [
        (caches(2 * MIB, 4 * MIB), 1, "there are 2 MiB of L2 and 4 MiB of L3"),
        (caches(32 * KIB, 2 * MIB), 0, "no network fits in half of L2, which has 32 KiB"),
        (caches(MIB, 64 * GIB), 2, "no network is as large as 4 times a cache of 64 GiB"),
    ],
)
def test_a_level_that_no_network_fits_has_a_reason(machine, level, note):
    found = choose(machine, None)[level]
    assert (found.spec, found.note.endswith(note)) == (None, True)


def test_memory_is_a_bound():
    machine = caches(512 * KIB, 256 * MIB)
    *_, far = choose(machine, 8 * GIB)
    assert far.spec is None
    assert far.note == "weights beyond the caches take 1.049 GiB, more than 1/16 of the memory (8 GiB)"
    assert choose(machine, 32 * GIB)[-1].spec is not None
    assert choose(machine, None)[-1].spec is not None


def test_inputs_outputs_and_activations_are_kept():
    like = replace(MNIST, sizes=(20, 5, 3), hidden="relu", output="identity")
    for spec in (choice.spec for choice in choose(caches(MIB, 32 * MIB), None, like)):
        assert (spec.n_in, spec.n_out, spec.n_layers, spec.hidden, spec.output) == (20, 3, 3, "relu", "identity")


def test_a_choice_is_told_in_a_sentence():
    near, further, far = choose(caches(MIB), GIB)
    assert near.sentence() == "weights in L2: 784-50-100-10, 177.2 KiB"
    assert further.sentence() == "weights in L3: no network: this machine has no L3 that can be read"
    assert far.sentence().startswith("weights in DRAM: no network: weights beyond the caches take 152.7 MiB, more than")
    assert choose({}, GIB)[0].sentence().endswith("for 1 MiB of L2 and 32 MiB of L3)")


# -- in the sweep


@pytest.fixture
def machine(monkeypatch):
    """Return a function that makes this machine one with these caches."""

    def be(found, memory_bytes=64 * GIB):
        monkeypatch.setattr(environment, "machine", lambda: Machine(caches=found, memory_bytes=memory_bytes))

    return be


def fitted(specs=None, dtypes=None, name="memory", **options):
    return planning.fit_to_machine(profiles.profile(name), Options(**options), specs, dtypes)


def test_the_profile_takes_the_networks_of_the_machine(machine):
    machine(caches(MIB, 32 * MIB))
    profile, told = fitted()
    assert profile.specs == ("784-50-100-10", "784-1024-1024-10", "784-8192-4096-10")
    assert [line.partition(":")[0] for line in told] == ["weights in L2", "weights in L3", "weights in DRAM"]
    assert replace(profile, specs=None) == profiles.profile("memory")
    double, _ = fitted(dtypes=["float64"])
    assert double.specs[2] == "784-4096-4096-10"
    # Networks that are named, and other profiles, are left alone.
    assert fitted(specs=["20-10-3"]) == (profiles.profile("memory"), [])
    assert fitted(name="quick") == (profiles.profile("quick"), [])


def test_what_there_is_not_is_left_out_and_told_and_no_network_at_all_is_one_line(machine):
    machine(caches(MIB), memory_bytes=GIB)
    profile, told = fitted()
    assert (profile.specs, len(told)) == (("784-50-100-10",), 3)
    machine(caches(16 * KIB), memory_bytes=MIB)
    with pytest.raises(UserError, match=r"^no networks for these caches: no network fits .*; name some with --spec$"):
        fitted()
    machine(caches(MIB, 32 * MIB))
    with pytest.raises(SpecError, match="hidden must be one of"):
        fitted(hidden="swish")
