"""What g++ cannot read in a CUDA source, as calls: instructions in ``asm``, and shared memory without a size."""

import re

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

    def dynamic(found: re.Match[str]) -> str:
        kind, name = found["type"], found["name"]
        memory = f"on_cpu::dynamic_shared(sizeof(on_cpu_aligned_{name}))"
        aligned = f"struct alignas({found['align'] or f'alignof({kind})'}) on_cpu_aligned_{name} {{}};"
        return f"{aligned} {kind}* const {name} = reinterpret_cast<{kind}*>({memory})"

    return _without_asm(DYNAMIC.sub(dynamic, source))


def entries(source: str) -> dict[str, str]:
    """Return the kernels of a source that a driver finds by name, with the most threads of a block that each allows."""
    return {found["name"]: found["one"] or found["two"] or "0" for found in ENTRY.finditer(source)}


def _without_asm(source: str) -> str:
    parts, at = [], 0
    while found := ASM.search(source, at):
        end, pieces = _split(source, found.end(), ":")
        parts += [source[at : found.start()], _calls(pieces), "\n" * source.count("\n", found.start(), end)]
        at = end
    return "".join([*parts, source[at:]])


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
    message = "a parenthesis is not closed"
    raise ValueError(message)


def _calls(pieces: list[str]) -> str:
    """Return the calls of the instructions: the text, what it writes, what it reads, what it spoils."""
    text = (
        "".join(word[1:-1] for word in re.findall(r'"(?:\\.|[^"\\])*"', pieces[0]))
        .replace("\\n", "\n")
        .replace("\\t", " ")
    )
    operands = []
    for piece in pieces[1:3]:
        _, listed = _split(f"{piece})", 0, ",")
        operands += [
            re.sub(r'^\s*"[^"]*"\s*\((.*)\)\s*$', r"(\1)", one, flags=re.DOTALL) for one in listed if one.strip()
        ]
    calls = []
    for instruction in filter(None, (line.strip() for line in text.split(";"))):
        name, _, rest = instruction.partition(" ")
        words = re.findall(r"%%(\w+)|%(\d+)|(-?\w+)", rest)
        values = [
            f"ptx_register_{special}()" if special else operands[int(n)] if n else number
            for special, n, number in words
        ]
        calls.append(f"ptx_{name.replace('.', '_')}({', '.join(values)});")
    return " ".join(calls).removesuffix(";")
