"""Files of pytest-benchmark that others wrote: what ``--benchmark-json`` leaves of anybody's benchmarks.

Times are seconds for one iteration. The rounds themselves are there in a file of ``--benchmark-json`` or
``--benchmark-save-data``; without them a file has quantiles only.
"""

from pathlib import Path
from typing import Any

from msgspec import field

from mlpbench.bench.record import untrusted
from mlpbench.bench.record.fields import Block, Duration, Rounds, Seconds, Text, Whole


class Statistics(Block, frozen=True, kw_only=True):
    """The rounds of one benchmark in one process."""

    median: Duration
    min: Duration
    mean: Duration
    stddev: Seconds = 0.0
    rounds: Whole = 1
    iterations: Whole = 1
    data: Rounds | None = None


class ForeignBenchmark(Block, frozen=True, kw_only=True):
    """One benchmark. ``fullname`` tells apart what files call by one name."""

    name: Text
    stats: Statistics
    fullname: Text | None = None
    group: Text | None = None


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


def read(path: Path) -> ForeignFile:
    """Return the content of a file of pytest-benchmark. Raises UserError, one line, for anything else."""
    return untrusted.read(path, ForeignFile, untrusted.PYTESTS)
