"""The types of the fields of result files: what a number counts, in which unit, and between which bounds."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta

from mlpbench.bench.cases import Name as Name  # noqa: PLC0414 - a field like all others here
from mlpbench.kernels.spec import DType, ForwardSpec, Output

#: The version of the block "mlpbench" that this tool writes; `bench.record.migrate` reads older ones.
SCHEMA = 3
#: Whole numbers stay below the first that a float cannot hold.
MAX_INTEGER = 2**53
MAX_TEXT = 10_000

Schema = Annotated[int, Meta(ge=SCHEMA, le=SCHEMA, description="Version of the format.")]
#: Cleaned text has at most one character more: the sign that it was cut.
Text = Annotated[str, Meta(max_length=MAX_TEXT + 1, description="Free text.")]
Hidden = Annotated[str, Meta(pattern=r"^[a-z0-9.,:+-]{1,10000}$", description="Activations, such as leaky-relu:0.2.")]
Mode = Annotated[str, Meta(pattern=r"^(?:per_sample|batched|book)$", description="How rows are given to a kernel.")]

Index = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="A whole number from 0.")]
Whole = Annotated[int, Meta(ge=1, le=MAX_INTEGER, description="A whole number from 1.")]
Repeats = Annotated[int, Meta(ge=1, le=10_000, description="How many repeats.")]
Bytes = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="Bytes.")]
Nanoseconds = Annotated[int, Meta(ge=0, le=MAX_INTEGER, description="Nanoseconds.")]
Number = Annotated[float, Meta(ge=-1e300, le=1e300, description="A finite number.")]
Amount = Annotated[float, Meta(ge=0, le=1e300, description="A finite number from 0.")]
Share = Annotated[float, Meta(ge=0, le=1, description="A share of 1.")]
SomeShare = Annotated[float, Meta(gt=0, le=1, description="A share of 1, above 0.")]
Seconds = Annotated[float, Meta(ge=0, le=3.2e7, description="Seconds, up to a year.")]
Duration = Annotated[float, Meta(ge=1e-12, le=3.2e7, description="Seconds, from a picosecond to a year.")]
Date = Annotated[float, Meta(ge=0, le=1e11, description="Seconds since 1970, UTC.")]
Rounds = Annotated[tuple[Duration, ...], Meta(min_length=1, description="One number for each round.")]
#: What a kernel says of itself.
Fact = Text | bool | Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)] | Number | None
#: Kernel and repeat: one process.
Process = tuple[Name, Index]
_Head = TypeVar("_Head")


class Block(msgspec.Struct, frozen=True):
    """A JSON object of a result file. Members that it does not name are ignored when it is read."""

    def as_dict(self) -> dict[str, Any]:
        """Return the block as JSON can hold it."""
        content: dict[str, Any] = msgspec.to_builtins(self, enc_hook=as_json)
        return content


class Head(Block, frozen=True, kw_only=True):
    """The block "mlpbench" of a file."""

    schema: Schema = SCHEMA


class File(Block, Generic[_Head], frozen=True):
    """The content of a file that is not a record: one block, "mlpbench"."""

    mlpbench: _Head


class Network(Block, frozen=True):
    """A specification, whole: one that leaves something out is refused, and not read with defaults."""

    sizes: tuple[Whole, ...]
    hidden: Hidden
    output: Output
    dtype: DType

    def __post_init__(self) -> None:
        _ = self.spec

    @property
    def spec(self) -> ForwardSpec:
        """The specification. Raises SpecError where it makes no sense."""
        return ForwardSpec(self.sizes, self.hidden, self.output, self.dtype)


def as_json(value: Any) -> Any:
    """Return what JSON holds in place of a value that it does not know: NumPy's numbers, and paths."""
    return value.item() if hasattr(value, "item") else str(value)


def counted(calls_ns: Iterable[int]) -> list[tuple[int, int]]:
    """Return how many calls took how many nanoseconds, ascending and rounded to three digits."""
    return sorted(Counter(int(float(f"{ns:.3g}")) for ns in calls_ns).items())
