"""The block ``trust`` of a record, with its types. Everything in it may be missing: older files have none of it.

Times are in seconds unless a name says otherwise. Made from cleaned JSON (`bench.record.untrusted`); raises UserError, one
line that begins with the path of the file, where the JSON is not what it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlpbench.bench.cases import MODES
from mlpbench.bench.errors import UserError

if TYPE_CHECKING:
    from mlpbench.bench.record.untrusted import Block

#: The year 5138: later dates are no dates.
LATEST_UTC_S = 1e11


@dataclass(frozen=True)
class Window:
    """What was counted while one case was timed, and the calibration spins just before and just after it.

    The counters are those of `bench.measure.watch.Counters`; None where the system does not show one. ``waits``: the
    kernel computes on a device that it waits for. ``began_utc_s``: when the case began, in seconds since 1970; None in
    older files.
    """

    mode: str
    batch_size: int
    spins_before_s: tuple[float, ...]
    spins_after_s: tuple[float, ...]
    waits: bool
    wall_s: float
    process_s: float | None
    thread_s: float | None
    run_delay_s: float | None
    involuntary: int | None
    steal_s: float | None
    throttled_s: float | None
    hot: int | None
    began_utc_s: float | None = None


@dataclass(frozen=True)
class Known:
    """One measurement of the harness itself: ``length`` spins, or with 0 a null kernel called as ``mode``."""

    mode: str
    length: int
    calls: int
    rounds_s: tuple[float, ...]


@dataclass(frozen=True)
class Start:
    """A kernel started in a process of its own, with an empty (``fresh``) or a filled cache of compiled code.

    ``first_calls_s`` by (mode, batch size); ``compile_s`` is part of the others, None where the library does not tell.
    ``peak_bytes``: resident memory that construction and first calls added at their peak. ``pool_bytes``: the most that
    the pool of a device's memory held.
    """

    fresh: bool
    import_s: float
    construct_s: float
    compile_s: float | None
    first_calls_s: dict[tuple[str, int], float]
    peak_bytes: int | None
    pool_bytes: int | None


@dataclass(frozen=True)
class Singles:
    """Single calls of one case, in nanoseconds, each with a look at the clock (``clock_ns``) in it."""

    mode: str
    batch_size: int
    clock_ns: tuple[int, ...]
    calls_ns: tuple[int, ...]


@dataclass(frozen=True)
class Audit:
    """Pairs of blocks of one case, seconds per call: with rotating inputs, and with the same input again and again."""

    mode: str
    batch_size: int
    rotating_s: tuple[float, ...]
    same_s: tuple[float, ...]


@dataclass(frozen=True)
class Trust:
    """All of it. ``cpus``: processors that the process could use; ``clock_s`` and ``raw_s``: one span by two clocks."""

    spin: str | None = None
    spin_instructions: int | None = None
    cpus: int | None = None
    windows: tuple[Window, ...] = ()
    self_test: tuple[Known, ...] = ()
    clock_s: float | None = None
    raw_s: float | None = None
    compile_s: float | None = None
    pool_bytes: int | None = None
    starts: tuple[Start, ...] = ()
    no_starts: str | None = None
    singles: tuple[Singles, ...] = ()
    audits: tuple[Audit, ...] = ()


NOTHING = Trust()


def read_trust(block: Block) -> Trust:
    """Return the block ``trust`` of a record; an empty one gives `NOTHING`."""
    if not block.data:
        return NOTHING
    spin, clock = block.block("spin"), block.block("clock")
    return Trust(
        spin=spin.text("name", None),
        spin_instructions=spin.integer("instructions", 1, None),
        cpus=block.integer("cpus", 1, None),
        windows=tuple(_window(item) for item in block.blocks("windows")),
        self_test=tuple(_known(item) for item in block.blocks("self_test")),
        clock_s=clock.seconds("clock_s", None),
        raw_s=clock.seconds("raw_s", None),
        compile_s=block.seconds("compile_s", None),
        pool_bytes=block.integer("pool_bytes", 0, None),
        starts=tuple(_start(item) for item in block.blocks("starts")),
        no_starts=block.text("no_starts", None),
        singles=tuple(_singles(item) for item in block.blocks("singles")),
        audits=tuple(_audit(item) for item in block.blocks("audits")),
    )


def _at(block: Block) -> dict[str, Any]:
    mode = block.name("mode")
    if mode not in MODES:
        block.refuse("mode", mode, f"one of {', '.join(MODES)}")
    return {"mode": mode, "batch_size": block.integer("batch_size", 1)}


def _window(block: Block) -> Window:
    return Window(
        **_at(block),
        spins_before_s=block.timings("spins_before_s"),
        spins_after_s=block.timings("spins_after_s"),
        waits=block.flag("waits", False),
        wall_s=block.seconds("wall_s"),
        process_s=block.seconds("process_s", None),
        thread_s=block.seconds("thread_s", None),
        run_delay_s=block.seconds("run_delay_s", None),
        involuntary=block.integer("involuntary", 0, None),
        steal_s=block.seconds("steal_s", None),
        throttled_s=block.seconds("throttled_s", None),
        hot=block.integer("hot", 0, None),
        began_utc_s=_date(block, "began_utc_s"),
    )


def _date(block: Block, key: str) -> float | None:
    value: float | None = block.number(key, None)
    if value is not None and not 0 <= value <= LATEST_UTC_S:
        block.refuse(key, value, "seconds since 1970")
    return value


def _known(block: Block) -> Known:
    return Known(block.name("mode"), block.integer("length", 0), block.integer("calls", 1), block.timings("rounds_s"))


def _start(block: Block) -> Start:
    calls = {(at["mode"], at["batch_size"]): call.seconds("first_call_s") for call, at in _calls(block)}
    return Start(
        fresh=block.flag("fresh"),
        import_s=block.seconds("import_s"),
        construct_s=block.seconds("construct_s"),
        compile_s=block.seconds("compile_s", None),
        first_calls_s=calls,
        peak_bytes=block.integer("peak_bytes", 0, None),
        pool_bytes=block.integer("pool_bytes", 0, None),
    )


def _calls(block: Block) -> list[tuple[Block, dict[str, Any]]]:
    return [(call, _at(call)) for call in block.blocks("first_calls")]


def _singles(block: Block) -> Singles:
    return Singles(**_at(block), clock_ns=_whole(block, "clock_ns"), calls_ns=_whole(block, "calls_ns"))


def _whole(block: Block, key: str) -> tuple[int, ...]:
    values = block.data.get(key)
    if not isinstance(values, list) or not values or not all(type(v) is int and 0 <= v < 2**53 for v in values):
        raise UserError(f"{block.where}: {key}: expected a list of nanoseconds, whole numbers from 0")
    return tuple(values)


def _audit(block: Block) -> Audit:
    audit = Audit(**_at(block), rotating_s=block.timings("rotating_s"), same_s=block.timings("same_s"))
    if len(audit.rotating_s) != len(audit.same_s):
        raise UserError(f"{block.where}: rotating_s and same_s are pairs, and their numbers differ")
    return audit
