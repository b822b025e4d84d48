"""The environment of a run as lines for people, and what differs between runs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mlpbench.bench import words
from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.environment import Commit, Gpu, Pool
from mlpbench.bench.record.runs import Run
from mlpbench.bench.report.document import MANY_RUNS, Block, Paragraph, Table, columns, table_of_runs
from mlpbench.bench.report.parts import Findings, Part, always

UNREADABLE = "not readable"
#: Lines that differ between any two runs and mean nothing.
_ALWAYS_DIFFERENT = {"Load at the start"}


def chips(runs: Sequence[Run]) -> tuple[tuple[str, str], ...]:
    """Return what was measured and where, as names and values."""
    timed = [(run, run.records[0]) for run in runs if run.records]
    repeats = [max(Counter(record.kernel for record in run.records).values()) for run, _ in timed]
    found: dict[str, list[str]] = {
        "date": [run.plan.started[:10] for run in runs if run.plan and run.plan.started],
        "processor": [run.measured_in.machine.cpu_model or run.machine for run in runs],
        "network": [record.spec.label() for _, record in timed],
        "threads": [str(record.threads) for _, record in timed if record.threads],
        "dtype": [record.spec.dtype for _, record in timed],
        "env": [run.setting.env for run in runs if run.setting and run.setting.env],
        "data": [record.data.name for _, record in timed],
        "repeats": [" to ".join(dict.fromkeys(map(str, (min(repeats), max(repeats)))))] if repeats else [],
        "run": [(run.plan and run.plan.sweep) or run.id for run in runs],
    }
    return tuple((name, ", ".join(dict.fromkeys(values))) for name, values in found.items() if values)


def environment(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return what the numbers were measured with: a line for each fact, a column for each run; and the threads."""
    found = _table("What the numbers were measured with.", runs, [_environment(run) for run in runs])
    threads = thread_table(runs)
    return (found, threads) if threads else (found,)


def differences(runs: Sequence[Run]) -> tuple[Block, ...]:
    """Return the facts in which several runs differ, from specification to environment, or that they do not."""
    if len(runs) < 2:
        return ()
    facts = [{**_facts(run), **_environment(run)} for run in runs]
    names = [name for name in dict.fromkeys(key for of_run in facts for key in of_run) if name not in _ALWAYS_DIFFERENT]
    unequal = [name for name in names if len({of_run.get(name) for of_run in facts}) > 1]
    if not unequal:
        return (Paragraph("Nothing that was recorded: same machine, libraries, network, data and weights."),)
    chosen = [{name: of_run.get(name, "not recorded") for name in unequal} for of_run in facts]
    return (_table("Compare the runs with this in mind.", runs, chosen),)


def thread_table(runs: Sequence[Run]) -> Table | None:
    """Return how many threads each kernel was given, and who reported how many; None where no file says that."""
    rows = [(run.name, *line) for run in runs for line in _thread_lines(run)]
    made = columns(["kernel"], ["threads given"], ["threads there, as reported by"])
    caption = "Asked in each process before each case, outside the clock. More than were given fail the case."
    return table_of_runs(caption, made, rows, several=len(runs) > 1) if rows else None


def _thread_lines(run: Run) -> Iterator[tuple[str, str, str]]:
    for kernel in run.kernels:
        uses = [record.thread_use for record in run.records if record.kernel == kernel and record.thread_use]
        found = grouped((item.what, item.threads) for use in uses for item in use.found)
        told = (f"{who} {' or '.join(map(str, sorted(set(counts))))}" for who, counts in found.items())
        if uses:
            yield kernel, str(uses[0].given), ", ".join(told) or "nobody"


def _facts(run: Run) -> dict[str, str]:
    plan = run.plan
    found = {
        "Profile": str(plan.profile or "none") if plan else "none: pytest by hand",
        "Repeats": str(plan.repeats) if plan else str(len({record.repeat for record in run.records})),
        "Kernels": ", ".join(run.kernels) or "none",
    }
    if run.records:
        first = run.records[0]
        spec, data, weights = first.spec, first.data, first.weights
        found["Network"] = f"{spec.label()}, {spec.hidden} hidden, {spec.output} output, {spec.dtype}"
        found["Data"] = f"{data.name}, {data.rows:,} rows, sha256 {short(data.sha256)}"
        found["Weights"] = f"{weights.source or 'unknown'}, sha256 {short(weights.sha256)}"
    return found


def short(digest: str | None) -> str:
    """Return the beginning of a hash, or that there is none."""
    return f"{digest[:12]}…" if digest else "not recorded"


