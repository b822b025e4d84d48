"""The sources of the project, what each of them imports, and whether what they name is there."""

import ast
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("bench", "kernels") for path in (ROOT / package).rglob("*.py"))
SOURCES = MODULES + sorted(path for at in ("mlpbench", "tests", "scripts") for path in (ROOT / at).rglob("*.py"))
#: Prose names a module from `bench` or `kernels` on, without the name of what is installed.
NAMED = re.compile(r"`((?:bench|kernels)(?:\.\w+)+)(?:\(\))?`")
PATH = re.compile(r"(?<![\w/.-])((?:bench|kernels|mlpbench|tests|scripts|docs)/[\w./-]*\w)(?![\w*])")
#: Code in a page: its language, and the lines.
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    """Return the code of one language in a page of the docs."""
    return [code for kind, code in FENCED.findall((ROOT / page).read_text(encoding="utf-8")) if kind == language]


class Import(NamedTuple):
    """One imported name, and whether it is imported with the module, or never."""

    module: str
    name: str | None
    line: int
    at_import: bool
    only_types: bool


def name_of(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    return f"mlpbench.{name}" if top(name) in {"bench", "kernels"} else name


@cache
def imports(path):
    """Return every import of a module, those inside functions and under TYPE_CHECKING too."""
    found = []

    def visit(node, *, at_import, only_types):
        match node:
            case ast.Import(names=names):
                found.extend(Import(alias.name, None, node.lineno, at_import, only_types) for alias in names)
            case ast.ImportFrom(level=0, module=module, names=names):
                found.extend(Import(module, alias.name, node.lineno, at_import, only_types) for alias in names)
            case ast.ImportFrom():
                raise AssertionError(f"{path}:{node.lineno}: relative import")
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                for child in node.body:
                    visit(child, at_import=False, only_types=True)
                for child in node.orelse:
                    visit(child, at_import=at_import, only_types=only_types)
                return
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, at_import=at_import and not inside, only_types=only_types)

    visit(parsed(path), at_import=True, only_types=False)
    return found


def modules_imported(found):
    """Return the modules that an import may load: of ``from a import b``, also ``a.b``."""
    return {found.module} | ({f"{found.module}.{found.name}"} if found.name else set())


def top(module):
    return module.partition(".")[0]


def where(path, node):
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', None) or node.line}"


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def exists(name):
    """Return whether a dotted name, of a module or of something in one, leads somewhere."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def dead_names(text):
    """Return the names of modules, and the paths of files, that a text mentions and that lead nowhere."""
    names = [name for name in NAMED.findall(text) if not exists(f"mlpbench.{name}")]
    return names + [path for path in PATH.findall(text) if not (ROOT / path).exists()]
