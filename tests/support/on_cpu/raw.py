"""`cupy.RawModule` and `cupy.RawKernel` on a CPU: the source that NVRTC would compile is compiled by g++, and run.

They are constructed and called as CuPy's are. What CuPy or the driver would refuse, or would take without a word and
read wrongly, is refused in words: a Python number, an array that is not contiguous, too much shared memory.
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

from support.on_cpu.rewritten import entries, for_a_cpu

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
LAST = "#define __noinline__ __attribute__((noinline))\n#define __CUDACC__ 1\n#define __CUDA_ARCH__ 800\n"


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
    """Return where compiled sources are kept: for this process, or for all that are told of one folder."""
    if kept := os.environ.get("MLPBENCH_ON_CPU_CACHE"):
        return Path(kept)
    folder = Path(tempfile.mkdtemp(prefix="mlpbench-on-cpu-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _translated(sources: "list[CpuRawModule]", engine: str) -> str:
    """Return a whole C++ program, or library, for CUDA sources with their options: its kernels are ``<name>@<i>``.

    Each source has a namespace, and kernel names that end with it. Options come after the words of CUDA.
    """
    table, text = "", f'#include "{engine}.h"\n{LAST}'
    for i, module in enumerate(sources):
        pairs = [option.removeprefix("-D").partition("=") for option in module.options if option.startswith("-D")]
        kernels = entries(module.code)
        # Names with C linkage are the same in all namespaces.
        defined = "".join(f"#define {name} {value if equals else 1}\n" for name, equals, value in pairs)
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

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.code, self.options = code, tuple(options)
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
        is_launched = (
            min(map(min, sizes)) >= 1
            and prod(sizes[1]) <= (library.on_cpu_threads(self._key) or MOST_THREADS)
            and sizes[0][0] < 2**31
            and max(sizes[0][1:]) <= 65535
            and shared_mem <= max(UNASKED_BYTES, self.max_dynamic_shared_size_bytes)
            and len(arguments) == len(kinds)
        )
        if not is_launched:
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
    if isinstance(value, np.ndarray):
        is_written = "const" not in kind
        is_of_type = dtype == "?" or value.dtype == np.dtype(dtype)
        return is_of_type and value.flags.c_contiguous and (value.flags.writeable or not is_written)
    return isinstance(value, np.uint64 | np.intp)


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