def _table(caption: str, runs: Sequence[Run], facts: Sequence[Mapping[str, str]]) -> Table:
    heads = [run.name for run in runs] if len(runs) > 1 else ["value"]
    names = dict.fromkeys(name for of_run in facts for name in of_run)
    rows = tuple((name, *(of_run.get(name, "not recorded") for of_run in facts)) for name in names)
    return Table(caption, columns(["what", *heads]), rows)


def _environment(run: Run) -> dict[str, str]:
    found = run.measured_in
    machine, system, python = found.machine, found.os, found.python
    caches = (f"{level} {words.data_size(size)}" for level, size in machine.caches.items())
    return {
        "Machine": _text(machine.name),
        "Processor": _text(machine.cpu_model, machine.arch),
        "Cores": f"{_text(machine.cores)} cores, {_text(machine.logical_cpus)} logical processors",
        "Affinity": _processors(machine.affinity),
        "Binding": binding.words() if (binding := run.plan and run.plan.binding) else "none asked for",
        "Caches": _text(*caches),
        "Memory": UNREADABLE if machine.memory_bytes is None else words.data_size(machine.memory_bytes),
        "Frequency governor": _text(machine.governor),
        "Load at the start": _load(machine.load),
        "Operating system": _text(system.distribution, system.system, system.release),
        "Environment": run.plan.env.words() if run.plan and run.plan.env else "mlpbench's own",
        "Python": _text(python.implementation, python.version, python.compiler),
        "Libraries": ", ".join(f"{name} {version}" for name, version in found.libraries.items()) or "not recorded",
        "BLAS and thread pools": _pools(run),
        "Threads given": _text(found.threads),
        "Variables": _assignments(found.variables),
        "GPU": _gpu(_card_in_use(run)),
        "Commit": _commit(found.git),
    }


def _text(*values: str | int | None) -> str:
    return ", ".join(str(value) for value in values if value not in (None, "")) or UNREADABLE


def _processors(numbers: tuple[int, ...] | None) -> str:
    """Return numbers of processors as ranges: ``processors 0-3, 8``."""
    if not numbers:
        return UNREADABLE
    ranges: list[list[int]] = []
    for value in sorted(numbers):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1][1] = value
        else:
            ranges.append([value, value])
    return f"processors {', '.join(str(a) if a == b else f'{a}-{b}' for a, b in ranges)}"


def _load(load: tuple[float, ...] | None) -> str:
    if load is None:
        return UNREADABLE
    return ", ".join(f"{value:.2f}" for value in load) + " over 1, 5 and 15 minutes"


def _assignments(variables: Mapping[str, str] | None) -> str:
    if variables is None:
        return "not recorded"
    return ", ".join(f"{name}={value}" for name, value in variables.items()) or "none set"


def _pools(run: Run) -> str:
    """Return the thread pools that were live, with the kernels in whose processes they were if not in all."""
    seen: dict[str, dict[str, None]] = {}
    for record in run.records:
        for pool in record.environment.blas:
            seen.setdefault(_pool(pool), {})[record.kernel] = None
    told = (line if set(at) == set(run.kernels) else f"{line} ({', '.join(at)} only)" for line, at in seen.items())
    return "; ".join(told) or "none found"


def _pool(pool: Pool) -> str:
    return _text(
        f"{_text(pool.internal_api)} {pool.version or ''}".rstrip(),
        f"{pool.num_threads} thread{'' if pool.num_threads == 1 else 's'}",
        pool.threading_layer,
        pool.architecture,
    )


def _card_in_use(run: Run) -> Gpu:
    """Return the card that kernels of the run computed on, else what the first process saw."""
    there = (record.environment.gpu for record in run.records if record.device not in (None, CPU))
    return next(there, run.measured_in.gpu)


def _gpu(gpu: Gpu) -> str:
    if not gpu.available:
        return f"none: {gpu.reason or 'no reason recorded'}"
    rest = {"": gpu.uuid, "driver": gpu.driver, "memory": gpu.memory, "sm clock": gpu.sm_clock}
    rest |= {"power limit": gpu.power_limit, "compute mode": gpu.compute_mode}
    rest |= {
        "of": f"{gpu.cards} cards" if gpu.cards and gpu.cards > 1 else None,
        "a slice": "(MIG)" if gpu.mig else None,
    }
    return _text(gpu.name, *(f"{what} {value}".strip() for what, value in rest.items() if value))


def _commit(git: Commit) -> str:
    if not git.commit:
        return "not run from a checkout"
    state = {True: "with uncommitted changes", False: "clean", None: "state unknown"}[git.dirty]
    return f"{git.commit}, {state}"


def _many(found: Findings) -> bool:
    return len(found.runs) > MANY_RUNS


SECTIONS = (
    Part(150, "differences", "What differs between the runs", lambda found: differences(found.runs), folded=_many),
    Part(230, "environment", "Machine and software", lambda found: environment(found.runs), folded=always),
)
