"""Runs of the book's own cell with known answers: what loading, initialising, inferring and counting take."""

from support import simulate

ROWS = simulate.ROWS
MNIST = {"name": "mnist", "rows": 10_000, "sha256": "a" * 64, "source": "t10k-images-idx3-ubyte.gz"}
READS = "both halves of MNIST: four files"
#: Per image: loading 15 µs, initialising 1 µs, inferring 23 or 3 µs, counting 0.8 µs; 0.2 µs are left over.
LOAD, INITIALISE, COUNT, REST = 15e-6, 1e-6, 0.8e-6, 0.2e-6
INFER = {1: 23e-6, 100: 3e-6}
TIMES = {("numpy", "book", size): LOAD + INITIALISE + infer + COUNT + REST for size, infer in INFER.items()}
ROUNDS = 5


def parts_of(size, load=LOAD):
    """Return the seconds of each part in every round, in batches of ``size``."""
    per_image = {"load": load, "initialise": INITIALISE, "infer": INFER[size], "count": COUNT}
    return {name: [value * ROWS] * ROUNDS for name, value in per_image.items()}


def write(folder, times=TIMES, *, parts=parts_of, data=MNIST, **settings):
    """Write a run of the profile `book` that says what each part of the cell took; return its folder."""
    extra = {case: {"parts_s": parts(case[2]), "reads": READS} for case in times if case[1] == "book"} if parts else {}
    settings = {"noise": 0, "rounds": ROUNDS, "data": data, "profile": "book", **settings}
    return simulate.write_run(folder, times, extra_info=extra, **settings)
