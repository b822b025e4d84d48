"""The example of a kernel on `numba.cuda`: under the simulator it passes the gate."""

import pytest

from support.processes import printed
from support.sources import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "numba_cuda.py"
#: In the simulator a thread of Python is a thread of the device: small networks, small blocks. Python's own exp raises
#: where a device has infinity.
GATE = f"""
import json, math, sys
from types import SimpleNamespace
import numpy as np
from mlpbench.kernels import registry
from mlpbench.kernels.conformance import check
from mlpbench.kernels.spec import ForwardSpec
kernel = registry.load(registry.give("{EXAMPLE}:" + sys.argv[1]))
kernel.probe()
module = sys.modules[kernel.__module__]
module.math = SimpleNamespace(exp=np.exp, tanh=np.tanh, erf=math.erf)
module.TILE, module.ROWS = 4, 8
specs = [ForwardSpec((9, 7, 5), "relu"), ForwardSpec((6, 4, 3), "step", "identity", "float64")]
if not kernel.tiled:
    specs += [ForwardSpec((5, 6, 5, 4, 3), of) for of in ("sigmoid,tanh,gelu", "silu,leaky-relu:0.2,identity")]
print(json.dumps([kernel.tiled, *(check(kernel, spec).max_error_ratio for spec in specs)]))
"""


@pytest.mark.parametrize(
    ("name", "is_tiled"), [("NumbaCuda", False), pytest.param("NumbaCudaTiled", True, marks=pytest.mark.heavy)]
)
def test_the_gate_under_the_simulator(monkeypatch, name, is_tiled):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    tiled, *ratios = printed(GATE, name)
    assert tiled == is_tiled
    assert len(ratios) == (2 if is_tiled else 4), "tiles take their time in the simulator"
    assert max(ratios) < 0.5
