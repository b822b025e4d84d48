"""What runs were made with: kernels, clock, machine and software; how busy the machine was, and how to do it again."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from mlpbench.bench import words
from mlpbench.bench.analysis.judge import Judged
from mlpbench.bench.cases import CPU
from mlpbench.bench.groups import grouped
from mlpbench.bench.record.environment import Gpu
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.report.document import Block, Command, Findings, Part, Table, table
from mlpbench.bench.trust.rounds import State, state

UNREADABLE, UNRECORDED = "not readable", "not recorded"
_CLOCK = (
    "A time is the fastest tenth of a process's quiet rounds, divided by the samples of a call.",
    "The value shown is the median over repeats, each a fresh process; its interval is from the repeats alone.",
    "One at a time: Python calls the kernel with one sample and waits for the result. Batch: one call for all samples.",
    "In the clock: the forward pass and the wait. Outside: parameters, transfers, compiling, first call, check.",
    "Speedup: time per sample one at a time / in a batch, in the same process; the median of these over the repeats.",
    "A kernel is timed right after it agreed with a float64 reference, on inputs that rotate through the data set.",
)
_BOOK_CLOCK = "The book's cell: loading data and weights, making the network, inferring all images, counting hits."


def chips(runs: Sequence[Run]) -> tuple[tuple[str, str], ...]:
    """Return what was measured and where, as names and values."""
    timed = [(run, run.records[0]) for run in runs if run.records]
    values: dict[str, list[str | None]] = {
        "date": [(run.plan.started or "")[:10] for run in runs if run.plan],
        "processor": [run.measured_in.machine.cpu_model or run.machine for run in runs],
        "network": [record.spec.label() for _, record in timed],
        "threads": [str(record.threads) for _, record in timed if record.threads],
        "dtype": [record.spec.dtype for _, record in timed],
        "env": [run.setting.env for run in runs if run.setting],
        "data": [record.data.name for _, record in timed],
        "repeats": [str(len({record.repeat for record in run.records})) for run, _ in timed],
        "run": [(run.plan and run.plan.sweep) or run.id for run in runs],
    }
    joined = ((name, ", ".join(dict.fromkeys(filter(None, texts)))) for name, texts in values.items())
    return tuple((name, text) for name, text in joined if text)


def _environment(findings: Findings) -> tuple[Block, ...]:
    """Return what was computed and with what: a line for each fact, a column for each run."""
    return (_table("Network, machine and software of the numbers.", findings, findings.of(_facts)),)


def _differences(findings: Findings) -> tuple[Block, ...]:
    """Return the facts in which several runs differ, or that they do not."""
    # The load differs between any two runs, and means nothing.
    unequal = [row for row in findings.of(_facts) if len(set(row[1:])) > 1 and row[0] != "Load at the start"]
    same = "Nothing that was recorded: same machine, libraries, network, data and weights."
    differs = _table("Compare the runs with this in mind.", findings, unequal) if unequal else same
    return (differs,) if findings.several else ()


def _table(caption: str, findings: Findings, rows: Sequence[tuple[str, ...]]) -> Table:
    heads = [run.name for run in findings.runs] if findings.several else ["value"]
    return table(caption, ("what",), (), heads, rows=rows)


def _facts(findings: Findings) -> list[tuple[str, ...]]:
    """Return each fact, and what it is in each run."""
    facts = [{**_of_task(run.records), **_of_machine(run)} for run in findings.runs]
    names = dict.fromkeys(name for of_run in facts for name in of_run)
    return [(name, *(of_run.get(name, UNRECORDED) for of_run in facts)) for name in names]


def _of_task(records: Sequence[Record]) -> dict[str, str]:
    if not records:
        return {}
    spec, data, weights = records[0].spec, records[0].data, records[0].weights
    size = f"{spec.flop(1):,} floating-point operations per sample, {words.data_size(spec.weight_bytes())} of weights"
    repeated = any(case.repeated_rows for record in records for case in record.cases)
    more = "; they are repeated where a case needs more" if repeated else ""

    def origin(source: str | None, digest: str | None) -> str:
        return f"from {source or 'unknown'}, sha256 {(digest or UNRECORDED)[:12]}"

    return {
        "Network": f"{spec.label()}, {spec.hidden} hidden, {spec.output} output, {spec.dtype}; {size}",
        "Data": f"{data.name}, {origin(data.source, data.sha256)}, {data.rows:,} rows{more}",
        "Weights": origin(weights.source, weights.sha256),
    }


def _of_machine(run: Run) -> dict[str, str]:
    plan, env, there = run.plan, run.plan and run.plan.env, run.measured_in
    machine, git, variables, allowed = there.machine, there.git, there.variables, there.machine.affinity
    caches = (f"{level} {words.data_size(size)}" for level, size in machine.caches.items())
    load = ", ".join(f"{value:.2f}" for value in machine.load or ())
    pools = dict.fromkeys(_pool(pool) for record in run.records for pool in record.environment.blas)
    # A card that kernels computed on, else what the first process saw.
    cards = (record.environment.gpu for record in run.records if record.device not in (None, CPU))
    state = {True: "with uncommitted changes", False: "clean", None: "state unknown"}[git.dirty]
    return {
        "Profile": str(plan.profile or "none") if plan else "none: pytest by hand",
        "Repeats": str(plan.repeats if plan else len({record.repeat for record in run.records})),
        "Kernels": ", ".join(run.kernels) or "none",
        "Machine": _text(machine.name),
        "Processor": _text(machine.cpu_model, machine.arch),
        "Cores": f"{_text(machine.cores)} cores, {_text(machine.logical_cpus)} logical processors",
        "Affinity": f"{len(allowed)} processors, {min(allowed)} to {max(allowed)}" if allowed else UNREADABLE,
        "Binding": plan.binding.words() if plan and plan.binding else "none asked for",
        "Caches": _text(*caches),
        "Frequency governor": _text(machine.governor),
        "Load at the start": f"{load} over 1, 5 and 15 minutes" if load else UNREADABLE,
        "Operating system": _text(*map(there.os.get, ("distribution", "system", "release"))),
        "Environment": _text(env.name, env.source, env.python) if env else "mlpbench's own",
        "Python": _text(*map(there.python.get, ("implementation", "version"))),
        "Libraries": ", ".join(f"{name} {version}" for name, version in there.libraries.items()) or UNRECORDED,
        "BLAS and thread pools": "; ".join(pools) or "none found",
        "Threads given": _text(there.threads),
        "Variables": UNRECORDED if variables is None else ", ".join(map("=".join, variables.items())) or "none set",
        "GPU": _gpu(next(cards, there.gpu)),
        "Commit": f"{git.commit}, {state}" if git.commit else "not run from a checkout",
    }


def _text(*values: object) -> str:
    return ", ".join(str(value) for value in values if value not in (None, "")) or UNREADABLE


def _pool(pool: Mapping[str, object]) -> str:
    name = f"{_text(pool.get('internal_api'))} {pool.get('version') or ''}".rstrip()
    count = pool.get("num_threads")
    threads = words.things(count, "thread") if isinstance(count, int) else None
    return _text(name, threads, pool.get("threading_layer"), pool.get("architecture"))


def _gpu(gpu: Gpu) -> str:
    if not gpu.available:
        return f"none: {gpu.reason or 'no reason recorded'}"
    named = {"driver": gpu.driver, "memory": gpu.memory, "power limit": gpu.power_limit}
    facts = [f"{what} {value}" for what, value in named.items() if value]
    cards = f"of {gpu.cards} cards" if gpu.cards and gpu.cards > 1 else None
    return _text(gpu.name, gpu.uuid, *facts, cards, "a slice (MIG)" if (gpu.uuid or "").startswith("MIG-") else None)


def states(findings: Findings) -> tuple[State, ...]:
    """Return how busy the machine was in each run."""
    return tuple(state(run.records, run.times, [case.sample for case in cases]) for run, cases in findings.by_run)


def state_of(findings: Findings) -> str:
    """Return how uncertain numbers are, and why; of several runs, those of the one with the widest intervals."""
    of_runs = zip(findings.runs, findings.of(states), strict=True)
    run, worst = max(of_runs, key=lambda pair: (pair[1].width or 0.0, pair[1].left_out or 0.0))
    texts = list(sentences(worst, run.plan.budget_s if run.plan else None))
    head = [f"{run.title} has the widest intervals."] if texts and findings.several else []
    return " ".join([*head, *texts])


def sentences(state: State, budget_s: float | None) -> Iterator[str]:
    """Yield what disturbed a tenth of the times or more, how uncertain they are, and from 5 % on what would help."""
    left_out = state.left_out or 0.0
    if left_out > 0.1:
        yield f"Other programs disturbed {words.percent(left_out)} of the timings; those are left out."
    if state.card_others:
        yield f"{words.things(state.card_others, 'other process', 'other processes')} used the card."
    if state.width is not None:
        yield f"Typical uncertainty {words.half_width(state.width)}."
        if state.width > 0.05 and budget_s is not None:
            yield f"Narrower: mlpbench run --budget {max(2, round(4 * budget_s / 60))}m"


def call_costs(run: Judged) -> dict[str, float | None]:
    """Return what a call of the harness costs by mode, in seconds, the median over processes; None where unknown."""
    by_process = [record.trust.call_costs_s for record in run.records]
    costs = {mode: [cost[mode] for cost in by_process if mode in cost] for mode in ("per_sample", "batched")}
    return {mode: median(values) if values else None for mode, values in costs.items()}


def harness(findings: Findings) -> Iterator[str]:
    """Yield what a call of the harness costs, one sentence for each run; none for files that do not say."""
    for run in findings.runs:
        one, batch = call_costs(run).values()
        if one is not None and batch is not None:
            costs = f"{words.seconds(one)} one at a time and {words.seconds(batch)} for a batch"
            where = f"of {run.title}" if findings.several else "here"
            yield f"A call of the harness costs {costs}, in every time {where}."


def _clock(findings: Findings) -> tuple[Block, ...]:
    """Return what is in the clock, of the book's cell too where it was timed, and what the harness costs."""
    book = (_BOOK_CLOCK,) if any(case.mode == "book" for case in findings.cases) else ()
    return ((*_CLOCK, *book, *harness(findings)),)


