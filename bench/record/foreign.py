"""Files of pytest-benchmark that others wrote: what ``--benchmark-json`` leaves of anybody's benchmarks."""

from pathlib import Path
from typing import Any

from msgspec import field

from mlpbench.bench.errors import UserError
from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import Block, Duration, Text


class Statistics(Block, frozen=True, kw_only=True):
    """Of the rounds of one benchmark in one process, the median in seconds of an iteration."""

    median: Duration


class ForeignBenchmark(Block, frozen=True, kw_only=True):
    """One benchmark. ``fullname`` tells apart what files call by one name."""

    name: Text
    stats: Statistics
    fullname: Text | None = None


class ForeignFile(Block, frozen=True, kw_only=True):
    """A whole file: the benchmarks of one process, and the machine it ran on."""

    benchmarks: tuple[ForeignBenchmark, ...]
    machine_info: dict[Text, Any] = field(default_factory=dict)
    datetime: Text | None = None

    @property
    def machine(self) -> str:
        """The machine in words: its name and its processor."""
        processor = self.machine_info.get("cpu")
        brand = processor.get("brand_raw") if isinstance(processor, dict) else None
        words = [str(word) for word in (self.machine_info.get("node"), brand) if word]
        return untrusted.clean_text(", ".join(words)) or "unknown"


class _Whose(Block, frozen=True, kw_only=True):
    """What tells a file of pytest-benchmark from a record."""

    benchmarks: Any
    mlpbench: Any = None


def is_foreign(path: Path) -> bool:
    """Return whether a file is one of pytest-benchmark, and no record."""
    try:
        return untrusted.read(path, _Whose, untrusted.PYTESTS).mlpbench is None
    except UserError:
        return False


def read(path: Path) -> ForeignFile:
    """Return the content of a file of pytest-benchmark. Raises UserError, one line, for anything else."""
    return untrusted.read(path, ForeignFile, untrusted.PYTESTS)
