"""Estimate the share of a GPU's peak of FFMA that `mlp_ffma` reaches, from its instructions. No GPU is needed.

    python scripts/gpu/ffma_share.py PYTHON12 PYTHON13

Interpreters are as for `cuda_resources.py`. Useful products are those of MNIST's network; what fills up a tile is lost.
The estimate assumes, and no card has confirmed:

1. A quarter of a multiprocessor issues one instruction a cycle, of whichever warp is ready. Some warp always is.
2. Shared memory and L1 move 128 bytes a cycle, counted for each lane, also where lanes read the same.
3. Exponentials, reciprocals and conversions take 8 cycles, FFMA as many as there are lanes to a unit.
4. These go on side by side within a loop and all that is in it. What follows it comes after it.
"""

import math
import re
import sys
from collections import Counter, defaultdict
from types import MappingProxyType

from cuda_resources import Compiler, fused

from mlpbench.kernels.cuda import packing, programs
from mlpbench.kernels.cuda.programs import Program
from mlpbench.kernels.spec import MNIST

#: Units for FFMA of a multiprocessor, by architecture: the CUDA C++ programming guide, throughput of instructions.
UNITS = MappingProxyType({75: 64, 80: 64, 86: 128, 89: 128, 90: 128, 100: 128, 120: 128})
LINE = re.compile(
    r"^(?P<label>\.L_\w+):|/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?(?P<name>[A-Z][A-Z0-9_.]+)(?P<rest>.*)",
    re.MULTILINE,
)

#: Loops with fewer products compute exponentials.
MANY = 40
#: A loop, as its first and its last instruction.
Loop = tuple[int, int]


def read(listing: str) -> tuple[list[str], list[Loop]]:
    """Return the names of the instructions of nvdisasm's listing, and its loops: outer ones before those in them."""
    names: list[str] = []
    labels, loops = {}, set()
    for line in LINE.finditer(listing):
        if line["label"]:
            labels[line["label"]] = len(names)
            continue
        target = re.search(r"\.L_\w+", line["rest"]) if line["name"].startswith("BRA") else None
        if target and labels.get(target[0], len(names)) < len(names):
            loops.add((labels[target[0]], len(names)))
        names.append(line["name"])
    return names, sorted(loops, key=lambda loop: (loop[0], -loop[1]))


def cycles(name: str, arch: int) -> Counter[str]:
    """Return the cycles that an instruction of a warp takes of a quarter of a multiprocessor, by what it takes."""
    taken = Counter(issue=1)
    if name.startswith(("FFMA", "FADD", "FMUL")):
        taken["fp32"] = 128 // UNITS[arch]
    if name.startswith(("LDS", "STS", "LDG", "STG")):
        width = re.search(r"\.(64|128)\b", name)
        taken["memory"] = int(width[1]) // 8 if width else 4
    if name.startswith(("MUFU", "I2F.")) or name == "I2F":
        taken["special"] = 8
    return taken


def turns(names: list[str], loops: list[Loop], program: Program) -> dict[Loop, int]:
    """Return how often each loop turns for MNIST's network: those with products, then those over rows and outputs.

    How far the compiler has unrolled a loop of products, their number says. What it leaves over of the last loops is
    counted as if it were all: a little too much.
    """
    n_in, first, second, n_out = MNIST.sizes
    columns, step, tm = packing.Columns(option(program, "CG")), option(program, "BK"), option(program, "TM")
    outer = iter(
        [
            (-(-n_in // step), step * tm * columns.each(first)),
            (columns.passes(second), columns.padded(first) * tm * columns.each(second)),
        ]
    )
    found: dict[Loop, int] = {}
    for start, end in loops:
        if (start, end) in found:  # it is in one before
            continue
        if products(names, (start, end)) > MANY:
            found[start, end], of_inner = next(outer)
            inner = [loop for loop in loops if start <= loop[0] and loop[1] < end]
            found |= {loop: of_inner // products(names, loop) for loop in inner}
        else:
            stores = sum(name.startswith("STG") for name in names[start : end + 1])
            items = program.rows_per_block * (n_out if stores else 1)
            found[start, end] = -(-items // (program.block * max(stores, 1)))
    return found


def products(names: list[str], loop: Loop) -> int:
    """Return how many instructions of a loop, with all that is in it, are FFMA."""
    return sum(name.startswith("FFMA") for name in names[loop[0] : loop[1] + 1])


def option(program: Program, name: str) -> int:
    """Return a number that a program is told by -D."""
    return next(int(one.split("=")[1]) for one in program.options if one.startswith(f"-D{name}="))


def share(listing: str, program: Program, arch: int) -> float:
    """Return the estimate for ``mlp_ffma`` of MNIST's network, from 0 to 1, from nvdisasm's listing of it.

    Raises ValueError where the loops found do not make the products that the source asks for.
    """
    names, loops = read(listing)
    times = turns(names, loops, program)
    taken: dict[Loop | None, Counter[str]] = defaultdict(Counter)
    made = 0
    for at, name in enumerate(names):
        around = [loop for loop in loops if loop[0] <= at <= loop[1]]
        often = math.prod(times[loop] for loop in around)
        made += often * name.startswith("FFMA")
        for unit, count in cycles(name, arch).items():
            taken[around[0] if around else None][unit] += often * count
    macs = sum(k * n for k, n in MNIST.layers)
    useful = program.rows_per_block * macs / program.block
    if not useful <= made <= 1.1 * useful:
        message = f"{made} products in the loops found, where {useful:.0f} are useful"
        raise ValueError(message)
    return useful * (128 // UNITS[arch]) / sum(max(units.values()) for units in taken.values())


def main(pythons: list[str]) -> None:
    """Print the estimate of each compiler for each architecture."""
    compilers = [Compiler(python) for python in pythons]
    for pixels in (False, True):
        *_, program = programs.fused(MNIST, "fp32", pixels=pixels)
        job = fused(program, "fp32", pixels=pixels)
        for arch in UNITS:
            found = [share(compiler.listing(job, arch), program, arch) for compiler in compilers]
            print(f"{job.name:<24} sm_{arch:<4} {' '.join(f'{one:.1%}' for one in found)}", flush=True)
    for compiler in compilers:
        compiler.close()


if __name__ == "__main__":
    main(sys.argv[1:])