def _kernels(findings: Findings) -> tuple[Block, ...]:
    """Return the kernels of every run, each as the first repeat that got so far says."""
    rows = []
    for run in findings.runs:
        for kernel in run.kernels:
            records = [record for record in run.records if record.kernel == kernel]
            # The first that passed the gate, or the first of all.
            first = min(records, key=lambda record: (record.kernel_info.backend is None, record.repeat))
            rows.append((run.name, kernel, *_kernel(first), _threads(records)))
    numbers = ("largest error", "import", "construction", "accuracy, one at a time / in batches")
    last = ("library", "device", "configuration", "threads given; as reported by")
    caption = "As the first repeat of each kernel says that got so far. More threads than were given fail a case."
    return (table(caption, ("kernel",), numbers, last, rows=rows, several=findings.several),)


def _kernel(record: Record) -> tuple[str, ...]:
    info, accuracy = record.kernel_info, record.kernel_info.accuracy
    used = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in info.describe.items() if value is not None)
    hits = accuracy.reason or "not measured"
    if accuracy.per_sample is not None and accuracy.batched is not None:
        hits = f"{accuracy.per_sample:.4f} / {accuracy.batched:.4f} of {accuracy.rows:,} rows"
    return (
        "not measured" if info.max_error is None else f"{info.max_error:.1e}",
        *("not measured" if time is None else words.seconds(time) for time in (info.import_s, info.construct_s)),
        hits,
        f"{info.backend or 'unknown'} {info.version or ''}".rstrip(),
        record.device or "unknown",
        used or "defaults",
    )


