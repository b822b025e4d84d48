"""What result files hold besides the cases, with known answers: small networks in the records, roofs beside them."""

import json

from mlpbench.bench.record.fields import SCHEMA
from support import simulate

SIZES = (1, 10, 100, 1000, 10_000)
T0, ROW = 12e-6, 1e-6
TIMES = {("numpy", "per_sample", 100): 13e-6} | {("numpy", "batched", size): T0 / size + ROW for size in SIZES}
PYTHON = {"kernel_info": {"backend": "numpy", "device": "cpu", "version": "2", "describe": {"threads": 1}}}

#: Seconds of a call on two neurons, one at a time and as a batch of 1; per sample with weights in L1.
CALL_ONE, CALL_BATCH, L1_ONE, L1_BATCH = 9e-6, 10e-6, 10e-6, 0.5e-6
#: Per second: operations, and bytes read from each level by one thread.
PEAK = 250e9
READ = {"L1": 500e9, "L2": 200e9, "L3": 100e9, "DRAM": 40e9}
CACHES = {"L1d": 49152, "L1i": 32768, "L2": 1048576, "L3": 33554432}
L1_SIZES = [61, 50, 100, 10]
WORK = 10**9


def network(sizes, one_s, batch_s, rows):
    """Return one small network: seconds per sample one at a time, and of a call on a batch of ``rows``."""
    spec = {**simulate.SPEC, "sizes": sizes}
    return {"spec": spec, "batch_size": rows, "one_s": [one_s] * 3, "batch_s": [batch_s / rows] * 3}


def anatomy(**changes):
    """Return the field of a record; ``changes`` replace entries."""
    return {
        "two_neurons": network([2] * 4, CALL_ONE, CALL_BATCH, 1),
        "in_l1": network(L1_SIZES, L1_ONE, 100 * L1_BATCH, 100),
        "reason": None,
        **changes,
    }


def timed(rate, spread):
    """Return what was done at a rate. Rounds: most take ``spread`` times as long as the best."""
    best = WORK / rate
    return {"work": WORK, "data": [best * spread, best, best * spread]}


def measured(threads, peak=PEAK, read=READ, spread=1.0):
    """Return the entries of a number of threads."""
    rates = {"matrix product": peak / 2, "multiply-add": peak, **read}
    return [{"name": name, "threads": threads, **timed(rate, spread)} for name, rate in rates.items()]


def roofs(entries=None, devices=(), **changes):
    """Return the content of ``roofs.json``: the CPU's, in which ``changes`` replace members, and those of devices."""
    entries = measured(1) + measured(2, 2 * PEAK, {k: 2 * v for k, v in READ.items()}) if entries is None else entries
    cpu = {"device": "cpu", "dtype": "float32", "caches": CACHES, "measured": entries, **changes}
    return {"mlpbench": {"schema": SCHEMA, "kind": "roofs", "devices": [cpu, *devices]}}


#: A device: operations, bytes/s by level, and what its L2 holds. Read faster than copied.
DEVICE_PEAK, DEVICE_READ, DEVICE_L2 = 10e12, {"L2": 4e12, "DRAM": 1e12}, 4 * 2**20
CUDA = {"kernel_info": {"backend": "numpy", "device": "cuda", "version": "2", "describe": {}}}


def of_device(spread=1.0, entries=None, **changes):
    """Return the entry of a device; ``changes`` replace its fields."""
    rates = [("matrix product", "cuBLAS", DEVICE_PEAK)]
    for name, rate in DEVICE_READ.items():
        rates += [(name, "copy", 0.8 * rate), (name, "read", rate), (name, "copyto", 0.5 * rate)]
    made = [{"name": name, "how": how, **timed(rate, spread)} for name, how, rate in rates]
    facts = {"dtype": "float32", "facts": {"device_name": "NVIDIA Stand-In"}, "caches": {"L2": DEVICE_L2}}
    return {"device": "cuda", **facts, "measured": made if entries is None else entries, **changes}


def write_run(folder, times, *, roofs_file=None, with_roofs=True, **settings):
    """Write a run as `simulate.write_run` does, with small networks and roofs."""
    settings.setdefault("anatomy", anatomy())
    run = simulate.write_run(folder, times, **settings)
    if with_roofs:
        (run / "roofs.json").write_text(json.dumps(roofs() if roofs_file is None else roofs_file))
    return run


def write(folder, times=TIMES, **settings):
    """Write a run whose calls take `T0` and `ROW` seconds a row, and read it."""
    settings = {"noise": 0, "rounds": 4, **PYTHON, **settings}
    return simulate.read(write_run(folder, times, **settings))


def impossible(**settings):
    """Return arguments of `write` with one time that cannot be."""
    return {"times": {**TIMES, ("numpy", "batched", 1000): 1e-7}, **settings}
