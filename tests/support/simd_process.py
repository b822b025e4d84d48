"""A process that makes the vector kernels and says what it compiled: for whatever processor it is told to compile."""

import json
import os
import subprocess
import sys

from support.sources import ROOT

#: Makes kernels and computes with them; says what was compiled, when, and what the kernels say of themselves.
SCRIPT = """
import json, sys
import numba
import numba.core.event as event
import numpy as np
from support.assembly import in_use
from mlpbench.kernels.conformance import check
from mlpbench.kernels.mlp_numba_simd import NumbaSimdKernel, NumbaSimdParallelKernel, NumbaSimdSparseKernel
from mlpbench.kernels.params import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec

x = np.random.default_rng(0).random((50, 784), np.float32)
count, dtypes, shown = json.loads(sys.argv[1])
classes = (NumbaSimdKernel, NumbaSimdSparseKernel, NumbaSimdParallelKernel)[:count]
specs = [ForwardSpec(MNIST.sizes, dtype=dtype) for dtype in dtypes]
with event.install_recorder("numba:compile") as made:
    kernels = [cls(spec, seeded(spec)) for spec in specs for cls in classes]
with event.install_recorder("numba:compile") as called:
    sums = [float(np.square(kernel.forward(x.astype(kernel.spec.dtype))).sum()) for kernel in kernels]
    sums += [float(np.square(kernel.forward_one(x[0].astype(kernel.spec.dtype))).sum()) for kernel in kernels]
compiler = "numba.np.linalg" in sys.modules
later = float(numba.njit(lambda a: (a @ a).sum())(np.eye(3)))
ratios = [
    check(cls, ForwardSpec(sizes, hidden)).max_error_ratio
    for cls in classes for sizes in ((784, 50, 100, 10), (65, 37, 3)) for hidden in ("sigmoid", "relu", "step")
]
print(json.dumps({"made": len(made.buffer), "called": len(called.buffer), "sums": sums, "ratios": ratios,
                  "compiler": compiler, "later": later,
                  "describe": [kernel.describe() for kernel in kernels],
                  "code": {dtype: in_use(dtype) for dtype in shown}}))
"""


def run(kernels=2, dtypes=("float32",), shown=(), **environment):
    """Run the script for so many of the kernels in a fresh process; return what it prints.

    ``shown`` are dtypes whose code it returns.
    """
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    env = {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in environment.items()}}
    command = [sys.executable, "-c", SCRIPT, json.dumps([kernels, dtypes, shown])]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
