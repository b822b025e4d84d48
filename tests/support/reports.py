"""Reports of simulated runs, each made once for all tests that look at it."""

from functools import cache

import update_readme

from mlpbench.bench.cases import make_settings
from mlpbench.bench.record import runs as record
from mlpbench.bench.report import render
from support import evidence_files, simulate, trusting
from support.runs import book as book_runs
from support.runs import months

KERNELS = ("numpy", "numba", "cupy")
SIZES = (1, 10, 100, 1000)
TIMES = {(kernel, "per_sample", 100): (2 + i) * 6e-6 for i, kernel in enumerate(KERNELS)} | {
    (kernel, "batched", size): (2 + i) * 6e-6 / size**0.4 for i, kernel in enumerate(KERNELS) for size in SIZES
}
#: So many lines that a page begins with the first setting.
MANY = {(f"kernel-{n}", "batched", size): (2 + n) * 1e-6 for n in range(9) for size in (1, 100)}
#: Known answers: 9 times as fast in batches of 100, and 6 times.
EXACT = simulate.by_case(numpy={"one": 18e-6, 1: 18e-6, 100: 2e-6}, numba={"one": 6e-6, 1: 6e-6, 100: 1e-6})
SKIPPED = [{"kernel": "cupy", "reason": "no CUDA device: cudaErrorNoDevice: no CUDA-capable device is detected"}]
WIDE = {**simulate.SPEC, "sizes": [784, 1024, 1024, 10]}


class Reports:
    """Reports by name; each run is written, and each document and format made, when the first test asks for it."""

    def __init__(self, folder):
        self.folder = folder
        self.runs = cache(self._runs)
        self.document = cache(lambda name: render.build(self.runs(name)))
        self.text = cache(lambda name, format_="md": render.write(self.document(name), format_))

    def file(self, name):
        """Return the path of the HTML page of a report."""
        path = self.folder / f"{name}.html"
        if not path.exists():
            path.write_text(self.text(name, "html"), encoding="utf-8")
        return path

    def _runs(self, name):
        return {
            "exact": lambda folder: [self._simulated(folder, EXACT, noise=0, skipped=SKIPPED)],
            "one": lambda folder: [self._simulated(folder, TIMES, seed=1)],
            "two": lambda folder: [*self.runs("one"), self._simulated(folder, TIMES, seed=2)],
            "single": lambda folder: [self._simulated(folder, TIMES, seed=3, repeats=1)],
            "evidence": lambda folder: [evidence_files.write(folder)],
            "explained": lambda folder: [self._explained(folder)],
            "levels": lambda folder: [*self.runs("explained"), self._explained(folder, slower=40, spec=WIDE, seed=4)],
            "many": lambda folder: [*self.runs("levels"), self._explained(folder, seed=5)],
            "book": lambda folder: [trusting.disturb(book_runs.write(folder), {("numpy", 0, "book", 100)})],
            "quick": lambda _: [update_readme.reference_runs()["quick"]],
            "noisy": lambda folder: [self._simulated(folder, TIMES, seed=6, noise=0.15, burst=0.4, neighbour=0.5)],
            "axes": lambda folder: record.read_runs(
                simulate.write_sweep(folder, TIMES, make_settings(["784-50-100-10"], [1, 2], ["float32", "float64"]))
            ),
            "months": lambda folder: [record.read_run(months.write(folder, 12, change=8)[-1])],
            "sweep": lambda folder: record.read_runs(
                simulate.write_sweep(folder, MANY, make_settings(["784-50-100-10"], [1, 2, 4], ["float32"]))
            ),
        }[name](self.folder / name)

    @staticmethod
    def _simulated(folder, times, **settings):
        return record.read_run(simulate.write_run(folder, times, **settings))

    @staticmethod
    def _explained(folder, slower=1, **settings):
        times = {at: slower * seconds for at, seconds in TIMES.items()}
        return evidence_files.write(folder, times, kernel_info=None, **settings)
