"""Processes that compile kernels, for whatever processor they are told to."""

import json

from numba.core.registry import cpu_target

from support.processes import printed

#: Makes kernels and computes with them; says what was compiled, when, and what the kernels say of themselves.
SCRIPT = """
import json, sys
import numba
import numba.core.event as event
import numpy as np
from mlpbench.kernels import registry
from mlpbench.kernels.conformance import check
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import MNIST, ForwardSpec

asked, hiddens = json.loads(sys.argv[1])
x = np.random.default_rng(0).random((50, 784), np.float32)
specs = [ForwardSpec(MNIST.sizes, dtype=dtype) for _, dtype in asked]
with event.install_recorder("numba:compile") as made:
    kernels = [registry.load(name)(spec, seeded(spec)) for (name, _), spec in zip(asked, specs)]
with event.install_recorder("numba:compile") as called:
    sums = [float(np.square(kernel.forward(x.astype(kernel.spec.dtype))).sum()) for kernel in kernels]
    sums += [float(np.square(kernel.forward_one(x[0].astype(kernel.spec.dtype))).sum()) for kernel in kernels]
    compiler = "numba.np.linalg" in sys.modules
    ratios = [
        check(type(kernel), ForwardSpec(sizes, hidden, dtype=kernel.spec.dtype)).max_error_ratio
        for kernel in kernels for sizes in ((784, 50, 100, 10), (65, 37, 3)) for hidden in hiddens
        if hidden.count(",") in (0, len(sizes) - 3)
    ]
later = None if hiddens else float(numba.njit(lambda a: (a @ a).sum())(np.eye(3)))
print(json.dumps({"made": len(made.buffer), "called": len(called.buffer), "sums": sums, "ratios": ratios,
                  "compiler": compiler, "later": later,
                  "describe": [kernel.describe().as_dict() for kernel in kernels]}))
"""


def compiled(*kernels, dtype="float32", hidden=("sigmoid", "relu", "step"), **environment):
    """Compile kernels, and load what is kept of them, in a fresh process; return what it says.

    ``kernels`` are names, or names with another dtype: ("numba", "float64"). Without ``hidden`` activations to look at,
    "later" says what a function gives that needs the compiler.
    """
    asked = [(kernel, dtype) if isinstance(kernel, str) else kernel for kernel in kernels]
    return printed(SCRIPT, json.dumps([asked, hidden]), **environment)


def host_features():
    """Return what the processor can do, as LLVM names it."""
    return set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))
