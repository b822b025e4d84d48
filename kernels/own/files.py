"""Kernels in a file: ``./mine.py:fast`` names a function ``fast(x, weights, biases)``, or a class of `Kernel`, in it.

The file is read once where it is typed. From then on its hash goes with its name, in a variable that every process of a
run inherits: a process that finds another content refuses it. What runs is the very text that was hashed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from mlpbench.kernels.base import Kernel
from mlpbench.kernels.errors import KernelUnavailable, UnknownKernel
from mlpbench.kernels.files import read_ordinary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlpbench.kernels.params import Params
    from mlpbench.kernels.spec import ForwardSpec

#: Names, and with each the `KernelFile`, as JSON.
VARIABLE = "MLPBENCH_KERNEL_FILES"
#: What is named where nothing stands behind the file.
DEFAULT = "forward"
#: A larger file is no source.
MAX_BYTES = 2**20


class KernelFile(NamedTuple):
    """Where a kernel is: an absolute path, a name in that file, and the SHA-256 of the content that is meant."""

    path: str
    attribute: str
    sha256: str


def is_file(text: str) -> bool:
    """Return whether somebody who types ``text`` means a file."""
    return _split(text)[0].endswith(".py")


def _split(text: str) -> tuple[str, str]:
    path, colon, attribute = text.rpartition(":")
    return (path, attribute) if colon else (text, DEFAULT)


def name_of(text: str) -> str:
    """Return what the kernel of a file is called in tables and results: ``mine.fast`` for ``./mine.py:fast``."""
    path, attribute = _split(text)
    stem, attribute = (re.sub(r"[^A-Za-z0-9_-]", "-", part) for part in (Path(path).stem, attribute))
    return f"{(stem.lstrip('_-') or 'file')[:60]}.{attribute[:38]}"


def give(text: str) -> str:
    """Read the file that ``text`` names, let this process and those that it starts know it, and return its name.

    Raises UnknownKernel where there is no such file, or a file of the same name was given before.
    """
    written, attribute = _split(text)
    if not attribute.isidentifier():
        raise UnknownKernel(f"{text}: behind the colon stands the name of a function or class in the file")
    try:
        path = Path(written).expanduser().absolute()
    except RuntimeError:  # ~nobody/mine.py
        raise UnknownKernel(f"{text}: nobody has that home folder") from None
    name, found = name_of(text), KernelFile(str(path), attribute, hashlib.sha256(_content(path, written)).hexdigest())
    before = given().get(name, found)
    if (before.path, before.attribute) != (found.path, found.attribute):
        raise UnknownKernel(f"{text}: {before.path}:{before.attribute} is called {name} too: rename one of both")
    restore({name: found})
    return name


def restore(files: Mapping[str, KernelFile]) -> None:
    """Let this process, and those that it starts, know files beside those that they know, with these hashes."""
    os.environ[VARIABLE] = json.dumps({**given(), **files})


def given() -> dict[str, KernelFile]:
    """Return the files that this process knows, by the names of their kernels."""
    return {name: KernelFile(*found) for name, found in json.loads(os.environ.get(VARIABLE, "{}")).items()}


def _content(path: Path, written: str) -> bytes:
    try:
        return read_ordinary(path, MAX_BYTES)
    except OSError as error:
        raise UnknownKernel(f"{written}: it cannot be read: {error.strerror or error}") from None


def read(file: KernelFile) -> bytes:
    """Return the content that was given. Raises UnknownKernel where the file is gone, or holds another content."""
    content = _content(Path(file.path), file.path)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise UnknownKernel(f"{Path(file.path).name} has changed since this run began; start it again")
    return content


@cache
def load(file: KernelFile) -> type[Kernel]:
    """Run a file; return the class of its kernel. Raises KernelUnavailable where it is not what was given, or fails."""
    path = Path(file.path)
    try:
        content = read(file)
    except UnknownKernel as error:
        raise KernelUnavailable(str(error)) from None
    found = vars(_run(path, content, file.sha256)).get(file.attribute)
    if found is None:
        raise KernelUnavailable(f"{path.name} has no {file.attribute}")
    if isinstance(found, type) and issubclass(found, Kernel):
        # A class without a library is written with Python and what that imports.
        return found if hasattr(found, "backend") else type(found.__name__, (found,), {"backend": "python"})
    if isinstance(found, type) or not callable(found):
        raise KernelUnavailable(
            f"{path.name}: {file.attribute} is neither a function forward(x, weights, biases) nor a class of "
            "mlpbench.kernels.base.Kernel"
        )
    return of_function(found)


def _run(path: Path, content: bytes, sha256: str) -> ModuleType:
    """Return a file as a module. Its folder is searched behind all others: a neighbour can be imported from there."""
    module = ModuleType(f"mlpbench_file_{path.stem}_{sha256[:8]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # as an import would: Numba and dataclasses look there
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        exec(compile(content, str(path), "exec"), vars(module))  # noqa: S102 - the user's own file
    except Exception as error:  # whatever a file raises is the reason why its kernel cannot run
        trace, line = error.__traceback__, getattr(error, "lineno", None)
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
            trace = trace.tb_next
        where = f" (line {line})" if line else ""
        raise KernelUnavailable(f"{path.name} cannot be run: {type(error).__name__}: {error}{where}") from error
    return module


def of_function(function: Callable[..., Any]) -> type[Kernel]:
    """Return the kernel that a function ``forward(x, weights, biases)`` is, arrays of NumPy in and out."""

    class FunctionKernel(Kernel):
        """A function of somebody's file."""

        backend = "python"

        def __init__(self, spec: ForwardSpec, params: Params) -> None:
            super().__init__(spec, params)
            self._arrays = self.params.weights, self.params.biases

        def forward(self, x: Any) -> Any:
            """Return what the function returns for a batch: (batch, n_in) to (batch, n_out)."""
            return function(x, *self._arrays)

    return FunctionKernel
