"""Compiles CUDA sources with the NVRTC of this interpreter through `cuda.core`, and says what each kernel takes.

Needs `cuda-core` with NVRTC, and nvdisasm (`nvidia-cuda-nvdisasm`); no GPU, no NumPy, nothing of this project. Reads a
job a line as JSON (source, options, arch, wanted), and writes an answer a line: by the name of each kernel
what it takes ("taken"), or what nvdisasm prints of it ("listings").
"""

import json
import re
import subprocess
import sys
import tempfile

from cuda.bindings import nvrtc
from cuda.core import Program, ProgramOptions
from cuda.pathfinder import find_nvidia_binary_utility

#: An instruction in what nvdisasm prints: its address, perhaps a predicate, its name.
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,6}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)")
#: What ptxas says of each kernel.
FUNCTION = re.compile(
    r"Function properties for (?P<name>\w+)\s*\n.*?(?P<stack>\d+) bytes stack frame, "
    r"(?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads\s*\n.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)"
)


class Log(list):
    """What NVRTC writes, as `cuda.core` hands it over."""

    write = list.append


def version() -> str:
    """Return the version of NVRTC as far as it tells: major and minor."""
    _, major, minor = nvrtc.nvrtcVersion()
    return f"{major}.{minor}"


def compiled(source: str, options: list[str], arch: str) -> tuple[bytes, str]:
    """Compile for one architecture, as CuPy does; return the cubin, and what ptxas says of it."""
    macros = [tuple(option.removeprefix("-D").split("=", 1)) for option in options if option.startswith("-D")]
    log, told = Log(), ["-v"]
    settings = ProgramOptions(
        std="c++17",
        arch=f"sm_{arch}",
        ftz=True,
        ptxas_options=told,
        define_macro=macros or None,
        device_as_default_execution_space=True,
    )
    cubin = Program(source, "c++", settings).compile("cubin", logs=log).code
    return cubin, "".join(map(str, log))


def taken(cubin: bytes, said: str) -> dict[str, dict[str, int]]:
    """Return registers, bytes and instructions of each kernel."""
    listing = listings(cubin)
    found = {}
    for match in FUNCTION.finditer(said):
        names = INSTRUCTION.findall(listing[match["name"]])
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found[match["name"]] = {
            "registers": int(match["registers"]),
            "stack": int(match["stack"]),
            "spills": int(match["stores"]) + int(match["loads"]),
            "shared": int(shared[1]) if shared else 0,
            "ffma": sum(name.startswith("FFMA") for name in names),
            "hmma": sum(name.startswith("HMMA") for name in names),
            "local": sum(name.startswith(("LDL", "STL")) for name in names),
        }
    return found


def listings(cubin: bytes) -> dict[str, str]:
    """Return what nvdisasm prints of each function of a cubin."""
    program = find_nvidia_binary_utility("nvdisasm")
    if program is None:
        sys.exit("nvdisasm is not installed: pip install nvidia-cuda-nvdisasm")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        listing = subprocess.run([program, "-c", file.name], capture_output=True, text=True, check=True).stdout
    sections = re.split(r"^//-+ \.text\.(\S+)\s+-+", listing, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


if __name__ == "__main__":
    print(json.dumps({"version": version()}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        cubin, said = compiled(job["source"], job["options"], job["arch"])
        print(json.dumps(listings(cubin) if job["wanted"] == "listings" else taken(cubin, said)), flush=True)
