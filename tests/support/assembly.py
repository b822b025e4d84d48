"""Processes that compile kernels, for whatever processor they are told to, and the assembly language of kernels."""

import json
import re

from numba.core.registry import cpu_target

from support.processes import printed

#: Ends of basic blocks, of x86 and AArch64.
_JUMP = re.compile(r"^\t(j|b\.|b\t|cb|tb)", re.MULTILINE)

#: Vector registers and the stack pointer, by what a triple begins with.
VECTOR = {"x86_64": r"%[xyz]mm\d+", "aarch64": r"\b[vq]\d+\b"}
STACK = {"x86_64": r"\(%rsp", "aarch64": r"\[sp"}


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


def functions(code):
    """Return the instructions of each function whose name stands in the code as it is, without mangling."""
    found = re.finditer(r"^(\w+):.*\n((?:.*\n)*?)\.Lfunc_end", code, flags=re.MULTILINE)
    return {match[1]: match[2] for match in found if not match[1].startswith("_")}


def loops(body):
    """Return the innermost loops of a function: lists of instructions, each of which jumps back to its own start."""
    found = []
    for block in re.split(r"^(?=\.LBB)", body, flags=re.MULTILINE):
        label, _, text = block.partition(":")
        inside, jump, _ = re.sub(r"[ \t]*[#/]+ .*", "", text).partition(f"{label}\n")
        lines = [line.strip() for line in inside.splitlines() if line.startswith("\t") and not line.startswith("\t.")]
        if label.startswith(".LBB") and jump and not _JUMP.search(inside.rpartition("\n")[0]):
            found.append(lines[:-1])
    return found


def main_loop(code, name):
    """Return the longest innermost loop of the function ``name``."""
    body = functions(code).get(name)
    assert body, f"no function {name}"
    found = loops(body)
    assert found, f"no loop in {name}"
    return max(found, key=len)


def spills(loop, arch):
    """Return the instructions of a loop that move a vector from or to the stack."""
    return [line for line in loop if re.search(VECTOR[arch], line) and re.search(STACK[arch], line)]


def multiply_adds(loop, bits):
    """Return how often a loop multiplies vectors and adds to them, in one instruction or in two."""
    item = {32: "s", 64: "d"}[bits]
    fused = [line for line in loop if re.match(rf"vfmadd\d+p{item}\t|fmla\tv\d+\.\d{item}, ", line)]
    products, sums = ([line for line in loop if re.match(rf"v?{op}p{item}\t", line)] for op in ("mul", "add"))
    assert len(products) == len(sums), "a product that is not added"
    return len(fused) + len(products)