def _threads(records: Sequence[Record]) -> str:
    """Return how many threads a kernel was given, and who reported how many: ``2; openblas 2, the kernel 1``."""
    if all(record.thread_use is None for record in records):
        return "not recorded"
    counts = grouped(count for record in records for count in record.thread_use or ())
    texts = (f"{who} {' or '.join(map(str, sorted(set(threads))))}" for who, threads in counts.items())
    return f"{records[0].threads}; {', '.join(texts) or 'nobody'}"


def _again(findings: Findings) -> Iterator[Block]:
    """Yield when every run started, and its command."""
    for run in findings.runs:
        head, plan = f"{run.title}. " if findings.several else "", run.plan
        if plan is None:
            yield f"{head}Made by pytest by hand; its command was not recorded."
            continue
        command = shlex.join(plan.command)
        seed = "" if plan.seed is None or "--seed" in command else f" --seed {plan.seed}"
        yield f"{head}Started {plan.started or 'at an unknown time'}; the seed sets the order of the processes."
        yield Command(command + seed)


SECTIONS = (
    Part(150, "differences", "What differs between the runs", _differences),
    Part(200, "clock", "What is in the clock", _clock),
    Part(220, "kernels", "Kernels", _kernels),
    Part(230, "environment", "Machine and software, network and data", _environment),
    Part(240, "repeat", "Reproduce", _again),
)
