"""A look at the core: a short piece of wide work beside each round. What slows it down also disturbs the round.

A neighbour on the other half of a core takes execution slots, which no counter shows: a look takes twice as long then.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm

from mlpbench.bench.clock import MONOTONIC, used_s
from mlpbench.bench.errors import UserError
from mlpbench.bench.groups import grouped
from mlpbench.bench.machine import environment
from mlpbench.bench.record.schema import Record
from mlpbench.bench.record.trust import BEST, BestLook, LookFacts, LookFile, LookHead, best_look, fastest, read_looks
from mlpbench.bench.record.write import write_atomically

#: The same on every machine, so that times of one machine can be compared for ever: about 25 us at 4 GHz.
STEPS = 10_000
#: Independent chains of instructions: enough to fill every core of these years.
CHAINS = 6
SEED = 88172645463325252  # Marsaglia's own
#: The fastest looks of a machine, beside its runs.
FILE = "look.json"
#: Looks are taken on so many processors at once at most.
MOST_PROCESSORS = 16


@dataclass(frozen=True)
class Look:
    """``take()`` returns how many nanoseconds a look took, the slowest of ``processors`` that look at once."""

    name: str
    processors: int
    take: Callable[[], int]


@cache
def here() -> Look | None:
    """Return the look on the processor of the thread that takes it; None where it cannot be compiled."""
    if MONOTONIC is None:
        return None
    try:
        timed = compiled("look")
        timed(0)
    except (RuntimeError, OSError):  # the record says that there are no looks
        return None

    def take() -> int:
        timed(10)  # behind a long round the code and its clock are in no cache, which costs up to two thirds of a look
        return timed(STEPS)

    return Look(f"llvm{llvm.llvm_version_info[0]}-xorshift64-{CHAINS}x{STEPS}", 1, take)


@cache
def everywhere() -> Look | None:
    """Return the look on every processor that this process may use; None where there is none."""
    single = here()
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    processors = processors[:: -(-len(processors) // MOST_PROCESSORS)] if processors else []
    if single is None or len(processors) < 2:
        return single
    helpers = [Helper(single.take, processor) for processor in processors]

    def take() -> int:
        for helper in helpers:
            helper.go.release()
        return max(helper.result() for helper in helpers)

    return Look(single.name, len(helpers), take)


_HELPERS: list[threading.Thread] = []


def helpers() -> set[int | None]:
    """Return the system's numbers of the threads that look for us: they are no threads of the kernel."""
    return {helper.native_id for helper in _HELPERS}


def helpers_s() -> float:
    """Return the processor time that they have used."""
    return used_s(_HELPERS)


class Helper(threading.Thread):
    """Looks on one processor whenever it is asked to."""

    def __init__(self, take: Callable[[], int], processor: int) -> None:
        super().__init__(name=f"look-{processor}", daemon=True)
        self.go, self._done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self._done.acquire()
        self._take, self._processor, self._took_ns = take, processor, 0
        self.start()
        _HELPERS.append(self)

    def run(self) -> None:
        """Bind this thread alone, and wait for work until the process ends."""
        with suppress(OSError):  # the processor has just been taken away: it looks wherever it is
            os.sched_setaffinity(0, {self._processor})
        while self.go.acquire():
            self._took_ns = self._take()
            self._done.release()

    def result(self) -> int:
        """Wait for the look that was asked for."""
        self._done.acquire()
        return self._took_ns


def facts(taken: Iterable[Look], best: Iterable[BestLook]) -> LookFacts:
    """Return what a record says of the looks that were ``taken``, with the fastest ones that are known."""
    kinds = {look.processors: look.name for look in taken}
    name = next(iter(kinds.values()), None)
    known = sorted((entry.processors, entry.best_ns) for entry in best if entry.name == name)
    return LookFacts(name=name, best_ns=tuple(entry for entry in known if entry[0] in (1, *kinds)))


def known(folder: Path) -> tuple[BestLook, ...]:
    """Return the fastest looks that a run in this folder knows; none where their file is damaged, which `keep` says."""
    with suppress(UserError):
        return read_looks(_file_for(folder))
    return ()


