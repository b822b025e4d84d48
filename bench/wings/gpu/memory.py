"""What one process takes of the memory of the host and of the card at its peak; batches without room are left out."""

from collections.abc import Sequence
from dataclasses import replace

from mlpbench.bench import words
from mlpbench.bench.cases import CUDA
from mlpbench.bench.data.workload import Workload
from mlpbench.bench.errors import UserError
from mlpbench.bench.machine import child
from mlpbench.bench.machine.card import Card
from mlpbench.bench.plan.probe import Probed
from mlpbench.bench.plan.request import Request
from mlpbench.bench.wings.gpu.measurement import DEPTH
from mlpbench.kernels.spec import ForwardSpec


def peaks(spec: ForwardSpec, rows: int, data_bytes: int = 0) -> tuple[int, int]:
    """Return the bytes that the host and the card hold at most for batches of so many rows.

    Host: the data set, the timed inputs, and three arrays of new values (`bench.measure.checks`). Pinned: the inputs
    twice, as CuPy copies through such memory, and `DEPTH` + 1 results; its pool takes powers of two, and keeps them:
    https://github.com/cupy/cupy/blob/v14.2.0/cupy/cuda/pinned_memory.pyx, ``PinnedMemoryPool.malloc``. Card: the timed
    inputs, a graph's, and `DEPTH` batches on their way. Both: layers thrice, where each step makes a new array.
    """
    x, y, layers = (rows * n * spec.np_dtype.itemsize for n in (spec.n_in, spec.n_out, sum(spec.sizes[1:])))
    pinned_x, pinned_y = (1 << (size - 1).bit_length() for size in (x, y))
    host = data_bytes + 4 * x + 2 * pinned_x + (DEPTH + 1) * pinned_y + 3 * layers
    return host, (DEPTH + 2) * x + DEPTH * y + 3 * layers


def fitted(
    request: Request, workloads: Sequence[Workload], answers: Sequence[Sequence[Probed]]
) -> tuple[Request, tuple[tuple[int, str], ...]]:
    """Return a request without batches that have no room beside a kernel on a card, and these with why."""
    if not any(one.available and one.device == CUDA for of_setting in answers for one in of_setting):
        return request, ()
    most = {"host": child.memory_limit(), "card": Card.of("").memory_limit()}
    sizes, no_room = request.batch_size or request.profile.batch_sizes, dict[int, str]()
    for size in sizes:
        needs = zip(*(peaks(one.spec, size, one.dataset.images[:size].nbytes) for one in workloads), strict=True)
        for (where, has), needed in zip(most.items(), map(max, needs), strict=True):
            if has is not None and needed > has:
                of_memory = f"{words.data_size(needed)} of the {where}'s memory, which has {words.data_size(has)} left"
                no_room.setdefault(size, f"they would take {of_memory}")
    if not (kept := tuple(size for size in sizes if size not in no_room)):
        raise UserError(f"batches of {min(sizes):,} are too large: {no_room[min(sizes)]}; name smaller ones")
    return replace(request, batch_size=kept), tuple(no_room.items())
