"""`cupy.RawModule` and `cupy.RawKernel` on a CPU: the source that NVRTC would compile is compiled by g++, and run.

What CuPy or the driver would refuse, or would take without a word and read wrongly, is refused in words: a Python
number, an array that is not contiguous, too much shared memory.
"""

import atexit
import ctypes
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).parent
#: Shared memory that a kernel has without asking, on every device.
UNASKED_BYTES = 48 * 1024
MOST_THREADS = 1024
COMMON = ("-std=c++20", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing")
COMMON += ("-Wno-unknown-pragmas", "-Wno-attributes")
#: What C++ leaves undefined ends the launch, at the price of an instruction or two and without a library.
TRAPS = ("-fsanitize=alignment,bounds,signed-integer-overflow,shift,integer-divide-by-zero",)
TRAPS += ("-fsanitize-undefined-trap-on-error",)
#: Two programs for three sanitizers: that of what is undefined goes with that of addresses, and what it finds ends the
#: program. Nothing is optimised: kernels run for less time than the compiler would take.
SANITIZERS = {
    "thread": ("-fsanitize=thread",),
    "address, undefined": ("-fsanitize=address,undefined", "-fno-sanitize=vptr", TRAPS[1]),
}

#: Words of CUDA that headers of g++ use too, or ask for: they are defined behind the last of them.
LAST = "#define __noinline__ __attribute__((noinline))\n#define __CUDACC__ 1\n"


# -- what g++ cannot read in a CUDA source, as calls

#: extern __shared__ __align__(16) float memory[]
DYNAMIC = re.compile(
    r"extern\s+__shared__\s+(?:__align__\s*\((?P<align>[^)]*)\)\s*)?(?P<type>[\w\s]+?)\s*\b(?P<name>\w+)\s*\[\s*\]"
)
ASM = re.compile(r"\b(?:asm|__asm__)\s*(?:volatile|__volatile__)?\s*\(")
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|.', re.DOTALL)
ENTRY = re.compile(
    r'extern\s+"C"\s+__global__\s+(?P<before>__launch_bounds__\s*\((?P<one>[^;{]*?)\)\s*)?void\s+'
    r"(?:__launch_bounds__\s*\((?P<two>[^;{]*?)\)\s*)?(?P<name>\w+)\s*\("
)


def for_a_cpu(source: str) -> str:
    """Return the source with its ``asm`` and its dynamic shared memory made calls; all else, lines too, stays."""
    parts, at = [], 0

    def dynamic(found: re.Match[str]) -> str:
        kind, name = found["type"], found["name"]
        memory = f"on_cpu::dynamic_shared(sizeof(on_cpu_aligned_{name}))"
        aligned = f"struct alignas({found['align'] or f'alignof({kind})'}) on_cpu_aligned_{name} {{}};"
        return f"{aligned} {kind}* const {name} = reinterpret_cast<{kind}*>({memory})"

    source = DYNAMIC.sub(dynamic, source)
    while found := ASM.search(source, at):
        end, pieces = _split(source, found.end(), ":")
        parts += [source[at : found.start()], _calls(pieces), "\n" * source.count("\n", found.start(), end)]
        at = end
    return "".join([*parts, source[at:]])


def entries(source: str) -> dict[str, str]:
    """Return the kernels of a source that a driver finds by name, with the most threads of a block that each allows."""
    return {found["name"]: found["one"] or found["two"] or "0" for found in ENTRY.finditer(source)}


def _split(text: str, start: int, separator: str) -> tuple[int, list[str]]:
    """Return where the parenthesis before ``start`` is closed, and what the separators outside of others divide."""
    depth, pieces, piece, at = 1, [], "", start
    for token in TOKEN.finditer(text, start):
        word, at = token[0], token.end()
        depth += (word in "([{") - (word in ")]}") if len(word) == 1 else 0
        if depth == 0:
            return at, [*pieces, piece]
        if word == separator and depth == 1:
            pieces.append(piece)
            piece = ""
        elif not word.startswith(("//", "/*")):
            piece += word
    raise ValueError("a parenthesis is not closed")


def _calls(pieces: list[str]) -> str:
    """Return the calls of the instructions: the text, what it writes, what it reads, what it spoils."""
    text = "".join(word[1:-1] for word in re.findall(r'"(?:\\.|[^"\\])*"', pieces[0]))
    text = text.replace("\\n", "\n").replace("\\t", " ")
    listed = [one for piece in pieces[1:3] for one in _split(f"{piece})", 0, ",")[1] if one.strip()]
    operands = [re.sub(r'^\s*"[^"]*"\s*\((.*)\)\s*$', r"(\1)", one, flags=re.DOTALL) for one in listed]
    calls = []
    for instruction in filter(None, (line.strip() for line in text.split(";"))):
        name, _, rest = instruction.partition(" ")
        values = [
            f"ptx_register_{special}()" if special else operands[int(n)] if n else number
            for special, n, number in re.findall(r"%%(\w+)|%(\d+)|(-?\w+)", rest)
        ]
        calls.append(f"ptx_{name.replace('.', '_')}({', '.join(values)});")
    return " ".join(calls).removesuffix(";")


# -- compiling and launching


class LaunchError(RuntimeError):
    """What a launch did that a device must not be asked to do, in words."""


class Launching(NamedTuple):
    """How launches run: the order of threads, and which blocks of the grid, as a range; None: all."""

    order: int = 0
    blocks: tuple[int, int] | None = None


def compiler() -> str | None:
    """Return the C++ compiler of this machine."""
    return shutil.which("g++") or shutil.which("c++")


@cache
def _folder() -> Path:
    """Return where compiled sources are kept: for this process, or where the variable says."""
    if kept := os.environ.get("MLPBENCH_ON_CPU_CACHE"):
        return Path(kept)
    folder = Path(tempfile.mkdtemp(prefix="mlpbench-on-cpu-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _translated(sources: "list[CpuRawModule]", engine: str) -> str:
    """Return C++ for CUDA sources, each in a namespace and with its options: their kernels are ``<name>@<i>``."""
    table, text = "", f'#include "{engine}.h"\n{LAST}'
    for i, module in enumerate(sources):
        pairs = [option.removeprefix("-D").partition("=") for option in module.options if option.startswith("-D")]
        kernels = entries(module.code)
        # Names with C linkage are the same in all namespaces.
        defined = f"#define __CUDA_ARCH__ {10 * module.capability}\n"
        defined += "".join(f"#define {name} {value if equals else 1}\n" for name, equals, value in pairs)
        defined += "".join(f"#define {name} {name}_{i}\n" for name in kernels)
        rows = "".join(
            f'    {{"{name}@{i}", ON_CPU_FIRST({most}, 0), on_cpu::Of<&{name}>::kinds, on_cpu::Of<&{name}>::call}},\n'
            for name, most in kernels.items()
        )
        table += f"    on_cpu_source_{i}::entries,\n"
        macros = re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", defined + module.code, re.MULTILINE)
        text += f'{defined}namespace on_cpu_source_{i} {{\n#line 1 "kernel.cu"\n{for_a_cpu(module.code)}\n'
        text += f'#line 1 "entries"\nstatic const on_cpu::Entry entries[] = {{\n{rows}'
        text += "    {nullptr, 0, nullptr, nullptr}};\n}\n"
        text += "".join(f"#undef {name}\n" for name in dict.fromkeys(macros))
    return f"{text}const on_cpu::Entry* const on_cpu::sources[] = {{\n{table}    nullptr}};\n"


def _compiled(text: str, flags: tuple[str, ...], ending: str) -> Path:
    """Compile a text of C++, once for all that share a folder; what g++ says of an error is raised."""
    words = (compiler() or "g++", *COMMON, *flags)
    key = hashlib.sha256("\0".join((text, *words)).encode()).hexdigest()[:20]
    target = _folder() / key / f"compiled{ending}"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        path = target.with_name(f"{os.getpid()}.{'h' if ending == '.h.gch' else 'cpp'}")
        path.write_text(text, encoding="utf-8")
        made = subprocess.run([*words, str(path), "-o", f"{path}.out"], capture_output=True, text=True, check=False)
        if made.returncode:
            raise LaunchError(f"g++ does not compile it: {made.stderr[:4000]}")
        Path(f"{path}.out").replace(target)
    return target


class CpuRawModule:
    """`cupy.RawModule`: a source and its options, compiled when a kernel is first asked for."""

    def __init__(self, *, code: str, options: tuple[str, ...] = (), capability: int = 80) -> None:
        self.code, self.options, self.capability = code, tuple(options), capability
        self.launching = Launching()
        self._beside = [self]
        self._library = None

    @staticmethod
    def together(modules: "list[CpuRawModule]") -> None:
        """Compile these modules in one go, once the first of them is asked for a kernel."""
        for one in modules:
            one._beside = modules

    def named(self, kernel: str) -> str:
        """Return what a kernel of this module is called in the library."""
        return f"{kernel}@{self._beside.index(self)}"

    def compiled(self):
        """Return the library. The shim is read by the compiler once: to read it takes longer than a kernel."""
        if self._library is None:
            flags = ("-fPIC", "-O1", *TRAPS)
            shim = _compiled(f'#include "{HERE / "fibers.h"}"\n', (*flags, "-x", "c++-header"), ".h.gch")
            include = (f"-I{shim.parent}", f"-I{HERE}")
            text = _translated(self._beside, "compiled")
            library = ctypes.CDLL(str(_compiled(text, (*flags, *include, "-shared", "-Wl,-Bsymbolic"), ".so")))
            library.on_cpu_kinds.restype = library.on_cpu_launch.restype = ctypes.c_char_p
            for one in self._beside:
                one._library = library
        return self._library

    def program(self, sanitizer: str) -> Path:
        """Return the program that runs one kernel under a sanitizer."""
        flags = ("-DON_CPU_PROGRAM", "-O0", *SANITIZERS[sanitizer], "-pthread", f"-I{HERE}")
        return _compiled(_translated(self._beside, "threads"), flags, ".program")

    def get_function(self, name: str) -> "CpuRawKernel":
        """Return the kernel of this name."""
        if self.compiled().on_cpu_kinds(self.named(name).encode()) is None:
            raise LaunchError(f"the source has no kernel {name!r}: it has {', '.join(entries(self.code))}")
        return CpuRawKernel(self, name)


class CpuRawKernel:
    """`cupy.RawKernel`, which NumPy's arrays are the arguments of; ``code`` may be a module that has it."""

    def __init__(self, code: str | CpuRawModule, name: str, options: tuple[str, ...] = ()) -> None:
        self.module = CpuRawModule(code=code, options=options) if isinstance(code, str) else code
        self.name = name
        self.max_dynamic_shared_size_bytes = UNASKED_BYTES

    @property
    def _key(self) -> bytes:
        return self.module.named(self.name).encode()

    def checked(self, grid, block, arguments, shared_mem) -> tuple[list[int], list[int], list]:
        """Return grid and block in three numbers, and each argument as an array or a number of NumPy."""
        library = self.module.compiled()
        kinds = library.on_cpu_kinds(self._key).decode().split(",")[:-1]
        sizes = [[*map(int, one), 1, 1][:3] for one in (grid, block)]
        fits = prod(sizes[1]) <= (library.on_cpu_threads(self._key) or MOST_THREADS) and sizes[0][0] < 2**31
        fits = fits and shared_mem <= max(UNASKED_BYTES, self.max_dynamic_shared_size_bytes)
        if not fits or len(arguments) != len(kinds):
            raise LaunchError(f"no device launches {self.name} with {grid}, {block}, {shared_mem} and {kinds}")
        for number, (value, kind) in enumerate(zip(arguments, kinds, strict=True)):
            if not _is_passed_whole(value, kind):
                raise LaunchError(f"{self.name} takes {kind} as argument {number}, and CuPy would pass {value!r}")
        return *sizes, arguments

    def __call__(self, grid, block, args, *, shared_mem: int = 0) -> None:
        """Run all blocks, one after the other."""
        grid, block, values = self.checked(grid, block, args, shared_mem)
        numbers = [np.uint64(v.ctypes.data) if isinstance(v, np.ndarray) else v for v in values]
        held = [np.array([number]) for number in numbers]
        pointers = (ctypes.c_void_p * len(held))(*[one.ctypes.data for one in held])
        three = ctypes.c_uint * 3
        blocks = map(ctypes.c_longlong, self.module.launching.blocks or (0, prod(grid)))
        sizes = three(*grid), three(*block), ctypes.c_size_t(shared_mem)
        said = self.module.compiled().on_cpu_launch(self._key, *sizes, self.module.launching.order, *blocks, pointers)
        if said is not None:
            raise LaunchError(said.decode())


def _is_passed_whole(value, kind: str) -> bool:
    """Return whether a kernel finds in an argument what it takes: an array of its type, or a number of NumPy."""
    dtype = kind.removeprefix("*").removeprefix("const ")
    if not kind.startswith("*"):
        return isinstance(value, np.generic) and value.dtype == np.dtype(dtype)
    if not isinstance(value, np.ndarray):
        return isinstance(value, np.uint64 | np.intp)
    is_of_type = dtype == "?" or value.dtype == np.dtype(dtype)
    return is_of_type and value.flags.c_contiguous and (value.flags.writeable or "const" in kind)


def sanitized(kernel: CpuRawKernel, sanitizer: str, grid, block, arguments, *, shared_mem: int = 0) -> str:
    """Run a kernel with one thread for each thread under a sanitizer; return what it finds, "" for nothing."""
    grid, block, values = kernel.checked(grid, block, arguments, shared_mem)
    numbers = (*grid, *block, shared_mem, *(kernel.module.launching.blocks or (0, prod(grid))))
    sizes = [f"{'p' if isinstance(v, np.ndarray) else 'v'}{v.nbytes}" for v in values]
    program, name = kernel.module.program(sanitizer), kernel.module.named(kernel.name)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(v.tobytes() for v in values))
        file.flush()
        words = [*_without_random_addresses(), str(program), name, file.name, *map(str, numbers), *sizes]
        env = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1"}
        ran = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
        if ran.returncode:
            trapped = -ran.returncode in (signal.SIGILL, signal.SIGTRAP)
            undefined = "UndefinedBehaviorSanitizer: trapped" if trapped else ""
            return ran.stdout + ran.stderr + undefined or f"exit {ran.returncode}"
        file.seek(0)
        for value in values:
            there = np.frombuffer(file.read(value.nbytes), value.dtype)
            if isinstance(value, np.ndarray) and value.flags.writeable:
                value.reshape(-1)[:] = there
    return ""


@cache
def _without_random_addresses() -> tuple[str, ...]:
    """Return the words without which ThreadSanitizer of g++ 12 dies where addresses are spread wide."""
    words = ("setarch", "-R")
    if shutil.which("setarch") and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        return words
    return ()
