"""Assembly language as LLVM writes it: the loops in it, and what stands there."""

import re

from mlpbench.kernels.numba_simd.passes import network

#: Ends of basic blocks, of x86 and AArch64.
_JUMP = re.compile(r"^\t(j|b\.|b\t|cb|tb)", re.MULTILINE)

#: Vector registers and the stack pointer, by what a triple begins with.
VECTOR = {"x86_64": r"%[xyz]mm\d+", "aarch64": r"\b[vq]\d+\b"}
STACK = {"x86_64": r"\(%rsp", "aarch64": r"\[sp"}


def in_use(dtype):
    """Return the assembly language of the serial forward pass, which this process must have compiled."""
    (code,) = network.compiled(dtype, "serial").inspect_asm().values()
    return code


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


def require_registers(code, shape, bits, arch, kind=""):
    """Check that the loop over k of the largest tile multiplies and adds in registers: no vector is stored."""
    loop = main_loop(code, f"{kind}tile_{shape.rows}x{shape.vectors}_f{bits}")
    sums, count = shape.rows * shape.vectors, multiply_adds(loop, bits)
    assert count >= sums
    assert count % sums == 0
    vectors = [line for line in loop if re.search(VECTOR[arch], line)]
    assert not spills(loop, arch), "a vector is spilled"
    assert not [line for line in vectors if line.endswith(")") or line.startswith(("st", "str"))], "a vector is stored"
    if arch == "x86_64":
        assert len([line for line in vectors if "(" in line]) == count // sums * (shape.rows + shape.vectors)
