"""The axes of a sweep besides kernels and batch sizes: network, threads, dtype. A combination of them is a setting.

Every setting is an ordinary run; a sweep over several is several of these in one folder (`bench.run.sweep`). What is here
knows no files and measures nothing: it reads values as people write them, and gives settings their names.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

from mlpbench.bench.errors import UserError
from mlpbench.kernels.base import processors as available
from mlpbench.kernels.spec import DType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlpbench.bench.record.untrusted import Block


#: In the order in which names of settings say them.
AXES = ("spec", "threads", "dtype")
#: More is a typing error.
MAX_THREADS = 4096
#: A setting is part of a path and of the name of a run, which has at most 100 characters (`bench.record.untrusted.NAME`).
LONGEST_SPEC = 45


@dataclass(frozen=True)
class Setting:
    """Sizes of the network as ``784-50-100-10``, threads of every library, dtype; ``varies`` are the axes that vary."""

    spec: str
    threads: int
    dtype: str
    varies: tuple[str, ...] = ()

    @property
    def point(self) -> tuple[str, int, str]:
        """What makes two settings alike, whatever else was swept beside them."""
        return self.spec, self.threads, self.dtype

    @property
    def label(self) -> str:
        """The setting as a folder is named: ``threads-2_float64``. Made of the axes that vary; empty if none does."""
        parts = {"spec": short_spec(self.spec), "threads": f"threads-{self.threads}", "dtype": self.dtype}
        return "_".join(parts[axis] for axis in AXES if axis in self.varies)

    @property
    def words(self) -> str:
        """The same for people: ``2 threads, float64``. Of a setting that stands alone, all there is to say."""
        count = f"{self.threads:,} thread{'' if self.threads == 1 else 's'}"
        parts = {"spec": self.spec, "threads": count, "dtype": self.dtype}
        return ", ".join(parts[axis] for axis in AXES if axis in (self.varies or AXES))

    def as_dict(self) -> dict[str, Any]:
        """Return the setting as JSON can hold it."""
        return {**asdict(self), "varies": list(self.varies), "label": self.label}


def short_spec(spec: str) -> str:
    """Return sizes as part of a folder's name. Of a very deep network: its ends, and a hash of all its sizes."""
    if len(spec) <= LONGEST_SPEC:
        return spec
    sizes = spec.split("-")
    return f"{sizes[0]}-to-{sizes[-1]}-{hashlib.sha256(spec.encode()).hexdigest()[:8]}"


def make_settings(specs: Iterable[str], threads: Iterable[int], dtypes: Iterable[str]) -> list[Setting]:
    """Return every combination, each once, networks outermost; each knows which axes have several values."""
    networks, counts, kinds = list(dict.fromkeys(specs)), list(dict.fromkeys(threads)), list(dict.fromkeys(dtypes))
    lengths = zip(AXES, (len(networks), len(counts), len(kinds)), strict=True)
    varies = tuple(axis for axis, length in lengths if length > 1)
    return [Setting(spec, count, dtype, varies) for spec, count, dtype in product(networks, counts, kinds)]


def parse_threads(texts: Sequence[str | int]) -> list[int]:
    """Read numbers of threads: ``1``, ``1,2``, or ``all`` for as many as this process may use. Raises UserError."""
    return [_threads(word) for text in texts for word in str(text).split(",")]


def _threads(word: str) -> int:
    word = word.strip()
    if word == "all":
        return available()
    count = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else 0
    if not 1 <= count <= MAX_THREADS:
        raise UserError(f"cannot read the threads {word!r}: give 1 to {MAX_THREADS} or all, several as 1,2")
    return count


def parse_dtypes(texts: Sequence[str]) -> list[str]:
    """Read dtypes: ``float32``, or ``float32,float64``. Raises UserError."""
    found = [word.strip() for text in texts for word in text.split(",")]
    for word in found:
        if word not in get_args(DType):
            raise UserError(f"dtype must be one of {', '.join(get_args(DType))}; got {word!r}")
    return found


def read_setting(block: Block) -> Setting:
    """Return the setting that a file says. Raises UserError where it is none, or where its label is not its own."""
    varies = block.names("varies")
    for axis in varies:
        if axis not in AXES:
            block.refuse("varies", axis, f"some of {', '.join(AXES)}")
    found = Setting(block.name("spec"), block.integer("threads", 1), block.name("dtype"), tuple(varies))
    if found.dtype not in get_args(DType):
        block.refuse("dtype", found.dtype, f"one of {', '.join(get_args(DType))}")
    if (label := block.text("label")) != found.label:
        block.refuse("label", label, f"{found.label!r}, the setting's own")
    return found
