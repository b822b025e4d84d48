"""Ten thousand damaged files: each is read, or refused with one line, and nothing else happens.

The number of a case is its seed: `python -m pytest -m heavy tests/record/test_fuzz.py` finds today what it found
before, and `_case(NUMBER, ...)` makes one of them again.
"""

import io
import json
import pickle
import random
import struct

import numpy as np
import pytest

from mlpbench.bench.data import mnist
from mlpbench.bench.errors import UserError
from mlpbench.bench.record import look, runs, untrusted
from mlpbench.bench.record.plan import RunFile
from mlpbench.bench.record.roofs import RoofsFile
from mlpbench.bench.trust import calibration
from mlpbench.kernels.errors import ParamsError
from mlpbench.kernels.models.weights import load_params
from mlpbench.kernels.spec import ForwardSpec
from support import simulate

pytestmark = pytest.mark.heavy

CASES, BLOCKS = 10_000, 20
SPEC = ForwardSpec((3, 2, 2))
#: What a member may hold instead.
ODD = [
    None,
    True,
    -1,
    0,
    2**63,
    2**70,
    1e308,
    -0.0,
    "",
    "x" * 300,
    "\u202e\x1b[31m",
    "\ud800",
    "\uff1d1",
    [],
    {},
    [[]],
    "NaN",
]
BYTES = [b"", b"\0", b"\xff\xfe", b"[" * 50, b"{", b'"', b"1e999", b"NaN", b"\\ud800", b"-" * 9, b"\x1b[31m", b"null"]


def originals():
    """Return, by the name of its reader, the bytes of a good file of each kind."""
    plan = simulate.plan({("numpy", "batched", 100): 1e-6}, 2, 0, [])
    ending = {"target": 0.02, "budget_s": 9.0, "spent_s": 1.0, "order": [["numpy", 0]], "cases": []}
    head = {"schema": 1, "kind": "plan", "plan": plan, "environment": simulate.environment(), "ending": ending}
    measured = [{"name": "matrix product", "threads": 1, "unit": "flop", "work": 10**6, "data": [1e-3, 2e-3]}]
    roofs = {"schema": 1, "kind": "roofs", "roofs": {"dtype": "float32", "measured": measured}}
    shapes = {"W1": (3, 2), "b1": (2,), "W2": (2, 2), "b2": (2,)}
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return {
        "record": json.dumps(simulate.good()).encode(),
        "run": json.dumps({"mlpbench": head}).encode(),
        "roofs": json.dumps({"mlpbench": roofs}).encode(),
        "npz": packed.getvalue(),
        "pickle": pickle.dumps(arrays),
        "idx": struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + bytes(2 * 28 * 28),
    }


READERS = {
    "record": runs.read_run,
    "run": lambda path: untrusted.read(path, RunFile),
    "roofs": lambda path: untrusted.read(path, RoofsFile),
    "npz": lambda path: load_params(path, SPEC),
    "pickle": lambda path: load_params(path, SPEC),
    "idx": lambda path: mnist.read(path, 3),
}


def _places(value, found):
    """Collect every (container, key) below a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        found.append((value, key))
        if isinstance(item, dict | list):
            _places(item, found)
    return found


def _case(number, kinds):
    """Return the kind and the bytes of a case."""
    rng = random.Random(number)
    kind = rng.choice(list(kinds))
    raw = kinds[kind]
    if raw.startswith(b"{") and rng.random() < 0.6:
        content = json.loads(raw)
        for _ in range(rng.randint(1, 3)):
            container, key = rng.choice(_places(content, []) or [({"mlpbench": {}}, "mlpbench")])
            if rng.random() < 0.3:
                del container[key]
            else:
                container[key] = rng.choice(ODD)
        return kind, json.dumps(content).encode()
    for _ in range(rng.randint(1, 4)):
        at, much = rng.randrange(len(raw) + 1), rng.choice([0, 1, 2, 8, 100])
        raw = raw[:at] + rng.choice([*BYTES, rng.randbytes(much)]) + raw[at + much :]
    return kind, raw[: rng.randrange(1, len(raw) + 1)] if rng.random() < 0.2 else raw


def _told(number, kind, path):
    """Return what is told of a file that is refused, nothing for one that is read; fail for anything else."""
    try:
        READERS[kind](path)
    except (UserError, ParamsError) as told:
        return str(told)
    except Exception as error:
        raise AssertionError(f"case {number}, {kind}: {type(error).__name__}: {error}") from error
    return ""


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_case_is_read_or_refused_in_one_line(tmp_path, block):
    kinds, refused = originals(), 0
    for number in range(block * CASES // BLOCKS, (block + 1) * CASES // BLOCKS):
        kind, raw = _case(number, kinds)
        path = tmp_path / f"{kind}.json"
        path.write_bytes(raw)
        told = _told(number, kind, path)
        refused += bool(told)
        assert told.isprintable(), f"case {number}: {told!r}"
        assert len(told) < 2000, f"case {number}: {told!r}"
    assert refused > CASES // BLOCKS / 4, "most cases are damaged"


def test_the_good_files_are_read(tmp_path):
    for kind, raw in originals().items():
        path = tmp_path / ("numpy.0.json" if kind == "record" else f"{kind}.json")
        path.write_bytes(raw)
        READERS[kind](path)
    assert calibration.of_machine(tmp_path) is None
    assert look.read(tmp_path / "look.json") == ()
