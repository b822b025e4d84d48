"""Which kernels can run here, asked in processes of their own: a probe may be slow, and may crash."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from mlpbench.bench.machine import child
from mlpbench.kernels import registry
from mlpbench.kernels.errors import KernelUnavailable
from mlpbench.kernels.spec import ForwardSpec

TIMEOUT_S = 120


@dataclass(frozen=True)
class Probed:
    """A kernel, and why it cannot run here; ``reason`` is None where it can."""

    name: str
    backend: str | None
    device: str | None
    version: str | None
    reason: str | None

    @property
    def available(self) -> bool:
        """Whether the kernel can run here."""
        return self.reason is None

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as JSON can hold it."""
        return {**asdict(self), "available": self.available}


def probe_all(names: list[str]) -> Iterator[Probed]:
    """Probe kernels side by side, each library in one process; yield them in the order of ``names``.

    Those whose library is not installed share NumPy's: they are done at once, and a process costs more than they do.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_group(registry.module(name)), []).append(name)
    with ThreadPoolExecutor(max_workers=8) as pool:
        futures = {name: pool.submit(_ask, group) for group in groups.values() for name in group[:1]}
        first = {name: group[0] for group in groups.values() for name in group}
        for name in names:
            yield futures[first[name]].result()[name]


def _group(module: str) -> str:
    """Return what a module is probed together with: of ours, its library's others, or all that costs nothing to ask.

    That is NumPy, which every module of ours imports anyway, and every library that is not installed.
    """
    package, _, rest = module.partition(".mlp_")
    if package != "mlpbench.kernels":
        return module
    library = rest.partition("_")[0]
    return library if library != "numpy" and find_spec(library) is not None else "numpy"


def for_spec(answer: Probed, spec: ForwardSpec) -> Probed:
    """Return the answer for one specification: a library may be here, and not able to express it."""
    if answer.available:
        try:
            registry.load(answer.name).supports(spec)
        except KernelUnavailable as reason:
            return replace(answer, reason=str(reason))
    return answer


def _ask(names: list[str]) -> dict[str, Probed]:
    """Ask one process about kernels of one module, and another about those that it did not come to."""
    said = child.ask(__name__, {"names": names}, timeout_s=TIMEOUT_S)
    answers = dict(_answers(said.printed, names))
    silent = [name for name in names if name not in answers]
    if silent:  # kernels are asked in order: the first without an answer is the one that ended the process
        answers[silent[0]] = Probed(
            silent[0], None, None, None, f"the probe failed: {said.reason or 'it gave no answer'}"
        )
    return answers | _ask(silent[1:]) if silent[1:] else answers


def _answers(printed: str, names: list[str]) -> Iterator[tuple[str, Probed]]:
    """Yield the answers among whatever libraries print while they are imported."""
    for line in printed.splitlines():
        with suppress(ValueError, TypeError):
            answer = Probed(**json.loads(line))
            if answer.name in names:
                yield answer.name, answer


def probe(name: str) -> Probed:
    """Probe one kernel in this process."""
    try:
        kernel = registry.load(name)
    except KernelUnavailable as error:
        return Probed(name, None, None, None, str(error))
    reason = None
    try:
        kernel.probe()
    except KernelUnavailable as error:
        reason = str(error)
    return Probed(name, kernel.backend, kernel.device, kernel.version(), reason)


if __name__ == "__main__":
    for kernel_name in child.question()["names"]:
        child.tell(asdict(probe(kernel_name)))