def keep(folder: Path, record: Record) -> str | None:
    """Write down what a process saw, where that is faster than all before; return what is wrong with the file.

    A damaged file is replaced. One that cannot be written is left: then each run goes by its own looks.
    """
    path, problem = _file_for(folder), None
    before: tuple[BestLook, ...] = ()
    try:
        before = read_looks(path)
    except UserError as error:
        problem = f"{error}; it is made anew"
    looks = grouped((case.look_processors or 1, ns) for case in record.cases for pair in case.looks_ns for ns in pair)
    name = record.trust.look.name
    seen = ((processors, int(best_look(every))) for processors, every in looks.items() if name and len(every) > BEST)
    best = fastest([*before, *(BestLook(name=name or "", processors=at, best_ns=ns) for at, ns in seen)])
    if best != before:
        with suppress(UserError):
            write_atomically(path, LookFile(LookHead(machine=environment.machine_id(), best=best)), replace=True)
    return problem


def _file_for(folder: Path) -> Path:
    """Return the file of the fastest looks, in the folder of the machine that a run's folder lies in."""
    machine = environment.machine_id()
    return next((parent for parent in folder.parents if parent.name == machine), folder.parent) / FILE


def compiled(name: str) -> Callable[[int], int]:
    """Return a function of the look's code as machine code. Raises RuntimeError where LLVM cannot compile it."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(_engine().get_function_address(name))


@cache  # the code lives as long as its engine
def _engine() -> llvm.ExecutionEngine:
    """Compile the look: ``@wide`` is the work, ``@look`` times it without Python's lock.

    Each of the `CHAINS` is xorshift64, which has no closed form (G. Marsaglia, "Xorshift RNGs", Journal of Statistical
    Software 8, 2003).
    """
    each = range(CHAINS)
    words = {
        "pointer": "ptr" if llvm.llvm_version_info[0] >= 16 else "i64*",
        "clock": MONOTONIC or 0,
        "begin": "\n".join(f"  %x{i} = phi i64 [{SEED + i}, %start], [%f{i}, %step]" for i in each),
        "step": "\n".join(_STEP.replace("#", str(i)) for i in each),
        "end": "\n".join(f"  %s{i + 1} = xor i64 %s{i}, %x{i}" for i in each),
        "chains": CHAINS,
    }
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(_CODE.format_map(words))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine(opt=2))
    engine.finalize_object()
    return engine


_STEP = """\
  %a# = shl i64 %x#, 13
  %b# = xor i64 %x#, %a#
  %c# = lshr i64 %b#, 7
  %d# = xor i64 %b#, %c#
  %e# = shl i64 %d#, 17
  %f# = xor i64 %d#, %e#"""
_CODE = """
declare i32 @clock_gettime(i32, {pointer})

define i64 @now() {{
  %time = alloca i64, i32 2
  %fine = call i32 @clock_gettime(i32 {clock}, {pointer} %time)
  %rest = getelementptr i64, {pointer} %time, i32 1
  %s = load i64, {pointer} %time
  %ns = load i64, {pointer} %rest
  %whole = mul i64 %s, 1000000000
  %all = add i64 %whole, %ns
  ret i64 %all
}}

define i64 @wide(i64 %steps) {{
start:
  br label %test
test:
  %done = phi i64 [0, %start], [%done.next, %step]
{begin}
  %more = icmp ult i64 %done, %steps
  br i1 %more, label %step, label %end
step:
{step}
  %done.next = add i64 %done, 1
  br label %test
end:
  %s0 = add i64 0, 0
{end}
  ret i64 %s{chains}
}}

define i64 @look(i64 %steps) {{
  %kept = alloca i64
  %began = call i64 @now()
  %state = call i64 @wide(i64 %steps)
  store volatile i64 %state, {pointer} %kept
  %ended = call i64 @now()
  %took = sub i64 %ended, %began
  ret i64 %took
}}
"""
