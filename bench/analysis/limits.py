"""How the kernels of a run stand beside peers and the machine's limits.

Everything is derived from one run and paired by repeat, but for limits that no repeat measured: there it is the best
round of the run's end. Knows no kernels: result files say which of them are peers.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlpbench.bench.analysis import evidence, roofline, times
from mlpbench.bench.analysis.evidence import Evidence
from mlpbench.bench.analysis.summary import CaseSummary, batched, ranked, threads_used
from mlpbench.bench.cases import CPU
from mlpbench.bench.record.runs import Run
from mlpbench.bench.record.schema import Record
from mlpbench.bench.stats import estimates
from mlpbench.bench.stats.estimates import Ratio


@dataclass(frozen=True)
class Conditions:
    """What was the same for all kernels: network, dtype, data, threads given, and where and when.

    ``versions``: of the libraries of all kernels, by name. ``repeats``: the most that a kernel had.
    """

    run: str
    profile: str | None
    started: str | None
    machine: str
    spec: str
    dtype: str
    data: str
    threads: int
    repeats: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class PeerRatio:
    """A kernel at one batch size beside the best peer: seconds per sample, and peer / kernel."""

    batch_size: int
    sample_s: float
    peer: str
    peer_s: float
    ratio: Ratio


@dataclass(frozen=True)
class BesidePeers:
    """A kernel beside the best peers of its kind. ``threads`` is what it says that it used, None if it does not."""

    kernel: str
    returns: str
    threads: int | None
    places: tuple[PeerRatio, ...]


@dataclass(frozen=True)
class LimitShare:
    """A kernel against a limit of the machine: ``what`` is "peak", "product" or "floor".

    "peak" and "product": its FLOP/s / those of multiply-adds in registers, and of a matrix product; "floor": the time
    of a call / the least it can be, weights read from ``memory`` and the cost of a call.

    ``once``: the limit is the best round of the run's end, and not the median round of each repeat.
    """

    kernel: str
    threads: int
    what: str
    batch_size: int
    ratio: Ratio
    memory: str | None = None
    once: bool = True

    @property
    def believed(self) -> bool:
        """Whether it can be: nothing does more than the peak, so that a peak below what was done was not the peak."""
        return self.what != "peak" or self.ratio.value <= roofline.IMPOSSIBLE


@dataclass(frozen=True)
class Limits:
    """One run. ``missing``: what could not be said, and why, one sentence each."""

    setting: Conditions
    rows: tuple[BesidePeers, ...]
    shares: tuple[LimitShare, ...]
    missing: tuple[str, ...]


def find(run: Run, cases: Sequence[CaseSummary], found: Evidence | None = None) -> Limits | None:
    """Return where the kernels of a run stand; ``cases`` are all of the run (`bench.analysis.summary.summarize`).

    ``found``: the run's evidence, for who has read it already.

    None where no kernel that is no peer, or no peer, was timed in batches, and for files of versions that do not say.
    Raises UserError for damaged files beside the records.
    """
    timed = {record.kernel: record for record in run.records if record.cases and record.returns is not None}
    batches = {name: batched([case for case in cases if case.kernel == name]) for name in timed}
    ours = [record for name, record in timed.items() if record.peer is False and batches[name]]
    peers = [record for name, record in timed.items() if record.peer and batches[name]]
    if not ours or not peers:
        return None
    setting = _setting(run, timed)
    found = evidence.read(run) if found is None else found
    missing: dict[str, None] = {}
    rows = tuple(_row(record, peers, batches, missing) for record in ours)
    shares = tuple(share for record in ours for share in _shares(setting, record, batches[record.kernel], found))
    missing |= dict.fromkeys(_unmeasured(shares, found))
    if found.disturbed and any(share.once for share in shares):
        missing["the machine's limits were measured while something else ran: shares of them are too large"] = None
    return Limits(setting, tuple(row for row in rows if row.places), shares, tuple(missing))


def _setting(run: Run, timed: Mapping[str, Record]) -> Conditions:
    first = next(iter(timed.values()))
    machine = first.environment.machine
    count = "" if machine.logical_cpus is None else f", {machine.logical_cpus} processors"
    return Conditions(
        run=run.id,
        profile=run.plan.profile if run.plan else None,
        started=run.plan.started if run.plan else None,
        machine=(machine.cpu_model or run.machine) + count,
        spec=first.spec.label(),
        dtype=first.spec.dtype,
        data=first.data.name,
        threads=first.threads or 1,
        repeats=max(len({r.repeat for r in run.records if r.kernel == name}) for name in timed),
        versions=_versions(timed),
    )


def _versions(timed: Mapping[str, Record]) -> dict[str, str]:
    """Return the versions of Python, NumPy, every BLAS in the processes (SciPy brings one of its own), every kernel."""
    first = next(iter(timed.values()))
    found = {"Python": first.environment.python.version, "numpy": first.environment.libraries.get("numpy")}
    blas: dict[str, dict[str, None]] = {}
    for pool in (pool for record in timed.values() for pool in record.environment.blas if pool.user_api == "blas"):
        blas.setdefault(str(pool.internal_api), {})[str(pool.version)] = None
    found |= {name: " and ".join(sorted(versions)) for name, versions in blas.items()}
    found |= {str(record.backend): record.version for record in timed.values()}
    return {name: str(version) for name, version in found.items() if version}


def _row(
    record: Record, peers: Sequence[Record], batches: Mapping[str, Sequence[CaseSummary]], missing: dict[str, None]
) -> BesidePeers:
    alike = [peer.kernel for peer in peers if _kind(peer) == _kind(record)]
    if not alike:
        alone = f"no peer on the device of {record.kernel} has results of the same kind ({record.returns})"
        missing[alone if record.device == CPU else f"{alone} in the same arithmetic"] = None
    places = []
    for case in batches[record.kernel]:
        # The choice favours the peer: the best of several medians is a little too good.
        rivals = [other for name in alike for other in batches[name] if other.batch_size == case.batch_size]
        rivals = [other for other in rivals if times.ratio(other, case)]
        if rivals:
            best = ranked(rivals)[0][0]
            ratio = times.ratio_or_apart(best, case)
            places.append(PeerRatio(case.batch_size, case.sample.value, best.kernel, best.sample.value, ratio))
    return BesidePeers(record.kernel, str(record.returns), threads_used(record), tuple(places))


def _kind(record: Record) -> tuple[object, ...]:
    """Return what two kernels must share to be compared: what they return, where they compute, and in what."""
    return record.returns, record.device, record.facts.arithmetic if record.device != CPU else None


def _shares(setting: Conditions, record: Record, batches: Sequence[CaseSummary], found: Evidence) -> list[LimitShare]:
    """Return the shares of a kernel that does all the work, on the CPU, where the limits of its threads are known."""
    threads = threads_used(record) or setting.threads
    alone = found.roofs.get(1)
    if record.facts.skips_work or record.device != CPU:
        return []
    largest, smallest = batches[-1], batches[0]
    flop = record.spec.flop(1)
    shares = []
    for what, name in (("peak", evidence.PEAK), ("product", evidence.PRODUCT)):
        reached = {repeat: flop / s for repeat, s in largest.by_repeat.items()}
        limit, once = _limit(found, name, threads, reached)
        if limit:
            ratio = estimates.ratio(reached, limit)
            shares.append(LimitShare(record.kernel, threads, what, largest.batch_size, ratio, once=once))
    n_bytes = record.spec.weight_bytes()
    memory = roofline.level(n_bytes, alone.caches) if alone else None
    if shares and smallest.batch_size == 1 and memory:
        calls = {repeat: small.call_batch_s for (name, repeat), small in found.small.items() if name == record.kernel}
        limit, once = _limit(found, memory, 1, smallest.by_repeat.keys() & calls.keys())
        if limit:
            least = {repeat: n_bytes / rate + calls[repeat] for repeat, rate in limit.items()}
            ratio = estimates.ratio(smallest.by_repeat, least)
            shares.append(LimitShare(record.kernel, threads, "floor", 1, ratio, memory, once))
    return shares


def _limit(found: Evidence, name: str, threads: int, repeats: Collection[int]) -> tuple[dict[int, float], bool]:
    """Return a limit in each of the repeats in which it was measured, and False; else that of the start, and True."""
    sustained = found.sustained.by_repeat(name, threads)
    if common := sustained.keys() & repeats:
        return {repeat: sustained[repeat] for repeat in common}, False
    roofs = found.roofs.get(threads)
    best = {**roofs.rates, **roofs.read_s}.get(name) if roofs else None
    return dict.fromkeys(repeats, best) if best else {}, True


def _unmeasured(shares: Sequence[LimitShare], found: Evidence) -> Iterator[str]:
    """Yield what is not known of the machine's limits, or not repeat by repeat."""
    if not found.roofs and not shares:
        yield from found.missing
    if shares and not found.sustained.rates:
        yield "the machine's limits were measured once, before the repeats: a share of them mixes two moments"
    for repeat, reason in found.sustained.reasons.items():
        yield f"the machine's limits were not measured in repeat {repeat + 1}: {reason}"
