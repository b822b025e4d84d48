"""Programs of `kernels.cuda.programs` on the CPU: launched as on a device, and held against the reference."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np

from mlpbench.kernels import reference
from mlpbench.kernels.conformance import probe_inputs
from mlpbench.kernels.cuda import programs
from mlpbench.kernels.reference import seeded
from mlpbench.kernels.spec import ForwardSpec
from support.on_cpu.guarded import guarded
from support.on_cpu.raw import CpuRawKernel, CpuRawModule, Launching, sanitized

#: Arithmetic, and whether inputs are bytes.
VARIANTS = [("fp32", False), ("fp32", True), ("3xtf32", False), ("tf32", False), ("fp16", False)]
#: Around the ends of a fragment, a tile and a block.
ROWS = (1, 2, 15, 16, 17, 127, 128, 129, 1000)
#: Forward, reverse, three random ones.
ORDERS = range(5)


@dataclass(frozen=True)
class Network:
    """A specification with weights, in an arithmetic: inputs for any number of rows, and what may come of them."""

    spec: ForwardSpec
    arithmetic: str = "fp32"
    pixels: bool = False

    @cached_property
    def programs(self) -> tuple[programs.Program, ...]:
        return programs.fused(self.spec, self.arithmetic, pixels=self.pixels)

    @cached_property
    def params(self):
        return seeded(self.spec)

    def inputs(self, rows: int) -> np.ndarray:
        x = probe_inputs(self.spec, rows, 0)
        return np.round(255 * x).astype(np.uint8) if self.pixels else x

    def expected(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right outputs, how far each may be off, and which rows can be judged."""
        x = x.astype(np.float64) / (255 if self.pixels else 1)
        steps = reference.trace(self.spec, self.params, x)
        return steps[-1][1], *reference.bound(self.spec, self.params, x, steps, self.arithmetic)


@dataclass
class Launched:
    """A program of a network, compiled; ``edit``, old and new text, makes a mutant of it."""

    network: Network
    program: programs.Program
    edit: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.edit:
            old, new = self.edit
            assert self.program.source.count(old) == 1, (
                f"{self.program.name} has {old!r} {self.program.source.count(old)} times"
            )
            self.program = replace(self.program, source=self.program.source.replace(old, new))
        self.kernel = CpuRawKernel(self.program.source, self.program.name, self.program.options)
        self.kernel.max_dynamic_shared_size_bytes = self.program.shared_bytes
        self.weights = self._packed()
        self.packed = guarded(self.weights)

    def _packed(self) -> np.ndarray:
        return self.program.pack(self.network.params)

    def _before(self, x: np.ndarray) -> np.ndarray:
        """Return what lies where the outputs will be."""
        return np.full((len(x), self.network.spec.n_out), np.nan, np.float32)

    def _launch(self, x: np.ndarray, y: np.ndarray, rows: int) -> tuple:
        arguments = (x, self.packed, y, np.int64(rows))
        return (self.program.grid(rows),), (self.program.block,), arguments

    def outputs(self, x: np.ndarray, order: int = 0, blocks: tuple[int, ...] | None = None) -> np.ndarray:
        """Return the outputs of some rows, poisoned before; inputs and weights are the same afterwards.

        ``blocks`` are those that run, each in a launch of its own; None for all, in one launch.
        """
        held = guarded(x)
        y = guarded(self._before(x))
        for one in (None,) if blocks is None else blocks:
            self.kernel.module.launching = Launching(order, None if one is None else (one, one + 1))
            self.kernel(*self._launch(held, y, len(x)), shared_mem=self.program.shared_bytes)
        assert held.tobytes() == x.tobytes(), "the inputs were changed"
        assert np.array_equal(self.packed, self.weights), "the weights were changed"
        return np.array(y)

    def rows_of(self, blocks: tuple[int, ...], rows: int) -> np.ndarray:
        """Return which of the rows some blocks compute."""
        return np.isin(np.arange(rows) // self.program.rows_per_block, blocks)

    def in_large(self, x: np.ndarray, y: np.ndarray, rows: int) -> None:
        """Run the last block of a grid alone."""
        grid = self.program.grid(rows)
        self.kernel.module.launching = Launching(blocks=(grid - 1, grid))
        self.kernel(*self._launch(x, y, rows), shared_mem=self.program.shared_bytes)

    def found_by(self, sanitizer: str, rows: int) -> str:
        """Return what a sanitizer finds in a launch, "" for nothing."""
        x = self.network.inputs(rows)
        launch = self._launch(x, self._before(x), rows)
        return sanitized(self.kernel, sanitizer, *launch, shared_mem=self.program.shared_bytes)


@cache
def all_launched(spec: ForwardSpec) -> dict[tuple[str, bool], tuple[Launched, ...]]:
    """Return the programs of a network in each variant, compiled in one go."""
    found = {}
    for arithmetic, pixels in VARIANTS:
        network = Network(spec, arithmetic, pixels)
        found[arithmetic, pixels] = tuple(Launched(network, program) for program in network.programs)
    CpuRawModule.together([one.kernel.module for each in found.values() for one in each])
    return found


def off_by(got: np.ndarray, right: np.ndarray, allowed: np.ndarray, decidable: np.ndarray) -> float:
    """Return the largest error as a share of what is allowed; infinity where it is no number."""
    ratio = np.abs(got.astype(np.float64) - right)[decidable] / allowed[decidable]
    return float(np.where(np.isnan(ratio), np.inf, ratio).max(initial=0))
