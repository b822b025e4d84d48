"""Where the gain is calls and where it is bandwidth: sentences, a table, a chart for each comparison of levels."""

from collections.abc import Iterator, Sequence

from mlpbench.bench import words
from mlpbench.bench.analysis import bandwidth
from mlpbench.bench.analysis.attribution import PARTS
from mlpbench.bench.analysis.bandwidth import Group, Place
from mlpbench.bench.analysis.explain import Explanation
from mlpbench.bench.groups import grouped
from mlpbench.bench.report.document import Block, Figure, Fold, Paragraph, Points, Table, columns
from mlpbench.bench.report.parts import Findings, Part
from mlpbench.bench.report.sections.explain import PART_WORDS, of_report, part_words, share_words

#: What makes the gain, in a word.
CAUSE_WORDS = dict(zip(PARTS, ("calls", "bandwidth", "arithmetic units", "something unexplained"), strict=True))
_CAPTION = (
    "What the gain is made of, by the level of memory that holds the weights. Saved is the time per sample that "
    "batches save. Calls saved, weights reused, better use of the arithmetic units and unexplained are its shares, "
    "with 95 % intervals over repeats."
)
_READING = (
    "Each bar is what batching saves one kernel on one network, and its pieces are the causes: bandwidth is the piece "
    "weights reused."
)


def blocks(explanations: Sequence[Explanation]) -> tuple[Block, ...]:
    """Return the part's content; nothing where no kernel has weights in two levels."""
    found = bandwidth.groups(explanations)
    return tuple(block for number, one in enumerate(found) for block in _of(one, number, several=len(found) > 1))


def _of(found: Group, number: int, *, several: bool) -> Iterator[Block]:
    after = f" With {heading(found)}:" if several else ""
    yield Paragraph(f'Is it the bandwidth? The book\'s "bus bandwidth", tested.{after}')
    yield Points(tuple(sentences(found)))
    after_title = f", {heading(found)}" if several else ""
    if any(place.attribution for place in found.places):
        title = f"What the gain is made of, where the weights lie{after_title}"
        yield Figure(f"bandwidth-{number}", title, _READING, _parts_table(found), found)
    yield Fold(f"What makes each gain{after_title}", (gain_table(found),))


def gain_table(found: Group) -> Table:
    """Return what makes the gain in each place, kernel by kernel."""
    made = columns(("kernel", "network", "weights in", "the gain is"), ("speedup", "saved", *PARTS))
    return Table(_CAPTION, made, tuple(map(_row, found.by_kernel)), heads=3)


def _row(place: Place) -> tuple[str, ...]:
    parts = place.attribution
    found = " and ".join(CAUSE_WORDS[name] for name in place.causes) or f"not explained: {place.unclear}"
    head = (place.kernel, place.spec, place.level, found)
    if parts is None:
        return (*head, *("not known",) * 2, *("",) * len(PARTS))
    return (*head, words.ratio(parts.gain), words.seconds(parts.saved_s), *(share_words(name, parts) for name in PARTS))


def _parts_table(found: Group) -> Table:
    rows = tuple(
        (place.kernel, place.spec, *(part_words(name, parts) for name in PARTS))
        for place in found.by_kernel
        if (parts := place.attribution) is not None
    )
    made = columns(("kernel", "network"), (PART_WORDS[name] for name in PARTS))
    return Table("The same as times per sample, with 95 % intervals over repeats.", made, rows, heads=2)


def heading(found: Group) -> str:
    """Return what is compared, where there are several groups."""
    threads = "an unknown number of threads" if found.threads is None else words.things(found.threads, "thread")
    return f"{threads}, {found.kind}, on {found.machine}"


def sentences(found: Group) -> list[str]:
    """Return one sentence for each network, the nearest first, and then where "bus bandwidth" is right."""
    lines = list(map(_of_spec, grouped((place.spec, place) for place in found.places).values()))
    if any(place.disturbed for place in found.places):
        disturbed = "Something else ran while roofs were measured"
        lines.append(f"{disturbed}: shares of weights reused are not to be trusted there.")
    return [*lines, " ".join(_verdict(found))]


def _of_spec(places: Sequence[Place]) -> str:
    first = places[0]
    head = f"{first.spec}, {words.data_size(first.weight_bytes)} of weights in {first.level}"
    clear = [place for place in places if place.causes]
    by_cause = grouped((place.causes, place) for place in clear)
    said = []
    if clear:
        said.append("the gain is " + "; ".join(_for(same) for same in by_cause.values()))
    unclear = grouped((place.unclear, place.kernel) for place in places if not place.causes)
    said += [f"not explained for {words.listed(kernels)}: {reason}" for reason, kernels in unclear.items()]
    batches = sorted({p.attribution.batch_size for p in clear if p.attribution and "weights" in p.causes})
    if batches:
        sizes = " or ".join(f"{size:,}" for size in batches)
        said.append(f"the weights are read once for a batch of {sizes}, and not once for each row")
    return f"{head}: {'; '.join(said)}."


def _for(places: Sequence[Place]) -> str:
    """Return a cause with its kernels and shares: ``calls for numpy (81 %) and numpy-out (80 %)``."""
    cause = words.listed(CAUSE_WORDS[name] for name in places[0].causes)
    return f"{cause} for {words.listed(f'{place.kernel} ({_shares(place)})' for place in places)}"


def _shares(place: Place) -> str:
    parts = place.attribution
    return "" if parts is None else words.listed(words.percent(parts.share(name) or 0.0) for name in place.causes)


def _verdict(found: Group) -> list[str]:
    """Return where the book's "bus bandwidth" is right, and then what the gain is elsewhere, as sentences."""
    bus, others = ([place for place in found.places if place.is_bus is is_bus] for is_bus in (True, False))
    by_answer = {
        "Bandwidth too, but of a cache and not of the memory": [at for at in others if at.causes == ("weights",)],
        "Something else, or not bandwidth alone": [at for at in others if at.causes not in ((), ("weights",))],
        "Not explained": [at for at in others if not at.causes],
    }
    right = f'"Bus bandwidth" is right for {_listed(bus) if bus else "none of these"}.'
    return [right, *(f"{answer}: {_listed(places)}." for answer, places in by_answer.items() if places)]


def _listed(places: Sequence[Place]) -> str:
    """Return networks with their level and kernels: ``784-50-100-10 (L2; numpy, numba)``."""
    by_spec = grouped(((place.spec, place.level), place.kernel) for place in places)
    return words.listed(f"{spec} ({level}; {', '.join(kernels)})" for (spec, level), kernels in by_spec.items())


def _answer(found: Findings) -> str | None:
    """Return where "bus bandwidth" is right; None where the runs are several comparisons, or nothing is known."""
    groups = bandwidth.groups(found.of(of_report))
    return _verdict(groups[0])[0] if len(groups) == 1 and any(place.causes for place in groups[0].places) else None


def _asked(found: Findings) -> bool:
    return found.profile == "memory"


SECTIONS = (
    Part(
        80,
        "bandwidth",
        "Is it the memory's bandwidth?",
        lambda found: blocks(found.of(of_report)),
        folded=lambda found: not _asked(found),
        asked=_asked,
        answer=_answer,
    ),
)
