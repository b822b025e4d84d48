"""Three networks for one machine: their weights lie in its L2, in its L3, and beyond. Chosen from sizes alone.

The book explains the gain of batches by the "bus bandwidth". Whether it is right depends on where the weights lie: in
L2, the example's network if it fits in half of it; in L3, about eight times L2 and at most a quarter of L3 (twice L2
and half of L3 where L3 is small); in DRAM, four times the largest cache, as `bench.machine.roofs` reads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mlpbench.bench import words
from mlpbench.bench.machine.roofs import BEYOND, DRAM_BYTES
from mlpbench.kernels.spec import MNIST, ForwardSpec

#: Where no cache can be read: what is chosen for 1 MiB of L2 and 32 MiB of L3.
EXAMPLE = {"L2": (50, 100), "L3": (1024, 1024), "DRAM": (8192, 4096)}
#: Widths of the hidden layers of the first network, in the order of preference.
NARROW = ((50, 100), (40, 80), (30, 60), (20, 40), (10, 20))
#: Of the others: 256-256, 512-256, 512-512 and so on.
NARROWEST, WIDEST = 256, 32_768

#: Shares of a cache, and multiples, as above.
FITS = 2
CLEARLY_BEYOND_L2, FAR_BEYOND_L2, WELL_INSIDE_L3 = 2, 8, 4
#: The gate holds a network in float64 several times over: weights may take this part of the memory.
MEMORY_SHARE = 16


@dataclass(frozen=True)
class Choice:
    """The network for a level of memory, "L2", "L3" or "DRAM"; None where there is none, and then ``note`` says why."""

    level: str
    spec: ForwardSpec | None
    note: str | None = None

    def sentence(self) -> str:
        """Return which network it is, and why, or why there is none."""
        if self.spec is None:
            return f"weights in {self.level}: no network: {self.note}"
        why = f" ({self.note})" if self.note else ""
        return f"weights in {self.level}: {self.spec.label()}, {words.data_size(self.spec.weight_bytes())}{why}"


def choose(caches: Mapping[str, int], memory_bytes: int | None, like: ForwardSpec = MNIST) -> tuple[Choice, ...]:
    """Return the networks for a machine, nearest first.

    ``caches`` in bytes by name, as `bench.machine.environment.machine` has them; ``memory_bytes`` None where unknown.
    ``like`` gives inputs, outputs, activations and dtype.
    """
    if "L2" not in caches:
        note = "the caches cannot be read: it is chosen for 1 MiB of L2 and 32 MiB of L3"
        return tuple(Choice(level, _with(like, hidden), note) for level, hidden in EXAMPLE.items())
    return _in_l2(caches["L2"], like), _in_l3(caches, like), _beyond(caches, memory_bytes, like)


def _with(like: ForwardSpec, hidden: tuple[int, ...]) -> ForwardSpec:
    return replace(like, sizes=(like.n_in, *hidden, like.n_out))


def _wide(like: ForwardSpec) -> Iterator[ForwardSpec]:
    """Yield networks from small to large, each at most twice the one before."""
    width = NARROWEST
    while width <= WIDEST:
        yield _with(like, (width, width))
        if 2 * width <= WIDEST:
            yield _with(like, (2 * width, width))
        width *= 2


def _in_l2(l2: int, like: ForwardSpec) -> Choice:
    spec = next((s for hidden in NARROW if (s := _with(like, hidden)).weight_bytes() <= l2 / FITS), None)
    return Choice("L2", spec, None if spec else f"no network fits in half of L2, which has {words.data_size(l2)}")


def _in_l3(caches: Mapping[str, int], like: ForwardSpec) -> Choice:
    if "L3" not in caches:
        return Choice("L3", None, "this machine has no L3 that can be read")
    l2, l3 = caches["L2"], caches["L3"]
    between = [s for s in _wide(like) if CLEARLY_BEYOND_L2 * l2 <= s.weight_bytes() <= l3 / FITS]
    if not between:
        sizes = f"{words.data_size(l2)} of L2 and {words.data_size(l3)} of L3"
        return Choice("L3", None, f"no network is beyond L2 and fits in half of L3: there are {sizes}")
    wanted = min(l3 / WELL_INSIDE_L3, FAR_BEYOND_L2 * l2)
    inside = [s for s in between if s.weight_bytes() <= wanted]  # from small to large
    return Choice("L3", (inside or between[:1])[-1])


def _beyond(caches: Mapping[str, int], memory_bytes: int | None, like: ForwardSpec) -> Choice:
    largest = max(size for name, size in caches.items() if name != "L1i")
    least = BEYOND * largest if "L3" in caches else max(BEYOND * largest, DRAM_BYTES)  # a cache may be unseen
    spec = next((s for s in _wide(like) if s.weight_bytes() >= least), None)
    if spec is None:
        return Choice("DRAM", None, f"no network is as large as {BEYOND} times a cache of {words.data_size(largest)}")
    if memory_bytes is not None and MEMORY_SHARE * spec.weight_bytes() > memory_bytes:
        needs, most = words.data_size(spec.weight_bytes()), f"1/{MEMORY_SHARE} of the memory"
        note = f"weights beyond the caches take {needs}, more than {most} ({words.data_size(memory_bytes)})"
        return Choice("DRAM", None, note)
    return Choice("DRAM", spec)
